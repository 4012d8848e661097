"""
All commands, and the handling of their errors: one line for people, an exit code for scripts, no stack.

Errors of this package are handled here; any other error is a bug and shows its stack.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from typer import core

import mrs_relay
from mrs_emulator import cli as emulator
from mrs_relay import errors
from mrs_relay.cli import (
    call,
    check,
    control,
    dead_letters,
    ledger,
    orphans,
    run,
    schemas,
    serve,
    settings_table,
    submit,
    topics,
    view,
    watch,
    web,
)
from mrs_relay.demo import command

_ORDER: Final = (
    "serve",
    "web",
    "demo",
    "emulate",
    "submit",
    "watch",
    "jobs",
    "cancel",
    "resolve",
    "orphans",
    "dead-letters",
    "call",
    "topics",
    "check",
    "settings",
    "schemas",
)


class _Commands(core.TyperGroup):
    """A command group that turns our errors into exit codes, also in tests, and lists the commands in order of use."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except errors.RelayError as error:
            for line in str(error).splitlines():
                view.err().print(view.plain(line, "bold red"), soft_wrap=True)
            raise typer.Exit(run.code_of(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(run.Code.INTERRUPTED) from None

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer's own signature
        """List the names in the order of `_ORDER`."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it would print local variables, which may be secrets
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=run.epilog("mrs-relay demo", "mrs-relay submit sql --help"),
)
_RUN: Final = "Run"
_USE: Final = "Use"
_LOOK_UP: Final = "Prepare and look up"


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


app.command(rich_help_panel=_RUN, epilog=run.epilog("mrs-relay serve", "mrs-relay serve --config relay.toml"))(
    serve.serve
)
app.command(rich_help_panel=_RUN, epilog=run.epilog("mrs-relay web", "mrs-relay web --config relay.toml"))(web.web)
app.command(
    rich_help_panel=_RUN,
    epilog=run.epilog("mrs-relay demo", "mrs-relay demo --keep", "mrs-relay demo --scale 0.2 --speed 2"),
)(command.demo)
app.command(
    rich_help_panel=_RUN,
    epilog="\n\n".join(
        [emulator.EPILOG, run.epilog("mrs-relay emulate --data tpch", "mrs-relay emulate --port 0 --speed 10")]
    ),
)(emulator.emulate)
app.add_typer(submit.app, name="submit", rich_help_panel=_USE)
app.command(
    rich_help_panel=_USE,
    epilog=run.epilog(
        "mrs-relay watch", "mrs-relay watch --from 10m --json", "mrs-relay watch --id nightly-7 --until-done 1"
    ),
)(watch.watch)
app.command(rich_help_panel=_USE, epilog=run.epilog("mrs-relay jobs --state running --state queued"))(ledger.jobs)
app.command(rich_help_panel=_USE, epilog=run.epilog("mrs-relay cancel nightly-7 --key CLUSTER-ID --note 'wrong date'"))(
    control.cancel
)
app.command(
    rich_help_panel=_USE,
    epilog=run.epilog(
        "mrs-relay resolve load-3 succeeded --key CLUSTER-ID --note 'rows are there'",
        "mrs-relay resolve load-3 load-4 failed --note 'looked, Ann'",
        "mrs-relay resolve failed --cluster CLUSTER-ID --reason-code cluster_gone --note 'cluster was deleted'",
    ),
)(control.resolve)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=_USE)
app.command(
    rich_help_panel=_USE,
    epilog=run.epilog("mrs-relay orphans", "mrs-relay orphans --cluster CLUSTER-ID --kill JOB-ID"),
)(orphans.orphans)
app.command(
    rich_help_panel=_USE,
    epilog=run.epilog(*call.EXAMPLES),
    context_settings={"help_option_names": []},  # its help depends on the operation named
)(call.call)
app.add_typer(topics.app, name="topics", rich_help_panel=_LOOK_UP)
app.command(
    rich_help_panel=_LOOK_UP, epilog=run.epilog("mrs-relay check", "mrs-relay check --config relay.toml --json")
)(check.check)
app.add_typer(schemas.app, name="schemas", rich_help_panel=_LOOK_UP)
app.command(name="settings", rich_help_panel=_LOOK_UP, epilog=run.epilog("mrs-relay settings kafka timeout"))(
    settings_table.show
)


def main() -> None:
    """Run the command `mrs-relay`."""
    app()
