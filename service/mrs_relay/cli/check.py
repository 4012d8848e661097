"""
`mrs-relay check`: check whether a relay can work with these settings: settings, Kafka, topics and MRS in turn.

It only reads: it lists topics and clusters, and probes which producers the broker supports.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Literal

import typer

from mrs_relay import errors, settings
from mrs_relay import tenants as all_tenants
from mrs_relay.cli import connect, options, run, view
from mrs_relay.common import clock
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import codecs, topic_io
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.topics import recreation, topic_setup
from mrs_relay.messages import codec
from mrs_relay.mrs import settings as mrs_settings

Verdict = Literal["ok", "note", "problem"]

_MARKS: dict[Verdict, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("·", "yellow"), "problem": ("✗", "bold red")}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of one check.

    Attributes:
        what: settings, kafka, codecs, topics or mrs.
        verdict: the outcome.
        text: the outcome, for people.
        code: of the violated rule, for programs; "" where there is none.
        remedy: how to correct it; "" where the text says it.
    """

    what: str
    verdict: Verdict
    text: str
    code: str = ""
    remedy: str = ""


def check(*, as_json: options.AsJson = False, config: options.Config = None, tenant: options.AnyTenant = None) -> None:
    """
    Check settings, Kafka, its topics and MRS; exit 1 if something is wrong, 3 if one cannot be reached.

    With tenants, the topics and the connection of each; each fault is reported with its name, and 1 is the
    exit code also if only one cannot be served.
    """
    code = run.loop(_check(config, tenant, as_json=as_json))
    if code:
        raise typer.Exit(code)


async def _check(config: pathlib.Path | None, tenant: str | None, *, as_json: bool) -> run.Code:
    code = run.Code.OK
    found = _settings(config)
    for finding in found if isinstance(found, list) else _sound(found):
        _print(finding, as_json=as_json)
    if isinstance(found, list):  # with wrong settings nothing further can be checked
        return run.Code.USAGE

    meant = found.tenancies if tenant is None else [connect.chosen(found.tenancies, tenant)]
    for look in (_kafka, _mrs):
        try:
            async for finding in look(found, meant):
                _print(finding, as_json=as_json)
                if finding.verdict == "problem":
                    code = max(code, run.Code.FAILED)
        except errors.RelayError as error:
            _print(Finding(look.__name__.strip("_"), "problem", str(error)), as_json=as_json)
            code = max(code, run.code_of(error))

    return code


def _sound(found: settings.Settings) -> Iterator[Finding]:
    yield Finding("settings", "ok", "all settings are valid")
    if not found.kafka.deployment:
        text = (
            f"kafka.app_id is the default, {found.kafka.app_id}: give each deployment that uses the same MRS project "
            "a name of its own, or they may take each other's jobs for theirs"
        )
        yield Finding("settings", "note", text)


def _settings(config: pathlib.Path | None) -> settings.Settings | list[Finding]:
    try:
        return settings.load(config)
    except errors.SettingsError as error:
        return [Finding("settings", "problem", line) for line in str(error).splitlines()]


async def _kafka(found: settings.Settings, meant: Sequence[all_tenants.ResolvedTenant]) -> AsyncIterator[Finding]:
    broker = connect.broker(found.kafka)
    async with broker.admin() as admin:
        yield Finding("kafka", "ok", f"{found.kafka.bootstrap_servers} answers")
        if not codecs.missing():
            yield Finding("codecs", "ok", f"{', '.join(sorted(codecs.WAYS))} are unpacked as they were packed")
        for one in meant:
            try:
                findings = list(_topics(await _examined(broker, admin, one.kafka)))
            except errors.RelayError as error:
                if not one.name:
                    raise
                findings = [Finding("topics", "problem", str(error))]
            for finding in findings:
                yield _of(one.name, finding)


async def _examined(
    broker: topic_io.TopicClient, admin: brokers.Admin, kafka: kafka_settings.KafkaSettings
) -> topic_setup.Report:
    """Check the topics as the start does, and read the ledger as its owner would."""
    report = await topic_setup.check_settled(admin, kafka)
    if not report.complete or report.outages:
        return report
    recreated = await recreation.find(broker, kafka, report.topic_id)
    return dataclasses.replace(report, findings=(*recreated, *report.findings))


def _topics(report: topic_setup.Report) -> Iterator[Finding]:
    for one in report.findings:
        verdict: Verdict = "note" if one.severity == "warning" else "problem"
        yield Finding("topics", verdict, one.text, one.code, one.remedy)
    if report.compressions:
        codecs = ", ".join(f"{name} {codec}" for name, codec in report.compressions.items())
        yield Finding("codecs", "note", f"the broker compresses what is written to: {codecs} (compression.type)")
    if not report.problems and not report.outages:
        yield Finding("topics", "ok", f"all are as they must be; {report.partitions} partitions of requests")


def _of(tenant: str, finding: Finding) -> Finding:
    return dataclasses.replace(finding, text=f"tenant {tenant}: {finding.text}") if tenant else finding


async def _mrs(found: settings.Settings, meant: Sequence[all_tenants.ResolvedTenant]) -> AsyncIterator[Finding]:
    for name in dict.fromkeys(one.connection for one in meant):
        tenants = ", ".join(one.name for one in meant if one.connection == name)
        whose = f"{all_tenants.group_of(name)}, of tenants {tenants}: " if tenants else ""
        try:
            yield Finding("mrs", "ok", whose + await _answer(found.connection(name)))
        except errors.RelayError as error:
            if not whose:
                raise
            yield Finding("mrs", "problem", f"{whose}{error}")


async def _answer(group: mrs_settings.MrsSettings) -> str:
    from mrs_relay.mrs import client  # noqa: PLC0415 - aiohttp; the other commands start sooner without it
    from mrs_relay.mrs.operations import clusters  # noqa: PLC0415 - the same

    async with client.connected(group, clock.SystemClock()) as mrs:
        reply = await mrs.call(clusters.LIST_CLUSTERS)
    names = ", ".join(f"{one.cluster_id} ({one.cluster_state})" for one in reply.clusters[:10])
    return f"{group.base_url} answers; clusters: {names or 'none'}"


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        typer.echo(codec.encode(dataclasses.asdict(finding)))
        return
    mark, style = _MARKS[finding.verdict]
    text = f"{finding.text}; {finding.remedy}" if finding.remedy else finding.text
    view.out().print(view.plain(f"{mark} {finding.what:<9} {text}", style), soft_wrap=True)
