"""A server that refuses a request unread leaves its body on the connection; nobody else may get that one."""

import asyncio
import json

import pytest

from forensics.protect.upstream import Upstream

INNER = json.dumps({"smuggled": True}).encode()
SMUGGLED = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER


async def lazy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers 404 to `/wrong` without reading its body, and echoes the body of anything else; keeps the connection."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        if b" /wrong" in head:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
            continue
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.mark.parametrize("relayed", [True, False])
def test_a_refused_body_does_not_become_the_next_request(relayed: bool) -> None:
    async def scene() -> None:
        server = await asyncio.start_server(lazy, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Upstream(f"http://127.0.0.1:{port}", connections=1, timeout=5, largest=1 << 20) as upstream:
            for _ in range(3):
                if relayed:
                    async with upstream.open("POST", "/wrong", [], _once(SMUGGLED)) as response:
                        assert response.status == 404
                        await response.read()
                else:
                    assert (await upstream.fetch("POST", "/wrong", [], SMUGGLED)).status == 404
                reply = await upstream.fetch("POST", "/v1/embeddings", [], b"honest")
                assert (reply.status, reply.body) == (200, b"honest")
        server.close()

    asyncio.run(scene())


async def _once(body: bytes):
    yield body
