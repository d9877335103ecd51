import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def paced_server() -> AsyncIterator[str]:
    """The base URL of a paced server, which runs as long as this is open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.paced_server", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        await process.wait()
