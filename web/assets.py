"""The files under static/, held in memory, at addresses that carry a hash of all of them.

`/static/<version>/js/main.js` never changes, so browsers keep it for good; modules and style sheets name each
other relatively and inherit the version. Comments and indentation are for us: browsers get scripts and style sheets
without them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import rcssmin
import rjsmin
from quart import Blueprint, Response, abort

_ROOT = Path(__file__).resolve().parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_SHORTENED: dict[str, Callable[[str], str]] = {".css": rcssmin.cssmin, ".js": rjsmin.jsmin}
_FOR_GOOD = "public, max-age=31536000, immutable"


class Assets:
    """Reads every file once, at start."""

    def __init__(self, root: Path = _ROOT) -> None:
        files = sorted(path for path in root.rglob("*") if path.suffix in _TYPES)
        self._bodies = {path.relative_to(root).as_posix(): _body(path) for path in files}
        digest = hashlib.sha256()
        for name, body in self._bodies.items():
            digest.update(f"{name}\0{len(body)}\0".encode() + body)
        self.version = digest.hexdigest()[:12]

    def size_bytes(self, name: str) -> int:
        """What a browser loads for `name`. Raises KeyError if there is no such file."""
        return len(self._bodies[name])

    def url(self, name: str) -> str:
        """Where the browser finds `name`. Raises KeyError if there is no such file."""
        if name not in self._bodies:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"

    def data_uri(self, name: str) -> str:
        """A small file as an address that needs no request."""
        kind = _TYPES[Path(name).suffix]
        return f"data:{kind};base64,{base64.b64encode(self._bodies[name]).decode()}"

    def response(self, name: str, cache: str) -> Response:
        """Aborts with 404 for an unknown name."""
        body = self._bodies.get(name)
        if body is None:
            abort(404)
        response = Response(body, content_type=_TYPES[Path(name).suffix])
        response.headers["Cache-Control"] = cache
        return response


def _body(path: Path) -> bytes:
    shortened = _SHORTENED.get(path.suffix)
    return shortened(path.read_text(encoding="utf-8")).encode() if shortened else path.read_bytes()


def assets_blueprint(assets: Assets) -> Blueprint:
    blueprint = Blueprint("assets", __name__)

    @blueprint.get("/static/<version>/<path:name>")
    async def static_file(version: str, name: str) -> Response:
        return assets.response(name, _FOR_GOOD if version == assets.version else "no-cache")

    @blueprint.get("/favicon.ico")
    async def favicon() -> Response:
        return assets.response("img/favicon.svg", "public, max-age=86400")

    return blueprint
