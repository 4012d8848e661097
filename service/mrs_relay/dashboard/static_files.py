"""Serve the style, the scripts and the picture of the pages from memory."""

from __future__ import annotations

import hashlib
import importlib.resources
from typing import Final

from aiohttp import web

from mrs_relay.api import problems

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
_FOREVER: Final = "public, max-age=31536000, immutable"


class StaticFiles:
    """The files; their addresses change with their content, so that browsers may keep them."""

    def __init__(self) -> None:
        folder = importlib.resources.files("mrs_relay.dashboard") / "static"
        self._files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
        self._digests = {
            name: hashlib.blake2b(content, digest_size=6).hexdigest() for name, content in self._files.items()
        }

    def address(self, name: str) -> str:
        """Return the address of a file."""
        return f"/static/{name}?v={self._digests[name]}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file."""
        name = request.match_info["name"]
        content = self._files.get(name)
        if content is None:
            raise problems.ProblemError(404, "no-such-path", f"{request.path[:200]}: there is no such file")
        is_newest = request.query.get("v") == self._digests[name]
        headers = {"Cache-Control": _FOREVER if is_newest else "no-cache"}
        return web.Response(
            body=content, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=headers
        )
