"""Requests without end, drawn from a seed: hostile words in every form, every JSON, every header and every address.

They come from M, who has an account, a session and a key, from a passer-by who has but a CSRF token, or from nobody.
All of them are HTTP that can be answered, but for a few whose bytes were changed at random; more that is not HTTP is in
tests/fuzz/broken.py.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode

from shared.ids import new_id
from tests.fuzz import corpus
from tests.fuzz.house import NOBODY, Identity
from tests.fuzz.wire import Headers, Request
from tests.multipart import CONTENT_TYPE, Part, multipart

_JSON = b"application/json"
# Forms that M may send as often as they like without losing their session; {id}: something of M's, or of nobody's.
FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/chat", ("message", "generation_id")),
    ("/chat/{id}", ("message", "generation_id", "later", "instructions", "style", "temperature", "max_new_tokens")),
    ("/chat/{id}/rename", ("title",)),
    ("/chat/{id}/stop", ()),
    ("/chat/new", ()),
    ("/chat/{id}/settings/reset", ()),
    ("/chat/{id}/turns/{id}/edit", ("message",)),
    ("/chat/{id}/turns/{id}/regenerate", ()),
    ("/chat/{id}/turns/{id}/continue", ()),
    ("/chat/{id}/turns/{id}/show", ()),
    ("/chat/{id}/turns/{id}/take-back", ()),
    ("/chat/{id}/turns/{id}/pin", ("pinned",)),
    ("/chat/pictures", ("alt",)),
    ("/language", ("language", "next")),
    ("/account/name", ("name",)),
    ("/account/password", ("old_password", "password")),
    ("/account/second-step", ("old_password",)),
    ("/account/second-step/on", ("enrolment", "code")),
    ("/account/second-step/off", ("old_password", "code")),
    ("/account/sessions/{id}/end", ()),
    ("/account/sessions/end", ("which",)),
    ("/account/download", ()),
    ("/account/delete", ("old_password", "code")),
    ("/keys", ("name", "expires_days", "scope_chat")),
    ("/keys/{id}/revoke", ()),
    ("/notices/{id}/dismiss", ()),
    ("/ops/access", ("email", "reason", "minutes")),
    ("/ops/access/{id}/end", ()),
)
_PUBLIC_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/signup", ("email", "name", "password")),
    ("/login", ("email", "password", "next")),
    ("/login/code", ("code", "next")),
    ("/reset", ("email",)),
    ("/reset/{id}", ("password",)),
)
PAGES = (
    *(
        "/",
        "/chat",
        "/chat/{id}",
        "/chat/{id}/delete",
        "/chat/{id}/stream/{id}",
        "/chat/{id}/turns/{id}/edit",
        "/login",
        "/signup",
        "/logout",
    ),
    *("/chat/pictures/{id}", "/chat/pictures/{id}/thumbnail"),
    *("/reset", "/reset/{id}", "/account", "/account/password", "/account/second-step", "/account/delete", "/keys"),
    *("/notices", "/usage", "/developers", "/ops/access", "/ops/access/{id}", "/ops/access/{id}/{id}", "/healthz"),
    *("/static/{id}/css/main.css", "/static/{id}", "/favicon.ico", "/.well-known/security.txt", "/v1/openapi.json"),
    *("/v1/models", "/v1/models/{id}", "/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/stream"),
)
_METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"MKCOL", b"LOCK"),
    *(b"SEARCH", b"REPORT", b"PURGE", b"SUBSCRIBE", b"M-SEARCH"),
)
_PIECES = (
    *(b"..", b".", b"", b"%2e%2e", b"%2e", b"..;", b"%2f", b"%5c", b"..%2f..", b"%252e%252e", b"%00", b"%0d%0a", b"~"),
    *(b"etc", b"passwd", b"proc", b"self", b"environ", b".git", b".env", b"chat", b"v1", b"static", b"ops", b"*", b"@"),
    *(b"a" * 3000, b"%ff", b"%c0%ae", b"%E2%80%AE", b";x=1", b":80", b"%20", b"+", b"{}", b"[]", b"|", b"`", b"^"),
)
_HEADERS = (
    *("Accept", "Accept-Language", "Accept-Encoding", "Accept-Charset", "Cookie", "Authorization", "Host", "Origin"),
    *("Referer", "User-Agent", "Range", "If-None-Match", "If-Modified-Since", "If-Range", "Last-Event-ID", "Expect"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-URL", "X-HTTP-Method-Override"),
    *("Forwarded", "Upgrade", "Via", "Content-Encoding", "Content-Language", "Max-Forwards", "Priority", "TE", "DNT"),
)
_VALUES = (
    *("", "*", "ko", "en;q=0", "xx-yy-zz," * 200, "q=q;q=1e999", "*/*;q=\u0661", "bytes=0-", "bytes=-1,0-0,5-1"),
    *("gzip, br;q=1.0, *;q=0", '"', "nunmal_session", "nunmal_session=", "nunmal_session=.", "nunmal_language=xx"),
    *('nunmal_session="a;b"', "nunmal_visitor=\x7f", "nunmal_half_way=a.b.c", "a=" + "b" * 6000, "; ; ;=;=a"),
    *("Bearer", "Bearer ", "Bearer sk-nunmal-" + "x" * 48, "Bearer \xff", "Basic YTpi", "Digest x", "bearer null"),
    *("outside.invalid", "outside.invalid:0", "[::1", "127.0.0.1:99999", "a b", "<script>", "@", "localhost\t"),
    *("0.0", "1.5", "-1.-1", "1.", ".1", "9" * 30 + ".1", "1." + "9" * 30, "\xb2.1", "1.0.0", "NaN.Infinity", "0x1.1"),
    *("127.0.0.1, ::1", "1.2.3.4, <x>", "999.1.1.1", "unknown", "for=<script>", "Mon, 99 Foo 20260 99:99:99 GMT"),
    *('W/"x"', "websocket", "h2c", "gzip", "DELETE", "/ops/access", "application/json; charset=utf-7", "-1"),
)
_TYPES = (
    *(b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain", b"", b"x"),
    *(b"multipart/form-data; boundary=x", b"application/json; charset=utf-16", b"APPLICATION/JSON", b"text/xml"),
    *(b"application/x-www-form-urlencoded; charset=euc-kr", b"application/json,text/plain", b"/", b"\xff/\xff"),
)
_FIELDS = (
    *(
        "model",
        "messages",
        "prompt",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "seed",
        "stop",
    ),
    *("stream", "stream_options", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "user", "tools"),
    *("top_k", "min_p", "repetition_penalty"),
    *("response_format", "logit_bias", "metadata", "priority", "echo", "best_of", "suffix", "functions", "store"),
    *("tool_choice", "audio", "modalities", "reasoning_effort", "service_tier", "prediction", "parallel_tool_calls"),
)
_SCHEMAS: tuple[Any, ...] = (
    *(True, {}, {"type": "object"}, {"type": "nonsense"}, {"$ref": "#"}, {"$ref": "http://outside.invalid/x.json"}),
    *({"$ref": "file:///etc/passwd"}, {"enum": []}, {"const": "가" * 300}, {"pattern": "(a+)+$", "type": "string"}),
    *({"type": "string", "pattern": "(" * 500}, {"type": "integer", "minimum": 1e308, "maximum": -1e308}),
    *({"allOf": [{"type": "string"}, {"type": "integer"}]}, {"not": {}}, {"type": "array", "minItems": 10**9}),
    *({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {"type": "object", "required": ["\u0000", "x"]}),
    *({"properties": {"\u202e": {"type": "string", "format": "date"}}}, {"type": "string", "maxLength": 10**12}),
)


class Attacker:
    """Draws requests. `member` and `ids`, of M's own things, which make doors go deeper than 404, may be changed."""

    def __init__(
        self, choice: random.Random, member: Identity, passer_by: Identity, ids: Sequence[str], model: str
    ) -> None:
        self.member = member
        self.ids = ids
        self._choice = choice
        self._passer_by = passer_by
        self._model = model

    def requests(self, host: bytes) -> Iterator[Request | bytes]:
        """Every form and page once as they are, then anything for ever. Bytes: what may be no request any more."""
        for path, fields in (*FORMS, *_PUBLIC_FORMS):
            for text in (*corpus.SCRIPTS[:4], *corpus.TEXTS[:12]):
                yield self._filled(path, dict.fromkeys(fields, text))
        for page in PAGES:
            yield self.member.get(self._path(page))
            yield NOBODY.get(self._path(page))
        often = (self._form, self._form, self._form, self._json, self._json)
        draws = (*often, self._files, self._page, self._headed, self._address)
        while True:
            request = self._choice.choice(draws)()
            yield request if self._choice.random() < 0.99 else self._mutated(request.raw(host))
            if self._choice.random() < 0.002:
                yield self._oversize()

    def _who(self, path: str = "") -> Identity:
        """Who signs up or logs in with a session loses it, so M does neither."""
        is_public = any(path == public for public, _ in _PUBLIC_FORMS)
        return NOBODY if self._choice.random() < 0.15 else self._passer_by if is_public else self.member

    def _id(self) -> str:
        match self._choice.randrange(8):
            case 0:
                return quote(corpus.text(self._choice)[:400], safe="")
            case 1:
                return quote_from_bytes(self._choice.choice(corpus.BYTES))
            case 2:
                return new_id()
            case _:
                return self._choice.choice(self.ids)

    def _path(self, template: str) -> str:
        while "{id}" in template:
            template = template.replace("{id}", self._id(), 1)
        return template

    def _form(self) -> Request:
        path, names = self._choice.choice((*FORMS, *FORMS, *_PUBLIC_FORMS))
        fields = {name: corpus.text(self._choice) for name in names}
        if "generation_id" in fields and self._choice.random() < 0.8:
            fields["generation_id"] = new_id()
        if "email" in fields and self._choice.random() < 0.7:
            fields["email"] = f"{corpus.text(self._choice)[:60].replace(' ', '')}@{new_id()}.invalid"
        if "password" in fields and self._choice.random() < 0.5:
            fields["password"] = f"{new_id()} {corpus.text(self._choice)[:20]}"
        fields.pop("which", None)  # or M would be logged out
        if self._choice.random() < 0.1:
            return self._broken_form(path)
        return self._filled(path, fields)

    def _filled(self, path: str, fields: dict[str, str]) -> Request:
        who = self._who(path)
        token = who.csrf if self._choice.random() < 0.95 else corpus.text(self._choice)
        body = urlencode({"csrf_token": token, **fields}, errors="surrogatepass").encode()
        return who.post(self._path(path), body)

    def _files(self) -> Request:
        """A form with files, which may be no pictures."""
        path = self._choice.choice(("/chat/pictures", "/chat/pictures", "/chat", "/chat/{id}"))
        who = self._who()
        parts: list[Part] = [("csrf_token", who.csrf), ("message", self._line()), ("alt", self._line())]
        for _ in range(self._choice.randrange(1, 6)):
            field = self._choice.choice(("picture", "pictures", "pictures"))
            if self._choice.random() < 0.2:
                parts.append((field, self._choice.choice(self.ids)))
            else:
                data = self._choice.choice(corpus.PICTURES)
                parts.append((field, self._line(), data if self._choice.random() < 0.7 else self._mutated(data + b" ")))
        body = multipart(parts)
        kind = CONTENT_TYPE.encode() if self._choice.random() < 0.9 else self._choice.choice(_TYPES)
        return who.post(self._path(path), body if self._choice.random() < 0.8 else self._mutated(body), kind)

    def _line(self) -> str:
        """What may stand in the head of a part."""
        return re.sub('[\r\n"\ud800-\udfff]', "", corpus.text(self._choice))[:200]

    def _broken_form(self, path: str) -> Request:
        who = self._who(path)
        pieces = [b"csrf_token=" + who.csrf.encode()]
        for _ in range(self._choice.randrange(1, 50)):
            name = self._choice.choice((b"message", b"title", b"name", b"next", b"email", *corpus.BYTES))
            pieces.append(name + b"=" + self._choice.choice(corpus.BYTES))
        body = self._choice.choice((b"&", b";", b"&&")).join(pieces)
        return who.post(self._path(path), body, self._choice.choice((_TYPES[1], *_TYPES)))

    def _page(self) -> Request:
        path = self._path(self._choice.choice(PAGES))
        if self._choice.random() < 0.4:
            names = ("next", "done", "from", "limit", "x", corpus.text(self._choice)[:20])
            query = {self._choice.choice(names): corpus.text(self._choice)[:2000]}
            path += f"?{urlencode(query, errors='surrogatepass')}"
        return self._who().get(path)

    def _json(self) -> Request:
        path = self._choice.choice(("/v1/chat/completions", "/v1/completions", "/v1/jobs", "/v1/chat/completions"))
        body: dict[str, Any] = {"model": self._model, "max_tokens": self._choice.choice((1, 5, 40))}
        if path == "/v1/completions":
            body["prompt"] = corpus.text(self._choice)[:500] or "x"
        else:
            body["messages"] = [{"role": "user", "content": self._content()}]
        for _ in range(self._choice.randrange(4)):
            body[self._choice.choice(_FIELDS)] = self._value()
        if self._choice.random() < 0.1:
            named = {"name": "x", "schema": self._choice.choice(_SCHEMAS)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        raw = json.dumps(body, ensure_ascii=self._choice.random() < 0.5).encode("utf-8", "surrogatepass")
        if self._choice.random() < 0.1:
            raw = self._cut(raw)
        kind = _JSON if self._choice.random() < 0.95 else self._choice.choice(_TYPES)
        return self._who().post(path, raw, kind)

    def _content(self) -> Any:
        if self._choice.random() < 0.8:
            return corpus.text(self._choice)[:500]
        data = base64.b64encode(self._choice.choice(corpus.PICTURES)).decode()
        urls = (f"data:image/png;base64,{data}", corpus.text(self._choice)[:500], "http://outside.invalid/x.png")
        return [{"type": "image_url", "image_url": {"url": self._choice.choice(urls)}} for _ in range(2)]

    def _value(self, depth: int = 0) -> Any:
        match self._choice.randrange(12 if depth < 3 else 8):
            case 0:
                return None
            case 1:
                return self._choice.choice((True, False))
            case 2:
                return self._choice.choice((0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 4, 20))
            case 3:
                return self._choice.choice((0.0, -0.0, 1e308, 1e-320, 0.5, 2.0, float("nan"), float("inf")))
            case 4 | 5 | 6:
                return corpus.text(self._choice)[:1000]
            case 7:
                return "\ud800"
            case 8 | 9:
                return [self._value(depth + 1) for _ in range(self._choice.randrange(4))]
            case _:
                names = (*_FIELDS, "role", "content", "type", "text", "name", "schema", "\ud800", "")
                return {self._choice.choice(names): self._value(depth + 1) for _ in range(self._choice.randrange(4))}

    def _cut(self, raw: bytes) -> bytes:
        at = self._choice.randrange(len(raw))
        middle = self._choice.choice((b"", b"\x00", b"\xff", b'"', b"}", b"[" * 3000, b"\xed\xa0\x80", b"1" * 5000))
        return raw[:at] + middle + raw[at + self._choice.randrange(3) :]

    def _headed(self) -> Request:
        """A page or a form with headers nobody sends."""
        request = self._form() if self._choice.random() < 0.3 else self._page()
        method = request.method if self._choice.random() < 0.6 else self._choice.choice(_METHODS)
        headers: Headers = request.headers
        for _ in range(self._choice.randrange(1, 4)):
            name = self._choice.choice(_HEADERS)
            value = self._choice.choice(_VALUES) if self._choice.random() < 0.8 else corpus.text(self._choice)[:500]
            coded = value.encode("utf-8", "surrogatepass").translate(None, b"\r\n\x00")
            headers = (*headers, (name.encode(), coded.strip()))
        body = request.body if method not in (b"GET", b"HEAD") else b""
        if body and self._choice.random() < 0.1:
            body = gzip.compress(body)
            headers = (*headers, (b"Content-Encoding", b"gzip"))
        return Request(method, request.target, headers, body)

    def _address(self) -> Request:
        pieces = [self._choice.choice(_PIECES) for _ in range(self._choice.randrange(1, 9))]
        begin = self._choice.choice((b"/", b"//", b"/static/", b"/chat/", b"/v1/", b"/ops/", b"/static/x/", b"/%2e/"))
        return Request(b"GET", begin + b"/".join(pieces), self._who().headers)

    def _mutated(self, raw: bytes) -> bytes:
        """With some bytes lost, changed or put in, mostly near the beginning."""
        for _ in range(self._choice.randrange(1, 5)):
            at = self._choice.randrange(min(len(raw), 300))
            middle = self._choice.choice(
                (b"", b"\x00", b"\xff", b" ", b"\r\n", b"\n", b":", b"%", b"/", b"\t", b"\x80" * 9)
            )
            raw = raw[:at] + middle + raw[at + self._choice.randrange(3) :]
        return raw

    def _oversize(self) -> Request:
        who = self._who()
        match self._choice.randrange(6):
            case 0:
                return who.post("/chat", b"csrf_token=" + who.csrf.encode() + b"&message=" + b"a" * (2 * 1024 * 1024))
            case 1:
                return who.post("/v1/chat/completions", b"[" * 1_000_000, _JSON)
            case 2:
                deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
                return who.post("/v1/jobs", b'{"model":"x","messages":' + deep + b"}", _JSON)
            case 3:
                return self._passer_by.post("/login", b"&".join(b"a%d=b" % number for number in range(20_000)))
            case 4:
                return who.post("/v1/completions", b'{"model":"x","seed":' + b"9" * 1_000_000 + b"}", _JSON)
            case _:
                names = ",".join(f'"{number}":0' for number in range(60_000))
                return who.post("/v1/chat/completions", f"{{{names}}}".encode(), _JSON)
