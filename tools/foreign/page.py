"""docs/foreign-clients.md: what the last run of `make foreign-clients` has seen."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support import overview
from tools.foreign import playing

COLUMNS = ("client", "version", "call", "operation", "result")
_PAGE = playing.ROOT / "docs" / "foreign-clients.md"
_HEAD = """\
# Foreign clients of the emulator

Written by `make foreign-clients`; do not edit it. Each client is a package as its authors have published it. It runs
unmodified against an emulator of its own, and each of its calls is judged twice: by what the client made of the reply,
and by the operation that the emulator has answered with success. The vendor's SDKs in three languages play one
scenario, built of their own models. A method of the API overview that a client has and no step calls is a failure, so a
new version cannot grow past the table.
"""


def summary(found: Sequence[playing.Played]) -> str:
    """Return one line on the whole run."""
    rows = [row for one in found for row in one.rows.values()]
    operations = reached(found)
    return (
        f"{len(found)} clients, {len(rows)} calls, {len(rows) - sum(len(one.failed) for one in found)} right; "
        f"{len(operations)} of {len(overview.OVERVIEW)} operations of the API overview"
    )


def reached(found: Sequence[playing.Played]) -> set[str]:
    """Return the operations of the API overview that some client's call has reached."""
    return set().union(*(row.operations for one in found for row in one.rows.values())) & overview.OVERVIEW.keys()


def text(found: Sequence[playing.Played]) -> str:
    """Return the page."""
    missing = sorted(overview.OVERVIEW.keys() - reached(found))
    parts = [_HEAD, f"\n{summary(found)}."]

    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        parts.append(f" No client here has {names}; [operations](operations.md) names the tests that call it.")

    parts.append("\n\n| client | version | calls | right |\n| --- | --- | --- | --- |\n")
    parts += [
        f"| {one.name} | {one.version} | {len(one.rows)} | {len(one.rows) - len(one.failed)} |\n" for one in found
    ]

    for one in found:
        parts.append(f"\n## {one.name}\n\n{one.version}\n\n| call | operation | result |\n| --- | --- | --- |\n")
        parts += [
            f"| `{row.call}` | {', '.join(f'`{name}`' for name in sorted(row.operations)) or '-'} "
            f"| {row.error.replace('|', '/') or 'right'} |\n"
            for row in one.rows.values()
        ]

    return "".join(parts)


def write(found: Sequence[playing.Played]) -> None:
    """Write the page."""
    _PAGE.write_text(text(found), encoding="utf-8")
