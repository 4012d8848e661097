"""
The rights that `topics acls` prints are enough on a Kafka that allows nothing else, and each of them is needed.

On three brokers with Kafka's own authorizer each role has a user with all its rights, and one without each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import structlog
from aiohttp import web
from tests.support import ports, service, strict_kafka, waiting

from mrs_relay import client as relay_client
from mrs_relay import errors, lineage_role, web_role, wiring
from mrs_relay import settings as all_settings
from mrs_relay.cli import topic_rights
from mrs_relay.common import clock
from mrs_relay.forwarding import settings as forwarding_settings
from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import acl_plan, topic_setup
from mrs_relay.mrs import client as clients

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

_INCLUDED: Final = ("transactional-id", "Describe")
"""The one right that another one includes: to write with a transactional id."""

_CHANGED: Final = "web"
"""The user of the web role, who loses rights while it runs."""

_AT_ONCE: Final = 8
"""Users who try at a time: most of it is waiting for Kafka."""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[strict_kafka.Strict]:
    """Give each role a user with all its rights, and one without each of them."""
    with strict_kafka.started(tmp_path_factory.mktemp("strict")) as kafka:
        yield kafka


# What runs, as which user


@contextlib.asynccontextmanager
async def _web(strict: strict_kafka.Strict, user: str, workdir: Path) -> AsyncIterator[str]:
    """Run the web role in this process; yields its address."""
    chosen = all_settings.WebRoleSettings.model_validate(
        {"api": {"port": 0}, "read_model": {"database": f"sqlite:///{workdir / user}.db"}}
    ).model_copy(update={"kafka": strict.settings(user)})
    async with web_role.running(chosen, client.KafkaBroker, clock.SystemClock(), _no_failure) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def _forwarder(strict: strict_kafka.Strict, user: str, url: str = "http://127.0.0.1:9/") -> AsyncIterator[str]:
    """Run the forwarder in this process; yields its address."""
    forwarding = forwarding_settings.ForwardingSettings(url=url, port=0)
    chosen = all_settings.ForwarderSettings(kafka=strict.settings(user), forwarding=forwarding)
    async with lineage_role.running(chosen, client.KafkaBroker, _no_failure) as port:
        yield f"http://127.0.0.1:{port}"


def _no_failure(task: str, error: BaseException) -> None:
    raise AssertionError(task) from error


async def _call(verb: str, url: str, body: object = None) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(verb, url, json=body) as reply:
        return reply.status, await reply.text()


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    ends_s = time.monotonic() + waiting.LIMIT_S
    while not await condition():
        assert time.monotonic() < ends_s
        await asyncio.sleep(0.2)


async def test_the_printed_rights_are_enough(strict: strict_kafka.Strict, tmp_path: Path) -> None:
    """With them, and no others, a request is sent, carried through, shown and forwarded; Kafka refuses nothing."""
    taken: list[str] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.text())
        return web.Response(status=201)

    app = web.Application()
    app.router.add_post("/", take)
    runner, port = web.AppRunner(app), ports.free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        with service.emulator(tmp_path, "--run-s", "1") as mrs, structlog.testing.capture_logs() as logs:
            relay = strict.deployment(mrs.url, tmp_path, "relay").start_relay("all")
            try:
                async with (
                    _web(strict, "web", tmp_path) as shown,
                    _forwarder(strict, "lineage", f"http://127.0.0.1:{port}/") as forwarder,
                ):
                    request = json.loads(service.job("r-1"))
                    assert (await _call("POST", f"{shown}/v1/requests", request))[0] == 202
                    status, answer = await _call(
                        "PUT", f"{shown}/v1/controls/cluster%2Fc-9", {"mode": "hold", "reason": "x"}
                    )
                    assert status < 300, answer

                    async def is_cancelled() -> bool:
                        status, _ = await _call("POST", f"{shown}/v1/requests/r-1/cancel", {"note": "late"})
                        return status != 404

                    await _until(is_cancelled)

                    async def is_over() -> bool:
                        assert relay.alive, relay.log.read_text()
                        _, text = await _call("GET", f"{shown}/v1/requests?text=r-1")
                        return any(f'"{state}"' in text for state in ("succeeded", "cancelled")) and len(taken) > 1

                    await _until(is_over)
                    assert (await _call("GET", f"{shown}/ready"))[0] == 200
                    assert (await _call("GET", f"{forwarder}/ready"))[0] == 200
            finally:
                assert await asyncio.to_thread(relay.stop, 30) == 0
    finally:
        await runner.cleanup()
    text = relay.log.read_text() + str(logs)
    assert [word for word in ("uthoriz", "not_allowed", "the right", "does not allow") if word in text] == []


# Without any one of them


async def test_without_any_one_of_them_the_relay_says_which(strict: strict_kafka.Strict) -> None:
    """The check of its start, or its log, names operation, resource and user, and the command that gives the right."""
    lacking = {
        user: rule for user, rule in strict_kafka.lacking("relay").items() if (rule.kind, *rule.operations) != _INCLUDED
    }
    with _logs() as logs:

        async def said(user: str) -> str:
            chosen = strict.settings(user)
            return await (_of_a_relay(chosen, logs) if lacking[user].kind == "group" else _of_the_check(chosen))

        assert await _silent(lacking, said) == {}


async def _of_the_check(chosen: settings.KafkaSettings) -> str:
    """Return what the check at the start of a relay says."""
    try:
        async with client.KafkaBroker(chosen).admin() as admin:
            report = await topic_setup.check(admin, chosen)
    except errors.StreamDown as error:
        return str(error)
    return "\n".join(str(finding) for finding in report.findings)


async def _of_a_relay(chosen: settings.KafkaSettings, logs: _Logs) -> str:
    """Return the log of a relay that cannot join its group."""
    mrs = {"endpoint": "http://127.0.0.1:9", "project_id": service.PROJECT, "access_key": "A", "secret_key": "s"}
    relay = all_settings.Settings.model_validate({"mrs": mrs}).model_copy(update={"kafka": chosen})
    time_ = clock.SystemClock()
    connect = functools.partial(clients.connected, now=time_, patient=True)
    async with wiring.opened(relay, connect, client.KafkaBroker, time_) as served:
        running = asyncio.create_task(wiring.run(served))
        try:
            await waiting.until(lambda: running.done() or "the right" in logs.text())
        finally:
            wiring.stop(served)
            await asyncio.wait([running])
        return logs.text()


async def test_without_any_one_of_them_the_web_role_says_which(strict: strict_kafka.Strict, tmp_path: Path) -> None:
    """What it cannot read is in its log or in `/ready`; what it cannot send, in its answer."""
    lacking = strict_kafka.lacking("web")
    with _logs() as logs:

        async def said(user: str) -> str:
            async with _web(strict, user, tmp_path) as url:
                return await _until_named(user, lacking[user], logs, functools.partial(_web_answers, url))

        assert await _silent(lacking, said) == {}


async def _web_answers(url: str) -> str:
    """Do what needs rights, and return what the role answers."""
    found = [
        await _call("GET", f"{url}/ready"),
        await _call("POST", f"{url}/v1/requests", _new_request()),
        await _call("PUT", f"{url}/v1/controls/cluster%2Fc-9", {"mode": "hold", "reason": "x"}),
        await _call("POST", f"{url}/v1/requests/{strict_kafka.FAILED}/retry", {}),
        await _call("GET", f"{url}/v1/audit"),
    ]
    return "\n".join(text for _, text in found)


async def test_a_right_lost_while_the_web_role_runs_is_named_and_returns(
    strict: strict_kafka.Strict, tmp_path: Path
) -> None:
    """To read, in `/ready`; to write, in its log: the answer says where to look. Once given back, both go on."""
    rules = [acl_plan.Acl("topic", strict_kafka.TOPICS[name], (right,), "") for name, right in _LOST]
    with _logs() as logs:
        structlog.contextvars.bind_contextvars(user=_CHANGED)
        async with _web(strict, _CHANGED, tmp_path) as url:

            async def are_allowed() -> bool:
                ready, _ = await _call("GET", f"{url}/ready")
                sent, _ = await _call("POST", f"{url}/v1/requests", _new_request())
                return (ready, sent) == (200, 202)

            await waiting.until(are_allowed)
            await asyncio.to_thread(strict.kafka.node.tools, [_command(rule, "--remove") for rule in rules])
            try:

                async def are_refused() -> bool:
                    ready, reasons = await _call("GET", f"{url}/ready")
                    sent, answer = await _call("POST", f"{url}/v1/requests", _new_request())
                    read, write = rules
                    is_named = ready == 503 and _names(_CHANGED, read, reasons)
                    is_logged = _names(_CHANGED, write, logs.text(_CHANGED))
                    return is_named and is_logged and sent == 503 and "its log names the right" in answer

                await waiting.until(are_refused, logs.text)
            finally:
                await asyncio.to_thread(strict.kafka.node.tools, [_command(rule, "--add") for rule in rules])
            await waiting.until(are_allowed, logs.text)


_LOST: Final = (("events", "Read"), ("requests", "Write"))


def _command(rule: acl_plan.Acl, how: str) -> list[str]:
    """Return what takes a right from the user of the web role, or gives it back."""
    (text,) = topic_rights.commands([rule], "any", f"User:{_CHANGED}")
    words = [how if word == "--add" else word for word in shlex.split(text.partition("\n")[2])[3:]]
    return ["org.apache.kafka.tools.AclCommand", *words, *(["--force"] if how == "--remove" else [])]


def _new_request() -> dict[str, object]:
    return {**json.loads(service.job(f"web-{time.time_ns()}")), "source": "/web"}


async def test_without_any_one_of_them_the_forwarder_says_which(strict: strict_kafka.Strict) -> None:
    """It is not ready, and its log and `/ready` say why."""
    lacking = strict_kafka.lacking("lineage")
    with _logs() as logs:

        async def said(user: str) -> str:
            async with _forwarder(strict, user) as url:

                async def ready() -> str:
                    status, text = await _call("GET", f"{url}/ready")
                    return text if status != 200 else ""

                return await _until_named(user, lacking[user], logs, ready)

        assert await _silent(lacking, said) == {}


async def test_the_rights_to_send_and_to_read_are_enough_for_the_client(strict: strict_kafka.Strict) -> None:
    """It sends a request, and hears what becomes of it."""
    async with relay_client.RelayClient(strict.settings("producer"), source="/rights") as sending:
        handle = await sending.submit(relay_client.sql("c-1", "spark", "select 1"))
    assert handle.id


@pytest.mark.parametrize("role", strict_kafka.CLIENT)
async def test_without_any_one_of_them_the_client_says_which(strict: strict_kafka.Strict, role: acl_plan.Role) -> None:
    """Its own error names the right."""

    async def said(user: str) -> str:
        with pytest.raises(errors.RelayError) as raised:
            async with relay_client.RelayClient(strict.settings(user), source="/rights") as sending:
                await sending.submit(relay_client.sql("c-1", "spark", "select 1"))
        return str(raised.value)

    assert await _silent(strict_kafka.lacking(role), said) == {}


async def _silent(
    lacking: Mapping[str, acl_plan.Acl], said: Callable[[str], Awaitable[str]]
) -> dict[str, tuple[acl_plan.Acl, str]]:
    """Run all users who lack a right, some at a time; returns what those say who do not name it."""
    found, places = {}, asyncio.Semaphore(_AT_ONCE)

    async def one(user: str, rule: acl_plan.Acl) -> None:
        async with places:
            structlog.contextvars.bind_contextvars(user=user)
            text = await said(user)
            if not _names(user, rule, text):
                found[user] = rule, text

    async with asyncio.TaskGroup() as group:
        for user, rule in lacking.items():
            group.create_task(one(user, rule), name=user)
    return found


async def _until_named(user: str, rule: acl_plan.Acl, logs: _Logs, asked: Callable[[], Awaitable[str]]) -> str:
    """Ask a role, and read its log, until it names the right; returns what it has said in the end."""
    ends_s = time.monotonic() + waiting.LIMIT_S / 2
    while True:
        said = await asked() + logs.text(user)
        if _names(user, rule, said) or time.monotonic() > ends_s:
            return said
        await asyncio.sleep(0.2)


def _names(user: str, rule: acl_plan.Acl, said: str) -> bool:
    """Return whether a text names what is missing to whom, and the command; Kafka may refuse several operations."""
    (operation,) = rule.operations
    wanted = f"--{rule.kind} {rule.name} ", f"--allow-principal User:{user} "
    lines = [part for part in said.split("`") if part.startswith("kafka-acls.sh") and all(w in part for w in wanted)]
    if operation == "DescribeConfigs":  # a warning about all topics, with the line for the first one
        return "DESCRIBE_CONFIGS" in said and rule.name in said
    return any(f"--operation {operation} " in line for line in lines)


class _Logs:
    """Lines of the log, with the user whose role or relay wrote them."""

    def __init__(self) -> None:
        self.kept = structlog.testing.LogCapture()

    def text(self, user: str | None = None) -> str:
        """Return what was logged, by all or by one user."""
        return "\n".join(str(line) for line in self.kept.entries if user is None or line.get("user") == user)


@contextlib.contextmanager
def _logs() -> Iterator[_Logs]:
    logs, before = _Logs(), structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, logs.kept])
    try:
        yield logs
    finally:
        structlog.configure(**before)
