"""The forwarder against an HTTP server: what its answers mean, and that an endpoint that is away loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import pathlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from tests.support import runtimes

from mrs_relay import errors, lineage_role, role
from mrs_relay import settings as all_settings
from mrs_relay.common import logs
from mrs_relay.forwarding import endpoint
from mrs_relay.forwarding import settings as forwarding_settings
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_broker

_TOPIC = "mrs.lineage"
_PATH = "/api/v1/lineage"


class _Catalogue:
    """Answers with a script of statuses, then with 201; keeps what came with 201 and who sent it."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.taken: list[str] = []
        self.callers: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.callers.add(request.headers.get("Authorization", ""))
        status = self.statuses.pop(0) if self.statuses else 201
        if status == 201:
            self.taken.append(body)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post(_PATH, self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield
        finally:
            await runner.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chosen(port: int, token_file: pathlib.Path | None = None, **topics: str) -> all_settings.ForwarderSettings:
    kafka = runtimes.kafka_settings(topics=kafka_settings.Topics(status=None, **topics))
    url = f"http://127.0.0.1:{port}{_PATH}"
    forwarding = forwarding_settings.ForwardingSettings(
        url=url, token_file=token_file, timeout_s=2, most_backoff_s=0.5, port=0
    )
    return all_settings.ForwarderSettings(kafka=kafka, forwarding=forwarding)


async def _forward(
    chosen: all_settings.ForwarderSettings, broker: memory_broker.MemoryBroker, stop: asyncio.Event
) -> None:
    await role.until(stop, functools.partial(lineage_role.running, chosen, broker.for_group))


async def _until(catalogue: _Catalogue, count: int) -> None:
    async with asyncio.timeout(20):
        while len(catalogue.taken) < count:
            await asyncio.sleep(0.05)


async def test_endpoint_that_comes_late_and_falters_gets_every_event_in_order(tmp_path: pathlib.Path) -> None:
    """No server and no token at first; then the caller is refused, throttled, sent elsewhere, and an event refused."""
    port, catalogue = _free_port(), _Catalogue(401, 503, 429, 302, 201, 422)
    chosen = _chosen(port, tmp_path / "token", lineage=_TOPIC)
    broker = memory_broker.MemoryBroker(chosen.kafka)
    broker.create_topic(_TOPIC, 1)
    for number in range(5):
        broker.put(_TOPIC, 0, b"k", b'{"n":%d}' % number)

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_forward(chosen, broker, stop))
        await asyncio.sleep(1)
        (tmp_path / "token").write_text("t0ken\n")
        async with catalogue.serving(port):
            await _until(catalogue, 4)
        stop.set()
    assert catalogue.taken == ['{"n":0}', '{"n":2}', '{"n":3}', '{"n":4}']
    assert catalogue.callers == {"Bearer t0ken"}


async def _asked(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as reply:
        return reply.status, await reply.text()


async def test_probes_and_metrics_say_whether_events_are_forwarded() -> None:
    """Alive all the time; ready as long as the endpoint takes events, and the reason if not; counts, lag and delay."""
    port, catalogue = _free_port(), _Catalogue()
    chosen = _chosen(port, lineage=_TOPIC)
    broker = memory_broker.MemoryBroker(chosen.kafka)
    broker.create_topic(_TOPIC, 1)
    broker.put(_TOPIC, 0, b"k", b'{"n":0}')

    async with lineage_role.running(chosen, broker.for_group, _no_report) as own:

        async def reasons() -> list[str]:
            found: list[str] = json.loads((await _asked(own, "/ready"))[1])["reasons"]
            return found

        async with asyncio.timeout(20):
            while not any("the endpoint has taken no event" in one for one in await reasons()):
                await asyncio.sleep(0.05)
        assert [(await _asked(own, path))[0] for path in ("/health", "/ready")] == [200, 503]
        shown = (await _asked(own, "/metrics"))[1]
        assert f'mrs_relay_lineage_ready{{topic="{_TOPIC}"}} 0.0' in shown
        assert f'mrs_relay_lineage_lag_records{{partition="0",topic="{_TOPIC}"}} 1.0' in shown

        async with catalogue.serving(port):
            await _until(catalogue, 1)
            async with asyncio.timeout(20):
                while await reasons():
                    await asyncio.sleep(0.05)
            shown = (await _asked(own, "/metrics"))[1]
    assert f'mrs_relay_lineage_events_total{{outcome="sent",topic="{_TOPIC}"}} 1.0' in shown
    assert f'mrs_relay_lineage_ready{{topic="{_TOPIC}"}} 1.0' in shown
    assert f'mrs_relay_lineage_delayed_seconds{{topic="{_TOPIC}"}} 0.0' in shown


def _no_report(task: str, error: BaseException) -> None:
    raise AssertionError(task) from error


_FINAL = (200, 204, 400, 413, 422)
_NOT_FINAL = (302, 401, 403, 404, 405, 408, 421, 426, 429, 500, 503)


@pytest.mark.parametrize("status", [*_FINAL, *_NOT_FINAL])
async def test_answer_is_final_if_sending_again_would_not_help(status: int) -> None:
    """What speaks of the event itself is final; what speaks of the caller, the address or the moment is not."""
    port, catalogue = _free_port(), _Catalogue(status)
    async with catalogue.serving(port), endpoint.opened(_chosen(port).forwarding) as opened:
        answer = await opened.send(b"{}")
    assert answer.is_final is (status in _FINAL)
    assert (answer.fault == "") is (status < 300)


@pytest.mark.parametrize("token", [b"two\nlines", b"\xff\xfe"])
async def test_token_that_is_none_is_waited_out(tmp_path: pathlib.Path, token: bytes) -> None:
    """A file that is half written, or of another kind, ends no forwarder; the fault shows nothing of it."""
    port, catalogue = _free_port(), _Catalogue(200)
    (tmp_path / "token").write_bytes(token)
    async with catalogue.serving(port), endpoint.opened(_chosen(port, tmp_path / "token").forwarding) as opened:
        answer = await opened.send(b"{}")
    assert (answer.is_final, "lines" in answer.fault) == (False, False)
    assert answer.fault


async def test_forwarder_without_topic_or_endpoint_does_not_start() -> None:
    """It says which setting is missing."""
    stop = asyncio.Event()
    chosen = _chosen(1)
    with pytest.raises(errors.SettingsError, match=r"kafka\.topics\.lineage"):
        await _forward(chosen, memory_broker.MemoryBroker(chosen.kafka), stop)
    chosen = _chosen(1, lineage=_TOPIC).model_copy(update={"forwarding": forwarding_settings.ForwardingSettings()})
    with pytest.raises(errors.SettingsError, match=r"forwarding\.url"):
        await _forward(chosen, memory_broker.MemoryBroker(chosen.kafka), stop)


def test_tenants_that_share_a_topic_share_a_group_that_does_not_change_with_them() -> None:
    """Else all events are sent again when the first tenant goes; a topic of one's own has a group of its own."""
    found = []
    for names in (("b", "a"), ("a",)):
        tenants = {name: {"requests": f"{name}.requests"} for name in names}
        tenants["own"] = {"requests": "own.requests", "lineage_topic": "own.lineage"}
        kafka = {"bootstrap_servers": "k:9092", "topics": {"lineage": _TOPIC}}
        chosen = all_settings.ForwarderSettings.model_validate({"kafka": kafka, "tenants": tenants})
        found.append({one.topics.requests: one.group_id for one in lineage_role.groups(chosen.tenancies)})
    assert found[0] == found[1] == {_TOPIC: f"mrs-relay.{_TOPIC}", "own.lineage": "mrs-relay.own.lineage"}


def test_log_of_the_forwarder_has_the_names_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of the other roles have."""
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(logs, "setup", lambda **given: seen.append(given))
    chosen = all_settings.ForwarderSettings.model_validate(
        {"kafka": {"bootstrap_servers": "k:9092"}, "log": {"names": "ecs"}}
    )
    with pytest.raises(errors.SettingsError):  # no topic: it does not start
        lineage_role.run(chosen)
    assert [one["names"] for one in seen] == ["ecs"]
