"""One real process serves two tenants on real Kafka: two accounts at two MRS, rules, limits, a kill, commands."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import brokers, child, history, ports, service, waiting

_LAKE = {
    "--access-key": "LAKEACCESSKEY0000001",
    "--secret-key": "lake-secret-key",
    "--project": "00000000000000000000lake",
}


@dataclass(frozen=True)
class Here:
    """
    A deployment with two tenants.

    Attributes:
        whole: whose process and commands it is.
        a: tenant a as its users see it: its topics; on the connection of all, as is tenant c.
        b: the same of tenant b, whose connection is its own.
        mrs: the emulators behind them.
    """

    whole: service.Deployment
    a: service.Deployment
    b: service.Deployment
    mrs: dict[str, service.Emulator]

    def start(self, label: str, port: int) -> child.Child:
        """Start a relay and wait until it is ready."""
        relay = self.whole.start_relay(label, WEB__PORT=str(port))
        relay.wait_ready(lambda: _is_ready(port), timeout_s=waiting.LIMIT_S)
        return relay

    async def rows(self, *words: str) -> tuple[int, list[Any]]:
        """Run a command and read its lines as JSON."""
        code, text = await asyncio.to_thread(self.whole.command, *words, "--json")
        return code, [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        return str(reply.read().decode())


def _is_ready(port: int) -> bool:
    try:
        return bool(_get(port, "/ready"))
    except OSError:
        return False


@pytest.fixture(name="here")
def _here(kafka: brokers.KafkaNode, tmp_path: Path) -> Iterator[Here]:
    flags = [word for pair in _LAKE.items() for word in pair]
    with (
        service.emulator(tmp_path, "--slots", "0", "--run-s", "1") as first,
        service.emulator(tmp_path, "--slots", "0", "--run-s", "1", *flags) as second,
    ):
        name = f"tenants-{time.time_ns()}"
        more = {
            "ENGINE__SLOTS_PER_CLUSTER": "0",
            "TENANTS__A__REQUESTS": f"{name}-a.requests",
            "TENANTS__A__EVENTS": f"{name}-a.events",
            "TENANTS__A__ALLOW__TYPES": '["mrs.job.*"]',
            "TENANTS__A__ALLOW__JOB_TYPES": '["SparkSubmit"]',
            "TENANTS__A__LIMITS__RUNNING": "3",
            "TENANTS__B__REQUESTS": f"{name}-b.requests",
            "TENANTS__B__EVENTS": f"{name}-b.events",
            "TENANTS__B__CONNECTION": "lake",
            "TENANTS__C__REQUESTS": f"{name}-c.requests",
            "CONNECTIONS__LAKE__ENDPOINT": second.url,
            "CONNECTIONS__LAKE__PROJECT_ID": _LAKE["--project"],
            "CONNECTIONS__LAKE__ACCESS_KEY": _LAKE["--access-key"],
            "CONNECTIONS__LAKE__SECRET_KEY": _LAKE["--secret-key"],
            "CONNECTIONS__LAKE__BUDGETS": "false",
            "CONNECTIONS__LAKE__CALL_TIMEOUT_S": "3",
        }

        whole = service.Deployment(kafka.bootstrap, name, first.url, tmp_path, more=more)
        a, b = (dataclasses.replace(whole, name=f"{name}-{tenant}") for tenant in "ab")
        yield Here(whole, a, b, {"a": first, "b": second})


async def _most_under_way(tenant: service.Deployment, ids: list[str]) -> int:
    """Return how many of a tenant's jobs had been submitted and had not ended at one time, as its events tell."""
    under_way, most = 0, 0
    for event in await tenant.story():
        if event.request_id in ids:
            under_way += (event.state == "submitted") - (event.state in history.LAST)
            most = max(most, under_way)
    return most


async def test_one_process_serves_two_tenants_on_two_accounts(here: Here) -> None:
    """Each tenant's jobs run on its own MRS, one each, also over a kill; rules, limits and commands know the tenant."""
    code, text = await asyncio.to_thread(here.whole.command, "topics", "create", "--partitions", "1")
    assert code == 0, text

    port = ports.free_port()
    first = await asyncio.to_thread(here.start, "first", port)
    ids = [f"r-{number}" for number in range(12)]
    here.mrs["b"].fault(action="drop_after", operation="CreateExecuteJob", nth=3, count=2)
    for tenant in (here.a, here.b):  # the same ids and sources: they must not meet
        await tenant.send([(b"k", service.job(one)) for one in ids])
    await dataclasses.replace(here.whole, name=f"{here.whole.name}-c").send([(b"k", service.job("c-1", name="of-c"))])
    await here.a.send([(b"k", service.sql("s-1", "spark", "select 1")), (b"k", service.job("f-1", job_type="Flink"))])
    await waiting.until(lambda: all(len(mrs.effects()) >= 4 for mrs in here.mrs.values()))
    first.kill()
    second = await asyncio.to_thread(here.start, "second", port)
    events = {"a": await here.a.until_ended([*ids, "s-1", "f-1"]), "b": await here.b.until_ended(ids)}

    for name, mrs in here.mrs.items():
        created = [effect["name"] for effect in mrs.effects() if not effect["name"].startswith("of-c")]
        assert len(created) == len(ids)
        assert history.faults(ids, [one for one in events[name] if one.request_id in ids], created) == []

    assert await _most_under_way(here.a, ids) <= 3

    last = {one.request_id: one.data["reason"] for one in events["a"] if one.state == "rejected"}
    assert {one: reason["code"] for one, reason in last.items()} == {
        "s-1": "type_not_allowed",
        "f-1": "job_type_not_allowed",
    }
    assert "tenants.a.allow.types" in last["s-1"]["message"]

    await _look(here, port, len(ids))
    assert await asyncio.to_thread(second.stop) == 0


async def _look(here: Here, port: int, count: int) -> None:
    """Check health, metrics and commands, tenant by tenant."""
    assert sorted(json.loads(_get(port, "/ready"))["tenants"]) == ["a", "b", "c"]
    text = _get(port, "/metrics")
    assert all(f'mrs_relay_jobs_waiting{{tenant="{name}"}} 0.0' in text for name in "abc")
    assert 'mrs_relay_jobs_tracked{connection="lake"}' in text
    _, rows = await here.rows("jobs", "--tenant", "b", "--limit", "0")
    assert len(rows) == count
    for tenant in "ab":  # a's connection has jobs of c as well: they are no strangers
        assert await here.rows("orphans", "--tenant", tenant, "--all") == (0, [])
    code, rows = await here.rows("check")
    assert (code, [row["text"] for row in rows if row["verdict"] == "problem"]) == (0, [])
    assert sum(row["what"] == "mrs" for row in rows) == 2
    code, text = await asyncio.to_thread(here.whole.command, "jobs")
    assert (code, "--tenant: say which tenant; known: a, b, c" in text) == (2, True)


async def test_a_tenant_whose_topics_are_missing_does_not_keep_the_others_from_starting(here: Here) -> None:
    """Health, readiness, metrics and `check` tell whose trouble it is; it is served once its topics are there."""
    port = ports.free_port()
    for there in ("a", "c"):
        await _make_topics(here, there)
    relay = await asyncio.to_thread(here.start, "ill", port)
    await here.a.send([(b"k", service.job("r-1"))])

    assert [one.state for one in await here.a.until_ended(["r-1"])][-1] == "succeeded"
    assert json.loads(_get(port, "/health")) == {"alive": True}
    assert json.loads(_get(port, "/ready?tenant=a"))["ready"]

    with pytest.raises(urllib.error.HTTPError, match="503") as refused:
        _get(port, "/ready?tenant=b")
    assert f"{here.b.requests}.ledger" in json.loads(refused.value.read())["reasons"][0]

    text = _get(port, "/metrics")
    assert ('mrs_relay_tenant_ready{tenant="b"} 0.0' in text, "mrs_relay_ready 1.0" in text) == (True, True)

    code, rows = await here.rows("check")
    assert (code, [row["text"][:9] for row in rows if row["verdict"] == "problem"]) == (1, ["tenant b:"])

    await _make_topics(here, "b")
    await here.b.send([(b"k", service.job("r-1"))])
    assert [one.state for one in await here.b.until_ended(["r-1"])][-1] == "succeeded"
    assert json.loads(_get(port, "/ready?tenant=b"))["ready"]
    assert await asyncio.to_thread(relay.stop) == 0


async def test_a_process_without_one_tenant_that_can_be_served_ends(here: Here) -> None:
    """Exit 2; each tenant, its topics and the command that makes them are named."""
    code, text = await asyncio.to_thread(here.whole.command, "serve")
    assert code == 2
    for name in "abc":
        assert f"tenant {name}: " in text
    assert f"{here.b.requests}.ledger" in text
    assert "topics create" in text


async def _make_topics(here: Here, tenant: str) -> None:
    words = ("topics", "create", "--tenant", tenant, "--partitions", "1", "--replication", "1")
    code, text = await asyncio.to_thread(here.whole.command, *words)
    assert code == 0, text
