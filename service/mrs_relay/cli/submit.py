"""
`mrs-relay submit`: send requests from flags, a file or standard input, and optionally wait for their last events.

Reading of the events begins before the first request is sent, so none is missed. Neighbours: `compose` makes the
messages, `wait` follows them, `kafka.topic_io` sends.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from mrs_relay import errors
from mrs_relay.cli import complete, compose, connect, options, run, uploading, view, wait
from mrs_relay.common import clock

app = typer.Typer(
    no_args_is_help=True, help="Send requests: a batch job, a SQL statement, or whole messages from a file."
)

_MESSAGE = "Message"
_WAITING = "Waiting"
_ROWS = "Rows"

Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="ID",
        help="MRS cluster id, or what to choose one by: name:NAME,tag:KEY=VALUE,...",
        autocompletion=complete.clusters,
    ),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id", help="Request id; the same id is never run twice. Default: a new UUID.", rich_help_panel=_MESSAGE
    ),
]
Source = Annotated[
    str, typer.Option("--source", help="Who sends it; with the id it names the request.", rich_help_panel=_MESSAGE)
]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Kafka key. Default: the cluster id, or the request id.", rich_help_panel=_MESSAGE),
]
Priority = Annotated[
    int | None,
    typer.Option(
        "--priority", min=0, max=9, help="9 is first among waiting jobs. Default: 5.", rich_help_panel=_MESSAGE
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label", "-l", metavar="NAME=VALUE", help="Your own words, in every event.", rich_help_panel=_MESSAGE
    ),
]
NotBefore = Annotated[
    str | None,
    typer.Option(
        "--not-before",
        metavar="TIME",
        help="Do not submit before: 2026-12-01T06:00:00Z, or from now on 10m, 2h.",
        rich_help_panel=_MESSAGE,
    ),
]
NoValidate = Annotated[
    bool, typer.Option("--no-validate", help="Send even what the relay will reject.", rich_help_panel=_MESSAGE)
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Follow until the last event.", rich_help_panel=_WAITING)]


@app.command(
    epilog=run.epilog(
        "mrs-relay submit job --cluster C --type SparkSubmit --name pi --arg obs://b/pi.py --arg 100 --wait",
        "mrs-relay submit job --cluster C --type MapReduce --arg wordcount --property mapreduce.job.priority=HIGH",
        "mrs-relay submit job --cluster C --type SparkSubmit --upload app.jar -a --class -a org.App -a '{app.jar}'",
    )
)
def job(
    *,
    cluster: Cluster,
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help="MRS job type, such as SparkSubmit or Flink.")],
    name: Annotated[str, typer.Option("--name", help="Name on MRS; a token is added to it.")] = "job",
    arg: Annotated[
        list[str] | None, typer.Option("--arg", "-a", help="One argument; repeat for more, in order. No secrets.")
    ] = None,
    prop: Annotated[
        list[str] | None, typer.Option("--property", "-p", metavar="NAME=VALUE", help="One MRS property; repeat.")
    ] = None,
    upload: Annotated[
        list[pathlib.Path] | None,
        typer.Option(
            "--upload",
            metavar="FILE",
            help="Put a file into OBS, unless it is there, and its path where an argument, property or field says "
            "{NAME}, else first among the arguments; repeat.",
        ),
    ] = None,
    api: Annotated[
        str | None, typer.Option("--api", metavar="API", help="v1.1 for clusters that are too old for v2.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field", metavar="NAME=VALUE", help="One field of a v1.1 job, such as jar_path or output; repeat."
        ),
    ] = None,
    request_id: Id = None,
    source: Source = compose.SOURCE,
    key: Key = None,
    priority: Priority = None,
    label: Label = None,
    not_before: NotBefore = None,
    no_validate: NoValidate = False,
    wait_for_end: Wait = False,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """Run one batch job: MapReduce, SparkSubmit, SparkPython, SparkScript, HiveScript, DistCp, Flink and the like."""
    body = {
        "job_type": kind,
        "job_name": name,
        "arguments": arg,
        "properties": options.pairs(prop, option="--property"),
        **options.pairs(field, option="--field"),
    }

    files = uploading.looked_at(upload, config, tenant)
    body = uploading.placed(body, files, old=api is not None)
    old = {} if api is None else {"api": api}
    on = {"cluster": compose.cluster(cluster), **old}
    data = {**on, "job": _without_empty(body), **_common(priority, label, not_before)}
    how = _how(wait.How(config, bootstrap, tenant, as_json=as_json), timeout, wait_for_end=wait_for_end)
    defaults = compose.Defaults(source, key, not no_validate)
    _send([_request("mrs.job.submit", request_id, data)], defaults, how, first=files.send)


@app.command(
    epilog=run.epilog(
        'mrs-relay submit sql --cluster C --engine spark --statement "SELECT count(*) FROM orders" --wait',
        "mrs-relay submit sql --cluster C --engine presto --file report.sql --deliver both --timeout 10m",
    )
)
def sql(
    *,
    cluster: Cluster,
    engine: Annotated[str, typer.Option("--engine", metavar="ENGINE", help="presto, spark or hive.")],
    statement: Annotated[str | None, typer.Option("--statement", "-s", metavar="TEXT", help="The SQL text.")] = None,
    file: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="F.sql",
            help="Or a file of it, - for stdin.",
        ),
    ] = None,
    database: Annotated[str | None, typer.Option("--database", help="Where it runs. Default: default.")] = None,
    archive_path: Annotated[
        str | None, typer.Option("--archive-path", metavar="OBS", help="obs:// folder for a Presto SELECT's rows.")
    ] = None,
    deliver: Annotated[
        str | None,
        typer.Option(
            "--deliver",
            metavar="HOW",
            help="How rows that lie in OBS come back: inline, location or both. See docs/results.md.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Of these rows: rows, csv or arrow.", rich_help_panel=_ROWS),
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option("--max-rows", min=0, help="Most rows in the event.", rich_help_panel=_ROWS)
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option("--max-bytes", min=0, help="Most bytes of rows in the event.", rich_help_panel=_ROWS)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name on MRS (spark, hive).")] = None,
    request_id: Id = None,
    source: Source = compose.SOURCE,
    key: Key = None,
    priority: Priority = None,
    label: Label = None,
    not_before: NotBefore = None,
    no_validate: NoValidate = False,
    wait_for_end: Wait = False,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """Run SQL with Presto, Spark or Hive."""
    body = {
        "cluster": compose.cluster(cluster),
        "engine": engine,
        "statement": _statement(statement, file),
        "database": database,
        "archive_path": archive_path,
        "result": _without_empty(
            {"deliver": deliver, "format": form, "max_rows": max_rows, "max_bytes": max_bytes},
        ),
        "job_name": name,
    }
    data = {**_without_empty(body), **_common(priority, label, not_before)}
    how = _how(wait.How(config, bootstrap, tenant, as_json=as_json), timeout, wait_for_end=wait_for_end)
    _send([_request("mrs.sql.submit", request_id, data)], compose.Defaults(source, key, not no_validate), how)


@app.command(
    name="file",
    epilog=run.epilog("mrs-relay submit file requests.jsonl --wait", "my-generator | mrs-relay submit file - --json"),
)
def whole(
    *,
    path: Annotated[pathlib.Path, typer.Argument(metavar="PATH", help="- for stdin.")],
    source: Source = compose.SOURCE,
    key: Key = None,
    no_validate: NoValidate = False,
    wait_for_end: Wait = False,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Send whole request messages: one JSON object, a list of them, or one on each line.

    A message without id or source gets one. All are checked before the first is sent.
    """
    how = _how(wait.How(config, bootstrap, tenant, as_json=as_json), timeout, wait_for_end=wait_for_end)
    _send(compose.documents(_read(path)), compose.Defaults(source, key, not no_validate), how)


def _how(how: wait.How, timeout: str | None, *, wait_for_end: bool) -> wait.How:
    timeout_s = options.timeout_s(timeout)
    return dataclasses.replace(how, wait=wait_for_end or timeout_s is not None, timeout_s=timeout_s)


async def _nothing() -> None:
    """Do nothing before the messages are sent."""


def _send(
    documents: Sequence[dict[str, Any]],
    defaults: compose.Defaults,
    how: wait.How,
    first: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    messages = [_numbered(number, document, defaults, len(documents)) for number, document in enumerate(documents, 1)]
    if not messages:
        raise errors.BadMessage("missing_field", "there is no message in it")
    kafka = connect.kafka(how.config, how.bootstrap, how.tenant)

    async def work() -> run.Code:
        await first()
        return await wait.deliver(messages, kafka, how)

    try:
        code = run.loop(work())
    except KeyboardInterrupt:
        names = " ".join(f"--id {shlex.quote(message.id)}" for message in messages[:5])
        hint = f"The requests that were sent continue; to follow them: mrs-relay watch --from 1h {names}"
        view.err().print(view.plain(hint, "yellow"), soft_wrap=True)
        raise
    if code:
        raise typer.Exit(code)


def _numbered(number: int, document: dict[str, Any], defaults: compose.Defaults, total: int) -> compose.Message:
    try:
        return compose.message(document, defaults)
    except errors.BadMessage as error:
        if total == 1:
            raise
        raise errors.BadMessage(error.code, f"message {number}: {error.message}", field=error.field) from error


def _request(kind: str, request_id: str | None, data: dict[str, Any]) -> dict[str, Any]:
    now = clock.rfc3339(clock.SystemClock().now_ms())
    return {**({} if request_id is None else {"id": request_id}), "type": kind, "time": now, "data": data}


def _common(priority: int | None, label: list[str] | None, not_before: str | None) -> dict[str, Any]:
    return _without_empty(
        {"priority": priority, "labels": options.pairs(label, option="--label"), "not_before": _moment(not_before)}
    )


def _without_empty(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def _moment(text: str | None) -> str | None:
    """Return RFC 3339 text for a moment or a duration from now; the model refuses any other text."""
    if text is None or (from_now_s := options.seconds(text)) is None:
        return text
    return clock.rfc3339(clock.SystemClock().now_ms() + round(from_now_s * 1000))


def _statement(statement: str | None, path: pathlib.Path | None) -> str:
    if (statement is None) == (path is None):
        raise typer.BadParameter("give the SQL text as --statement TEXT or --file F.sql, one of them")
    return statement if path is None else _text(_read(path))  # type: ignore[return-value]  # one of both is set


def _read(path: pathlib.Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"not UTF-8: {error}", param_hint="--file") from error
