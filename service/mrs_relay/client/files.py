"""The seam to what uploads files: `obs.uploads.Uploader` fits it; nothing here knows OBS."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Protocol

Progress = Callable[[int, int], None]
"""Called with the bytes that were handed over so far, and with those of the whole file."""


class Files(Protocol):
    """Puts files where jobs find them."""

    async def upload(self, path: str | pathlib.Path, progress: Progress | None = None) -> str:
        """Put a file there, unless it is there already; returns the path for the request."""
