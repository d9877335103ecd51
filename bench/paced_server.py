"""A model's server, in a process of its own, whose streams come at a pace.

Each stream begins at a random moment of the first pause, so that few chunks share a read.
"""

import asyncio
import random
import sys

import uvloop

from bench.pace import CHUNKS, PAUSE_SECONDS

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_EVENT = (
    b'data: {"id":"chatcmpl-CRyTn4eyFwIhYmvtM2YXvAcrIGJqL","object":"chat.completion.chunk",'
    b'"created":1760707083,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    b'"system_fingerprint":"fp_560af6e559","choices":[{"index":0,"delta":{%b},'
    b'"logprobs":null,"finish_reason":%b}],"obfuscation":"iGCXLx"}\n\n'
)
_CHUNK = _EVENT % (b'"content":" word"', b"null")
_LAST = _EVENT % (b"", b'"stop"') + b"data: [DONE]\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            writer.write(_HEAD)
            chunk, due = _framed(_CHUNK), loop.time() + random.random() * PAUSE_SECONDS
            for _ in range(CHUNKS):
                await asyncio.sleep(due - loop.time())
                due += PAUSE_SECONDS
                writer.write(chunk)
            writer.write(_framed(_LAST) + b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1000)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
