"""
`mrs-emulator`, and `mrs-relay emulate`: an MRS to try things on, at a port of this machine.

Flags for what is changed often, a file for all the rest; what is printed can be pasted into a shell.
"""

from __future__ import annotations

import asyncio
import logging
import pathlib
import signal
import sys
import tomllib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import pydantic
import structlog
import typer
from rich import box, console, table, text

from mrs_emulator.core import failures
from mrs_emulator.core import settings as emulator_settings
from mrs_emulator.jobs import rules
from mrs_emulator.sql import tables

_ACCESS: Final = "Access"
_LIFE: Final = "Life of jobs"
_PIPE_WIDTH: Final = 160
_WRONG_USAGE: Final = 2
_INTERRUPTED: Final = 130

EPILOG: Final = rules.RULES
"""What a user should know beside the flags, for the end of the help."""


def emulate(
    *,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free one. Default: 8181.")
    ] = None,
    data: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Parquet and CSV files; each is a table for SQL.",
        ),
    ] = None,
    obs: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--obs", metavar="DIR", file_okay=False, help="Folder that plays OBS. Default: obs inside of --data."
        ),
    ] = None,
    obs_port: Annotated[
        int | None,
        typer.Option(
            "--obs-port", min=0, max=65535, help="Serve that folder as OBS here. 0 takes a free one. Default: no."
        ),
    ] = None,
    state: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--state", metavar="FILE", dir_okay=False, help="Keep everything over a restart in this file. Default: no."
        ),
    ] = None,
    faults: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--faults",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="TOML or JSON file with trouble to make, as POST /emulator/faults takes it.",
        ),
    ] = None,
    cluster: Annotated[
        list[str] | None, typer.Option("--cluster", metavar="ID", help="A cluster; repeat for more. Default: one.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", min=0, help="Jobs a cluster runs at once, 0: any number. Default: 10.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option("--speed", help="Divides all durations of jobs. Default: 1.", rich_help_panel=_LIFE)
    ] = None,
    run_s: Annotated[
        float | None,
        typer.Option("--run-s", min=0, help="Seconds a scripted job runs. Default: 3.", rich_help_panel=_LIFE),
    ] = None,
    no_limits: Annotated[
        bool, typer.Option("--no-limits", help="No calls-per-minute limits.", rich_help_panel=_LIFE)
    ] = False,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Accept unsigned requests.", rich_help_panel=_ACCESS)
    ] = False,
    access_key: Annotated[
        str | None, typer.Option("--access-key", help="AK that may sign.", rich_help_panel=_ACCESS)
    ] = None,
    secret_key: Annotated[
        str | None,
        typer.Option("--secret-key", help="Its SK. Others can see it in the process list.", rich_help_panel=_ACCESS),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="ID", help="The project id.", rich_help_panel=_ACCESS)
    ] = None,
    config: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", exists=True, dir_okay=False, help="TOML file with all the rest."
        ),
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = "WARNING",
) -> None:
    """
    Play MRS on a port: signed requests, jobs that live and die, SQL that really runs over --data.

    Ctrl-C ends it. Nothing is kept without --state; results of SQL and tables it wrote never are.
    """
    flags: dict[str, Any] = {"host": host, "port": port, "data": data, "obs_dir": obs, "project_id": project}
    flags["obs_port"] = obs_port
    flags["state_file"] = state
    flags["faults_file"] = faults
    flags["pace"] = {"speed": speed, "run_s": run_s}
    flags["limits"] = {"on": False} if no_limits else {}
    flags["auth"] = False if no_auth else None

    try:
        chosen = settings(_file(config), flags, clusters=cluster or (), slots=slots, key_pair=(access_key, secret_key))
        _log_from(log_level)
        asyncio.run(_serve(chosen, own_secret=secret_key is not None or config is not None))
    except failures.CannotStart as error:
        for line in str(error).splitlines():
            console.Console(stderr=True, highlight=False).print(text.Text(line, style="bold red"), soft_wrap=True)
        raise typer.Exit(_WRONG_USAGE) from None
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def settings(
    file: dict[str, Any],
    flags: dict[str, Any],
    *,
    clusters: Sequence[str],
    slots: int | None,
    key_pair: tuple[str | None, str | None],
) -> emulator_settings.EmulatorSettings:
    """
    Join file and flags; flags win.

    Raises:
        CannotStart: names the setting.
    """
    merged = {**file}
    for name, value in flags.items():
        if isinstance(value, dict):
            given = {key: inner for key, inner in value.items() if inner is not None}
            merged[name] = {**merged.get(name, {}), **given}
        elif value is not None:
            merged[name] = value

    if clusters:
        merged["clusters"] = [{"cluster_id": one, "name": one} for one in clusters]
    if slots is not None:
        merged["clusters"] = [{**one, "slots": slots} for one in merged.get("clusters", [{}])]
    pair = {name: key for name, key in zip(("access_key", "secret_key"), key_pair, strict=True) if key is not None}
    if pair:
        merged["credentials"] = [pair]

    try:
        return emulator_settings.EmulatorSettings.model_validate(merged)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults]
        raise failures.CannotStart("\n".join(lines)) from None  # the input may hold a secret


def _file(path: pathlib.Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise failures.CannotStart(f"the settings file {path} cannot be read: {error}") from error


async def _serve(chosen: emulator_settings.EmulatorSettings, *, own_secret: bool) -> None:
    from mrs_emulator.http import server  # noqa: PLC0415 - aiohttp and SQL; the other commands start sooner without

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server.running(chosen) as running:
        names = [table.name for table in tables.find(chosen.data)] if chosen.data else []
        out = console.Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
        obs_url = None if running.obs_port is None else running.obs_url
        out.print(greeting(chosen, running.url, names, own_secret=own_secret, obs_url=obs_url))
        await stop.wait()


def greeting(
    chosen: emulator_settings.EmulatorSettings,
    url: str,
    table_names: Sequence[str],
    *,
    own_secret: bool,
    obs_url: str | None = None,
) -> console.Group:
    """Return what it serves and how to use it; a secret key of the user's own is not shown."""
    facts = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=False)
    for _ in range(2):
        facts.add_column(no_wrap=True, overflow="ellipsis")
    facts.add_row("MRS emulator", text.Text(url, style="bold green"))

    for one in chosen.clusters:
        limit = f"{one.slots} jobs at once" if one.slots else "any number of jobs"
        facts.add_row("cluster", _plain(f"{one.cluster_id}  ({one.name}, {one.state}, {limit})"))

    facts.add_row("tables", _plain(", ".join(table_names) or "none: give a folder with --data"))
    facts.add_row("OBS", _plain(obs_url or "not served: give --obs-port"))
    facts.add_row("signature", "checked" if chosen.auth else "not checked (--no-auth)")
    facts.add_row("page", _plain(f"{url}/" if chosen.admin else "off"))
    facts.add_row("admin", _plain(f"{url}/emulator/health, /effects, /faults, /clock" if chosen.admin else "off"))
    pair = chosen.credentials[0]
    secret = "<the secret key you gave>" if own_secret else pair.secret_key.get_secret_value()
    lines = {"ENDPOINT": url, "PROJECT_ID": chosen.project_id, "ACCESS_KEY": pair.access_key, "SECRET_KEY": secret}
    exports = "\n".join(f"export MRS_RELAY_MRS__{name}={value}" for name, value in lines.items())

    return console.Group(
        facts, text.Text("\nTo let a relay use it:\n", style="dim"), _plain(exports), text.Text("mrs-relay serve\n")
    )


def _plain(words: str) -> text.Text:
    """Return text that is shown as it is; control characters are made visible."""
    return text.Text("".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in words))


def _log_from(level: str) -> None:
    """Write log lines of this level and above to standard error."""
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise failures.CannotStart(f"--log-level: no level {level!r}; give DEBUG, INFO, WARNING or ERROR")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(known[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> None:
    """Run the command `mrs-emulator`."""
    app = typer.Typer(
        pretty_exceptions_enable=False,  # it prints local variables, and those may be secrets
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(epilog=EPILOG)(emulate)
    app(prog_name="mrs-emulator")
