from pathlib import Path

from tests.end_to_end.kept import Kept
from tests.end_to_end.processes import hear, process
from tests.end_to_end.test_files import ask, new_session, stored, upload


async def test_sessions_that_nobody_has_touched_for_so_long_leave_nothing(
    tmp_path: Path, kept: Kept
) -> None:
    env = {**kept.settings, "UPLOAD_DIR": str(tmp_path / "uploads"), "SIMULATED_DELAY": "0"}
    async with process(tmp_path, **env) as server:
        async with server.http() as http:
            old, new = await new_session(http), await new_session(http)
            for session_id in (old, new):
                assert (await upload(http, session_id, "a.txt", b"hello")).status_code == 201
                await ask(http, session_id, "Hello")
        assert len(stored(tmp_path / "uploads")) == 2
        await server.kill()
        await kept.do(f"UPDATE chat_sessions SET updated_at = 0 WHERE id = '{old}'")

        await server.start()
        async with server.http() as http, server.websocket(f"?session_id={old}") as socket:
            assert (await hear(socket))["session_id"] == old, "it is off by default"
            await server.kill()

        server.environment["RETENTION_DAYS"] = "30"
        await server.start()
        await server.says("forgot 1 sessions and 0 idempotency keys")
        async with server.http() as http:
            assert (await http.get(f"/api/chat/sessions/{old}")).status_code == 404
            assert (await http.get(f"/api/chat/sessions/{new}")).status_code == 200
        assert len(stored(tmp_path / "uploads")) == 1
    for table in ("chat_messages", "generations", "uploaded_files"):
        assert await kept.count(table, f"session_id = '{old}'") == 0
        assert await kept.count(table, f"session_id = '{new}'") > 0
    assert await kept.count("chat_sessions", f"id = '{old}'") == 0
