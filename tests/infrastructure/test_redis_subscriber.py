"""The connection that listens, when the way to Redis is not well."""

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infrastructure.redis import subscriber
from infrastructure.redis.client import close_client, open_client
from infrastructure.redis.subscriber import Subscriber

PATIENCE = 30.0
TRIES = 50


@contextmanager
def cutting(cuts: threading.Semaphore) -> Iterator[int]:
    """A port where connections are taken and closed at once; in a thread, so that a client may
    find its connection made and closed in one step of its loop."""
    listening = socket.create_server(("127.0.0.1", 0))

    def cut() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.close()
            cuts.release()

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


async def test_a_way_that_is_cut_at_once_is_away_and_no_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a proxy in front of a Redis that is down cuts it."""
    monkeypatch.setattr(subscriber, "_RETRY_SECONDS", (0, 0))
    cuts = threading.Semaphore(0)
    with cutting(cuts) as port:
        client = open_client(f"redis://127.0.0.1:{port}", timeout=1)
        listening = Subscriber(client)
        await listening.start(0)
        await listening.listen(b"channel", lambda _: None)
        for _ in range(TRIES):
            assert await asyncio.to_thread(cuts.acquire, timeout=PATIENCE)
    await listening.close()
    await close_client(client)
    with warnings.catch_warnings():  # of the last connection, which is being closed
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # what a task raised and nobody asked for is told then
    assert "failed" not in caplog.text
    assert "Task exception was never retrieved" not in caplog.text
