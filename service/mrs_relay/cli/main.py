"""
All commands, and the handling of their errors: one line for people, an exit code for scripts, no stack.

A command is imported when it is called, so that it starts without what other commands need. Errors of this package are
handled here; any other error is a bug and shows its stack.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from typer import core

import mrs_relay
from mrs_relay import errors
from mrs_relay.cli import run, summaries

_RUN: Final = "Run"
_USE: Final = "Use"
_LOOK_UP: Final = "Prepare and look up"


@dataclass(frozen=True, slots=True)
class _Command:
    """
    Where a command is defined, and its place in the help.

    Attributes:
        module: the module that defines it.
        attribute: its function, or the typer application of its subcommands.
        panel: the part of the help that lists it.
        examples: calls of it for the end of its help; its subcommands have their own.
        notes: the attribute of the module whose text stands before the examples.
        own_help: whether the function itself answers `--help`.
    """

    module: str
    attribute: str
    panel: str
    examples: tuple[str, ...] = ()
    notes: str = ""
    own_help: bool = False

    def load(self, name: str) -> Any:  # noqa: ANN401 - typer has no public name for the type of a command
        """Import the command and make it what typer runs."""
        module = importlib.import_module(self.module)
        found: typer.Typer | Callable[..., None] = getattr(module, self.attribute)
        group = typer.Typer(add_completion=False)
        group.callback()(lambda: None)  # so that typer makes a group, even of one command

        if isinstance(found, typer.Typer):
            group.add_typer(found, name=name, rich_help_panel=self.panel)
        else:
            examples = run.epilog(*self.examples)
            epilog = f"{getattr(module, self.notes)}\n\n{examples}" if self.notes else examples
            settings: dict[Any, Any] | None = {"help_option_names": []} if self.own_help else None
            group.command(name=name, rich_help_panel=self.panel, epilog=epilog, context_settings=settings)(found)
        made: Any = typer.main.get_command(group)
        return made.commands[name]


_COMMANDS: Final[Mapping[str, _Command]] = {
    "serve": _Command("mrs_relay.cli.serve", "serve", _RUN, ("mrs-relay serve", "mrs-relay serve --config relay.toml")),
    "web": _Command("mrs_relay.cli.web", "app", _RUN),
    "lineage": _Command("mrs_relay.cli.lineage", "app", _RUN),
    "demo": _Command(
        "mrs_relay.demo.command",
        "demo",
        _RUN,
        ("mrs-relay demo", "mrs-relay demo --keep", "mrs-relay demo --scale 0.2 --speed 2"),
    ),
    "emulate": _Command(
        "mrs_emulator.cli",
        "emulate",
        _RUN,
        ("mrs-relay emulate --data tpch", "mrs-relay emulate --port 0 --speed 10"),
        notes="EPILOG",
    ),
    "submit": _Command("mrs_relay.cli.submit", "app", _USE),
    "wait": _Command(
        "mrs_relay.cli.wait_command",
        "wait_for",
        _USE,
        ("mrs-relay wait nightly-7 --timeout 10m", "mrs-relay wait nightly-7 nightly-8 --since 3d --json"),
    ),
    "events": _Command(
        "mrs_relay.cli.events",
        "events",
        _USE,
        (
            "mrs-relay events --since 1d --state failed",
            "mrs-relay events --follow --label team=etl --json",
            "mrs-relay events --after 'mrs.events~0123456789ab:17.4' --json",
        ),
    ),
    "watch": _Command(
        "mrs_relay.cli.events",
        "watch",
        _USE,
        ("mrs-relay watch", "mrs-relay watch --from 10m --json", "mrs-relay watch --id nightly-7 --until-done 1"),
    ),
    "jobs": _Command("mrs_relay.cli.ledger", "jobs", _USE, ("mrs-relay jobs --state running --state queued",)),
    "why": _Command("mrs_relay.cli.why", "why", _USE, ("mrs-relay why nightly-7", "mrs-relay why nightly-7 --json")),
    "status": _Command("mrs_relay.cli.status", "show", _USE, ("mrs-relay status", "mrs-relay status --watch")),
    "cancel": _Command(
        "mrs_relay.cli.control",
        "cancel",
        _USE,
        (
            "mrs-relay cancel nightly-7 --key CLUSTER-ID --note 'wrong date'",
            "mrs-relay cancel --where 'state=queued label.team=etl older=2h' --reason 'wrong input' --dry-run",
        ),
    ),
    "retry": _Command(
        "mrs_relay.cli.retry",
        "retry",
        _USE,
        (
            "mrs-relay retry nightly-7 --reason 'input was late'",
            "mrs-relay retry --where 'state=failed newer=1d' --reason 'input was late'",
        ),
    ),
    "resolve": _Command(
        "mrs_relay.cli.control",
        "resolve",
        _USE,
        (
            "mrs-relay resolve load-3 succeeded --key CLUSTER-ID --note 'rows are there'",
            "mrs-relay resolve load-3 load-4 failed --note 'looked, Ann'",
            "mrs-relay resolve failed --cluster CLUSTER-ID --reason-code cluster_gone --note 'cluster was deleted'",
        ),
    ),
    "hold": _Command(
        "mrs_relay.cli.holds",
        "hold",
        _USE,
        (
            "mrs-relay hold cluster/CLUSTER-ID --reason 'upgrade' --until 2h",
            "mrs-relay hold all --reason 'MRS misbehaves'",
            "mrs-relay hold --where 'state=queued text=nightly' --reason 'input is late' --until 2h",
        ),
    ),
    "drain": _Command(
        "mrs_relay.cli.holds", "drain", _USE, ("mrs-relay drain cluster/CLUSTER-ID --reason 'is deleted' --wait",)
    ),
    "quarantine": _Command(
        "mrs_relay.cli.holds",
        "quarantine",
        _USE,
        (
            "mrs-relay quarantine label/team=etl --reason 'wrong input'",
            "mrs-relay quarantine label/team=etl --reject --reason 'are sent again'",
        ),
    ),
    "skip": _Command(
        "mrs_relay.cli.holds", "skip", _USE, ("mrs-relay skip mrs.requests/3/1042 --reason 'sent by mistake'",)
    ),
    "release": _Command(
        "mrs_relay.cli.holds",
        "release",
        _USE,
        (
            "mrs-relay release cluster/CLUSTER-ID",
            "mrs-relay release request/r-1",
            "mrs-relay release --where 'label.team=etl' --reason 'input is there'",
        ),
    ),
    "controls": _Command(
        "mrs_relay.cli.holds", "list_controls", _USE, ("mrs-relay controls", "mrs-relay controls --json")
    ),
    "orphans": _Command(
        "mrs_relay.cli.orphans",
        "orphans",
        _USE,
        ("mrs-relay orphans", "mrs-relay orphans --cluster CLUSTER-ID --kill JOB-ID --reason 'left by a test'"),
    ),
    "audit": _Command(
        "mrs_relay.cli.audit",
        "audit",
        _USE,
        ("mrs-relay audit", "mrs-relay audit --since 30d --action cancel --json", "mrs-relay audit --id nightly-7"),
    ),
    "dead-letters": _Command("mrs_relay.cli.dead_letters", "app", _USE),
    "call": _Command(
        "mrs_relay.cli.call",
        "call",
        _USE,
        (
            "mrs-relay call --list",
            "mrs-relay call CreateExecuteJob --help",
            "mrs-relay call ShowClusterDetails --path cluster_id=6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01",
            "mrs-relay call ListClusters --query clusterState=running --json",
            "mrs-relay call CreateExecuteJob --path cluster_id=… --body @job.json",
        ),
        own_help=True,  # it depends on the operation named
    ),
    "topics": _Command("mrs_relay.cli.topics", "app", _LOOK_UP),
    "ledger": _Command("mrs_relay.cli.ledger_files", "app", _LOOK_UP),
    "check": _Command(
        "mrs_relay.cli.check", "check", _LOOK_UP, ("mrs-relay check", "mrs-relay check --config relay.toml --json")
    ),
    "settings": _Command("mrs_relay.cli.settings_table", "show", _LOOK_UP, ("mrs-relay settings kafka timeout",)),
    "schemas": _Command("mrs_relay.cli.schemas", "app", _LOOK_UP),
}
"""All commands in the order of use, which is that of the help."""


class _OnDemand(Mapping[str, Any]):
    """The commands by name; each is imported when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a command, see `_Command.load`
        if name not in self._loaded:
            self._loaded[name] = _COMMANDS[name].load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Commands(core.TyperGroup):
    """A command group that turns our errors into exit codes, also in tests, and imports commands on demand."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - typer's own signature
        super().__init__(**options)
        self.commands = _OnDemand()  # type: ignore[assignment] # nothing is ever added

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except errors.RelayError as error:
            from mrs_relay.cli import view  # noqa: PLC0415 - most commands end without an error

            for line in str(error).splitlines():
                view.err().print(view.plain(line, "bold red"), soft_wrap=True)
            raise typer.Exit(run.code_of(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(run.Code.INTERRUPTED) from None

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:  # noqa: ANN401 - typer's own signature
        """Complete the names of commands without importing the commands."""
        with self._listed():
            return super().shell_complete(ctx, incomplete)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer's own signature
        """List the commands without importing them."""
        with self._listed():
            super().format_help(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's own signature
        """List the names without importing the commands."""
        del ctx
        return list(_COMMANDS)

    @contextlib.contextmanager
    def _listed(self) -> Iterator[None]:
        """Have each command with no more than its line in a list."""
        loaded = self.commands
        self.commands = {
            name: core.TyperCommand(name, help=summaries.SUMMARIES[name], rich_help_panel=one.panel)
            for name, one in _COMMANDS.items()
        }
        try:
            yield
        finally:
            self.commands = loaded


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it would print local variables, which may be secrets
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=run.epilog("mrs-relay demo", "mrs-relay submit sql --help"),
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"mrs-relay {mrs_relay.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """One request message, one Huawei Cloud MRS job, and every status change on Kafka, in order."""
    del version


def main() -> None:
    """Run the command `mrs-relay`."""
    app()
