"""The page at `/`: one static file, which a content policy allows to run its own script and nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import re

from mrs_emulator.core import wire


@functools.cache
def reply() -> wire.Reply:
    """Return the page with its policy; read once."""
    text = importlib.resources.files(__package__ or "").joinpath("page.html").read_text(encoding="utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(text, 'style')}",
            f"script-src {_hash(text, 'script')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )

    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }

    return wire.Reply(200, text.encode(), headers, "text/html;charset=UTF-8")


def _hash(text: str, tag: str) -> str:
    """Return the source expression that allows the one inline element with this tag."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    content = found[1] if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
