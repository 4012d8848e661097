"""The headers that every reply has, so that browsers run, embed and pass on nothing that is not ours."""

from __future__ import annotations

from typing import Final

from aiohttp import web

_EVERY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content security policy of pages: nothing from elsewhere, and no script or style within a page."""

_A_YEAR: Final = "max-age=31536000"


async def add(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers to a reply that has not been sent; those that the handler set stay."""
    policy = _PAGE if response.content_type == "text/html" else _NOTHING
    for name, text in {**_EVERY, "Content-Security-Policy": policy}.items():
        response.headers.setdefault(name, text)
    if request.secure:
        response.headers.setdefault("Strict-Transport-Security", _A_YEAR)
