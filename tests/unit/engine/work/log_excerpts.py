"""Ends of logs as the programs print them, see `log_excerpts.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, NamedTuple


class Excerpt(NamedTuple):
    """
    The end of a log.

    Attributes:
        cause: what it shows; None: nothing clearly.
        source: where the wording is from.
        text: the lines.
    """

    cause: str | None
    source: str
    text: str


def _read() -> dict[str, Excerpt]:
    content = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {one["name"]: Excerpt(one.get("cause"), one["source"], one["text"]) for one in content["excerpt"]}


EXCERPTS: Final = _read()
"""Name -> excerpt."""
