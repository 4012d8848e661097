"""
`python -m mrs_relay.cli.reference`: write the generated pages of docs/, and check that they are up to date.

docs/operations.md is made from the operations, docs/reference.md by `cli.message_reference`, docs/metrics.md by
`cli.metric_reference`. Neighbours:
`mrs.reference` describes the client, the emulator's routes the emulator. The operations that a foreign client is tested
with are found in the tests, by the calls of its methods or by the names of listed operations.
"""

from __future__ import annotations

import pathlib
import re
from typing import Annotated, Final

import typer

from mrs_emulator.core import core, settings
from mrs_relay.cli import message_reference, metric_reference, run, view
from mrs_relay.engine.intake import policy_check
from mrs_relay.mrs import operation, reference
from mrs_relay.mrs.models import base

_TESTS: Final = "contract"
_FOREIGN: Final = re.compile(r"^test_(?!client_)\w*(sdk|otc|airflow|terraform|sahara)\w*\.py$")
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_HEAD: Final = """\
# Operations of MRS

Made by `make operations` from the values in `service/mrs_relay/mrs/operations/`; do not edit it.

Safety says what may be repeated when the outcome of a call is not known: a *read* changes nothing, the effect of a
*repeatable write* happens at most once, a *non-repeatable write* may happen twice. The budget is the documented number
of calls a minute. Names are those of the vendor's SDK; V1.1 operations whose name V2 has as well end in `V11`. The
emulator column says whether `mrs-relay emulate` plays it, the last but one which foreign client's test calls it.
`mrs-relay call NAME --help` shows the fields of each body.

The work that some operations begin continues after their reply, which ends a call by message: the request type under
"followed as" begins the same and follows it to its end. A tenant with `limits.running` or `limits.run_deadline_s` may
not call these by message.

Foreign clients are programs that others wrote against MRS, unmodified: the vendor's Python SDK (`huaweicloudsdkmrs`,
files `test_vendor_sdk_*`), the vendor's former Java SDK (`com.huawei:openstack4j`, `test_java_sdk`), and OpenStack's
Sahara client, whose API MRS V1.1 inherited (`python-saharaclient`, `test_sahara_sdk`). Python SDKs newer than V1.1's
stored jobs lack those; the Java SDK has all of them. It logs in by password here: with a key pair it signs in an older
form that the emulator does not know. `make foreign-clients` runs more of them, all that they have
([table](foreign-clients.md)): the vendor's SDKs in Python, Java and Go, Airflow's provider, and `otcextensions` with
`openstacksdk` up to 4.21, if the emulator runs with `v11.strict_required=false` (its update of a data source leaves out
the type); from `openstacksdk` 4.22 on it cannot create rows, on any server.
"""
_COLUMNS: Final = (
    *("operation", "sent as", "safety", "budget", "followed as", "body", "query", "reply", "emulator"),
    *("foreign client", "source"),
)

Folder = Annotated[pathlib.Path, typer.Argument(metavar="DIR", file_okay=False, exists=True, help="The repository.")]

app = typer.Typer(no_args_is_help=True, help="The references of operations and messages: write, check.")


@app.command()
def write(folder: Folder) -> None:
    """Write the pages below DIR."""
    for place, text in _pages(folder).items():
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
        typer.echo(place)


@app.command()
def check(folder: Folder) -> None:
    """Compare the pages below DIR with the operations and the models; exit 1 if one is out of date."""
    old = [
        place
        for place, text in _pages(folder).items()
        if not place.is_file() or place.read_text(encoding="utf-8") != text
    ]
    for place in old:
        view.err().print(f"{place} is out of date: write it again with `make operations`.", markup=False)
    if old:
        raise typer.Exit(run.Code.FAILED)


def markdown(folder: pathlib.Path) -> str:
    """
    Make the page of the operations.

    Args:
        folder: the repository, for the tests of foreign clients.
    """
    played = core.Emulator(settings.EmulatorSettings()).operations
    tests = {path.stem: path.read_text(encoding="utf-8") for path in sorted((folder / "tests" / _TESTS).glob("*.py"))}
    foreign = {name: text for name, text in tests.items() if _FOREIGN.match(f"{name}.py")}
    lines = [_HEAD]
    for group, members in reference.operations():
        lines += [f"## {group}", "", f"| {' | '.join(_COLUMNS)} |", "|" + " --- |" * len(_COLUMNS)]
        lines += [f"| {' | '.join(_cells(each, played, foreign))} |" for each in members]
        lines.append("")
        lines += [f"- **{each.name}**: {reference.summary(each)}" for each in members]
        lines.append("")
    return "\n".join(lines)


def _cells(each: operation.AnyOperation, played: frozenset[str], foreign: dict[str, str]) -> list[str]:
    method = _CAPITAL.sub("_", each.name.removesuffix("V11")).lower()
    used = [name for name, text in foreign.items() if re.search(rf"\.{method}\b|\"{each.name}\"", text)]

    return [
        f"`{each.name}`",
        f"`{each.verb} {each.path}`",
        each.safety.value,
        str(each.per_minute) if each.per_minute else "not documented",
        policy_check.FOLLOWED_BY.get(each.name, "-"),
        _model(each.body),
        _model(each.query),
        _model(each.reply),
        "yes" if each.name in played else "no",
        ", ".join(f"`{name}`" for name in used) or "-",
        each.source,
    ]


def _model(model: type[base.Asked | base.Reply] | None) -> str:
    return f"`{model.__module__.rpartition('.')[2]}.{model.__name__}`" if model else "-"


def _pages(folder: pathlib.Path) -> dict[pathlib.Path, str]:
    docs = folder / "docs"
    return {
        docs / "operations.md": markdown(folder),
        docs / "reference.md": message_reference.markdown(),
        docs / "metrics.md": metric_reference.markdown(),
    }


if __name__ == "__main__":
    app()
