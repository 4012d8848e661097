"""
Options that several commands share, and the functions that read their texts.

Each option is a type that annotates a parameter, so that its name and help are the same everywhere.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from mrs_relay.cli import complete
from mrs_relay.common import clock

_CONNECTION: Final = "Connection"
_OUTPUT: Final = "Output"
_WAITING: Final = "Waiting"

Config = Annotated[
    pathlib.Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="TOML file with settings; environment variables win over it.",
        rich_help_panel=_CONNECTION,
    ),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        help="Kafka to talk to, instead of the setting kafka.bootstrap_servers.",
        rich_help_panel=_CONNECTION,
    ),
]
Tenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        help="Tenant of the settings; needed where there are several.",
        autocompletion=complete.tenants,
        rich_help_panel=_CONNECTION,
    ),
]
AnyTenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        metavar="NAME",
        help="Only this tenant of the settings.",
        autocompletion=complete.tenants,
        rich_help_panel=_CONNECTION,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="For programs: one JSON text a line, nothing else.", rich_help_panel=_OUTPUT)
]

Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="Wait at most this long, such as 90s or 10m, then exit 1.",
        rich_help_panel=_WAITING,
    ),
]

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_LONGEST_S: Final = 100 * 365 * 86_400.0
"""The longest duration: a clock cannot represent moments much further away."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> float | None:
    """Read a duration such as 90s, 10m, 1h30m or 2d as seconds; None when it is none."""
    pieces = _DURATION.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        return None
    found = sum(float(number) * _SECONDS[unit] for number, unit in pieces)
    return found if found <= _LONGEST_S else None


def timeout_s(text: str | None) -> float | None:
    """
    Read the value of `--timeout`, a duration or a number of seconds; None without one.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text is None:
        return None
    found = seconds(text) if not text.isdecimal() else float(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 10m or 1h30m", param_hint="--timeout")
    return found


def require_one(named: object, where: str | None, *, dry_run: bool = False) -> None:
    """
    Check that a command got either what it names, or `--where`, to which `--dry-run` belongs.

    Raises:
        typer.BadParameter: it got both, or neither, or a dry run of what it names.
    """
    if (named is None) == (where is None):
        raise typer.BadParameter("say which: by name, or by --where, and not both")
    if dry_run and where is None:
        raise typer.BadParameter("it belongs to --where", param_hint="--dry-run")


def moment_ms(text: str, option: str, or_else: str = "") -> int:
    """
    Read a time back such as 2h, or a moment, as milliseconds since the epoch.

    Args:
        text: to read.
        option: that it belongs to.
        or_else: further texts that the caller takes, for the error.

    Raises:
        typer.BadParameter: it is neither; names the option.
    """
    back_s = seconds(text)
    if back_s is not None:
        return clock.SystemClock().now_ms() - round(back_s * 1000)
    try:
        return clock.epoch_ms(text)
    except ValueError:
        wanted = f"{or_else}a duration such as 2h, or a time such as 2026-11-24T06:00:00Z"
        raise typer.BadParameter(f"{text!r}: expected {wanted}", param_hint=option) from None


def pairs(texts: Iterable[str] | None, *, option: str) -> dict[str, str]:
    """
    Read `name=value` texts.

    Raises:
        typer.BadParameter: a text has no `=` or no name; names the option.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not of the form name=value", param_hint=option)
        found[name] = value
    return found
