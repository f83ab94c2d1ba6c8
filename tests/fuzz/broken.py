"""What is not HTTP, or is it in two ways at once: bytes that a proxy and a server may read differently."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.house import Identity

_LONG = 100_000


def broken_requests(host: bytes, member: Identity) -> list[Sequence[bytes]]:
    """Each as the pieces to write one after another."""
    cookie = b"Cookie: nunmal_session=" + member.session + b"\r\n"
    head = b"Host: " + host + b"\r\n" + cookie
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    inner = b"GET /chat HTTP/1.1\r\n" + head + b"\r\n"
    lines = [
        *(b"GET /chat\r\n\r\n", b"GET /chat HTTP/9.9\r\n\r\n", b"GET  /chat  HTTP/1.1\r\n\r\n", b"\r\n\r\n\r\n\r\n"),
        *(b"GET /chat HTTP/1.0\r\n\r\n", b"get /chat HTTP/1.1\r\n" + head + b"\r\n", b"\x00" * 64, b"\xff" * 512),
        *(b"GET\x00/chat HTTP/1.1\r\n\r\n", b"GET /ch\x00at HTTP/1.1\r\n" + head + b"\r\n", b"G" * _LONG),
        *(b"GET /chat HTTP/1.1\n" + head.replace(b"\r", b"") + b"\n", b"GET http://outside.invalid/ HTTP/1.1\r\n\r\n"),
        *(b"CONNECT outside.invalid:80 HTTP/1.1\r\n\r\n", b"GET * HTTP/1.1\r\n" + head + b"\r\n"),
        *(b"OPTIONS * HTTP/1.1\r\n" + head + b"\r\n", b"GET //outside.invalid/ HTTP/1.1\r\n" + head + b"\r\n"),
        *(b"GET /\\outside.invalid HTTP/1.1\r\n" + head + b"\r\n", b"GET /a\rX-Injected: 1 HTTP/1.1\r\n\r\n"),
        *(b"GET /" + b"a" * _LONG + b" HTTP/1.1\r\n" + head + b"\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        b"GET /chat?" + b"x=1&" * 20_000 + b" HTTP/1.1\r\n" + head + b"\r\n",
        b"GET /\xea\xb0\x80\xff HTTP/1.1\r\n" + head + b"\r\n",
        b"GET /chat HTTP/1.1\r\n" + b"Host: " + host + b"\r\n" * 2 + b"Host: outside.invalid\r\n\r\n",
        b"GET /chat HTTP/1.1\r\nHost: " + host + b"\r\nHost: outside.invalid\r\n\r\n",
        *(
            b"GET /chat HTTP/1.1\r\nHost: " + name + b"\r\n\r\n"
            for name in (b"", b".1", b"a..b", b"9" * 400, b"[::1", b"a:b:c")
        ),
        b"GET /developers HTTP/1.1\r\nHost: a\x01b<>\"'\r\n\r\n",
        b"GET /developers HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b" folded: 1\r\n\tmore\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"No-Colon\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"Spaced : 1\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b": empty\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"X: a\rX-Injected: 1\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"X: a\x00b\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"X: " + b"a" * _LONG + b"\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"".join(b"X%d: 1\r\n" % number for number in range(5_000)) + b"\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: eA==\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        b"GET /chat HTTP/1.1\r\n" + head + b"Content-Length: 5\r\n\r\nhello",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Content-Length: -1\r\n\r\n",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Content-Length: 1e3\r\n\r\n",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Content-Length: 3\r\nContent-Length: 9\r\n\r\na=b",
        b"POST /chat HTTP/1.1\r\n"
        + head
        + form
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + inner,
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 40 + b"\r\n",
        b"POST /chat HTTP/1.1\r\n"
        + head
        + form
        + b"Transfer-Encoding: chunked\r\n\r\n5;"
        + b"x" * 5000
        + b"\r\nhello\r\n0\r\n\r\n",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\na=b&c",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Expect: nonsense\r\nContent-Length: 3\r\n\r\na=b",
        b"POST /chat HTTP/1.1\r\n" + head + form + b"Content-Length: 10\r\n\r\na=b",  # and no more comes
        b"POST /v1/jobs HTTP/1.1\r\n" + head + b"Content-Type: application/json\r\nContent-Length: 3000000\r\n\r\n{",
    ]
    endless = b"POST /chat HTTP/1.1\r\n" + head + form + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    return [*([line] for line in lines), [inner, inner, inner], [endless, *[chunk] * 120], list(_slices(inner, 3))]


def _slices(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
