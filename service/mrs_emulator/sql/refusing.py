"""The one voice in which SQL is refused: "not played: WHAT; INSTEAD", never in DuckDB's words."""

from __future__ import annotations

from mrs_emulator.core import failures
from mrs_emulator.sql import macros

_ELSEWHERE = "leave it out, or test this statement on a cluster of MRS"


def not_played(what: str, instead: str = _ELSEWHERE) -> failures.SqlRefused:
    """Return the refusal of something that is not played, with what to do about it."""
    return failures.SqlRefused(f"{macros.REFUSED}{what}; {instead}")


def function(name: str) -> failures.SqlRefused:
    """Return the refusal of a function."""
    return not_played(f"function {name}", f"docs/emulator-sql.md lists the functions that are played; {_ELSEWHERE}")
