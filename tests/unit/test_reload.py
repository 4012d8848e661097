"""Settings that are read again: what changes, what needs a restart, what goes wrong, and what SIGHUP means."""

from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import signal
from typing import Any

import pytest
import structlog
from tests.support import tenants

from mrs_relay import app, errors, reload, settings
from mrs_relay.common import clock, signals
from mrs_relay.messages import audit


class _Relay:
    """What a reload acts on: the settings to read, those that were taken over, and the record."""

    def __init__(self, present: settings.Settings, file: pathlib.Path | None = None) -> None:
        self.read: settings.Settings | Exception = present
        self.adopted: list[settings.Settings] = []
        self.noted: list[audit.Data] = []
        self.adopted_when_noted: list[int] = []
        self.kafka_is_away = False
        self.reloader = reload.Reloader(present, self._load, file, self.adopted.append, self._note)

    def _load(self) -> settings.Settings:
        if isinstance(self.read, Exception):
            raise self.read
        return self.read

    async def _note(self, data: audit.Data) -> None:
        if self.kafka_is_away:
            raise errors.StreamDown("no broker answers")
        self.noted.append(data)
        self.adopted_when_noted.append(len(self.adopted))

    async def reload(self) -> tuple[bool, list[str]]:
        """Reload; returns whether it is done with, and the log events."""
        with structlog.testing.capture_logs() as logs:
            done = await self.reloader.reload("signal")
        return done, [one["event"] for one in logs]


def _with(a: Any = None, **groups: Any) -> settings.Settings:
    made: settings.Settings = tenants.tenants(a, **groups)
    return made


async def test_limits_and_rules_are_taken_over_and_on_record_before_they_hold() -> None:
    """Names with the values before and after; nothing else of the settings."""
    relay = _Relay(_with({"limits": {"running": 2}}))
    relay.read = _with({"limits": {"running": 5}, "allow": {"types": ["mrs.sql.submit"]}, "defaults": {"priority": 3}})
    assert await relay.reload() == (True, ["settings_reloaded"])
    assert relay.adopted == [relay.read]

    (data,) = relay.noted
    assert relay.adopted_when_noted == [0]
    assert (data.action, data.via) == ("settings.reload", "signal")
    assert data.before == {
        "tenants.a.allow.types": None,
        "tenants.a.defaults.priority": None,
        "tenants.a.limits.running": 2,
    }
    assert data.after == {
        "tenants.a.allow.types": ["mrs.sql.submit"],
        "tenants.a.defaults.priority": 3,
        "tenants.a.limits.running": 5,
    }
    assert await relay.reload() == (True, ["settings_unchanged"])


async def test_the_level_of_the_log_is_taken_over() -> None:
    """Who looks for a fault needs no restart, which might hide it; the form of the lines needs one."""
    relay = _Relay(_with())
    relay.read = _with(log={"level": "DEBUG", "names": "ecs"})
    assert await relay.reload() == (True, ["settings_need_restart", "settings_reloaded"])
    assert relay.noted[0].after == {"log.level": "DEBUG"}
    assert relay.adopted == [relay.read]


def test_a_level_that_was_read_again_holds_from_the_next_line_on() -> None:
    """The service takes it over with the rules."""
    before = structlog.get_config()
    read = _with(log={"level": "ERROR"})
    reloader = app._reloader(_with(), app.Source(lambda: read, None), (), clock.SystemClock())
    try:
        reloader._adopt(read)
        assert structlog.get_config()["wrapper_class"] is structlog.make_filtering_bound_logger(logging.ERROR)
        assert logging.getLogger().level == logging.ERROR
    finally:
        structlog.configure(**before)
        logging.getLogger().setLevel(logging.WARNING)


async def test_what_needs_a_restart_is_named_and_left_alone() -> None:
    """Topics, connections, secrets, further tenants: names, and never a value."""
    relay = _Relay(_with())
    changed = _with({"limits": {"running": 1}}, mrs={"secret_key": "another-secret"}, kafka={"group_id": "other"})
    third = {"c": {"requests": "c.requests", "limits": {"running": 1}}}
    relay.read = changed.model_copy(
        update={"tenants": {**changed.tenants, **settings.Settings(mrs=changed.mrs, tenants=third).tenants}}
    )
    with structlog.testing.capture_logs() as logs:
        assert await relay.reloader.reload("file")
    fixed = next(one for one in logs if one["event"] == "settings_need_restart")["settings"]
    assert {"kafka.group_id", "mrs.secret_key", "tenants.c.requests", "tenants.c.limits.running"} <= set(fixed)
    assert "another-secret" not in repr(logs)
    assert set(relay.noted[0].after) == {"tenants.a.limits.running"}


async def test_rules_of_a_tenant_that_was_left_out_stay_in_force_and_no_change_of_them_is_on_record() -> None:
    """The relay serves it until a restart; the record must not say that its limits have ended."""
    present = _with({"limits": {"running": 2}})
    relay = _Relay(present)
    left = {name: one for name, one in present.tenants.items() if name != "a"}
    relay.read = present.model_copy(update={"tenants": left})
    with structlog.testing.capture_logs() as logs:
        assert await relay.reloader.reload("file")
    assert {one["event"] for one in logs} == {"settings_need_restart", "settings_unchanged"}
    assert "tenants.a.limits.running" in logs[0]["settings"]
    assert (relay.adopted, relay.noted) == ([], [])


async def test_invalid_settings_change_nothing_and_say_why() -> None:
    """The rules in effect stay until the file is right."""
    relay = _Relay(_with({"limits": {"running": 2}}))
    relay.read = errors.SettingsError("tenants.a.limits.running: Input should be greater than or equal to 1")
    with structlog.testing.capture_logs() as logs:
        assert await relay.reloader.reload("file")
    assert [(one["event"], "greater than" in one["error"]) for one in logs] == [("settings_not_reloaded", True)]
    assert (relay.adopted, relay.noted) == ([], [])


async def test_a_file_that_makes_a_library_fail_is_named_and_changes_nothing() -> None:
    """The next change is read again."""
    relay = _Relay(_with({"limits": {"running": 2}}))
    relay.read = RecursionError("maximum recursion depth exceeded")
    assert await relay.reload() == (True, ["settings_not_reloaded"])
    assert (relay.adopted, relay.noted) == ([], [])


async def test_a_change_that_cannot_be_put_on_record_waits() -> None:
    """It is tried again, and holds once it is on record."""
    relay = _Relay(_with())
    relay.read = _with({"limits": {"running": 1}})
    relay.kafka_is_away = True
    assert await relay.reload() == (False, ["settings_not_reloaded"])
    assert relay.adopted == []
    relay.kafka_is_away = False
    assert await relay.reload() == (True, ["settings_reloaded"])
    assert len(relay.adopted) == 1


@pytest.mark.looptime
async def test_what_changed_while_the_relay_started_is_read_too(tmp_path: pathlib.Path) -> None:
    """Connections are opened between the reading of the settings and the first look at their file."""
    file = tmp_path / "relay.toml"
    file.write_text("a")
    relay = _Relay(_with(), file)
    relay.read = _with({"limits": {"running": 1}})
    task = asyncio.create_task(relay.reloader.run())
    await asyncio.sleep(7)
    assert relay.adopted == [relay.read]
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.looptime
async def test_a_file_that_is_still_being_written_is_read_when_it_is_whole(tmp_path: pathlib.Path) -> None:
    """Half of a file may be valid settings, with half of the limits."""
    file = tmp_path / "relay.toml"
    file.write_text("a")
    relay = _Relay(_with(), file)
    task = asyncio.create_task(relay.reloader.run())
    await asyncio.sleep(20)
    relay.read = _with({"limits": {"running": 1}})
    for length in range(2, 42):
        file.write_text("a" * length)
        await asyncio.sleep(0.5)
    assert relay.adopted == []
    await asyncio.sleep(3)
    assert relay.adopted == [relay.read]
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.looptime
async def test_a_changed_file_is_noticed_and_a_failed_record_tried_again(tmp_path: pathlib.Path) -> None:
    """Within seconds, without a signal, and only when it has changed."""
    file = tmp_path / "relay.toml"
    file.write_text("a")
    relay = _Relay(_with(), file)
    task = asyncio.create_task(relay.reloader.run())
    await asyncio.sleep(20)
    relay.read = _with({"limits": {"running": 1}})
    await asyncio.sleep(20)

    assert relay.adopted == []

    relay.kafka_is_away = True
    file.write_text("another")
    await asyncio.sleep(8)

    assert relay.adopted == []

    relay.kafka_is_away = False
    await asyncio.sleep(6)
    assert relay.adopted == [relay.read]
    assert [one.via for one in relay.noted] == ["file"]

    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(("has_terminal", "expected"), [(False, "asked"), (True, "shutdown_started")])
async def test_sighup_reloads_where_no_terminal_can_have_been_closed(
    monkeypatch: pytest.MonkeyPatch, *, has_terminal: bool, expected: str
) -> None:
    """A service or container gets it from a person or an orchestrator; a program in a terminal when that is closed."""
    relay = _Relay(_with())
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` ignores it
    happened: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(signals, "has_terminal", lambda: has_terminal)
    monkeypatch.setattr(relay.reloader, "ask", lambda: happened.put_nowait("asked"))
    monkeypatch.setattr(app, "_log", structlog.wrap_logger(None, processors=[_keep(happened)]))
    app._on_signals([], relay.reloader)

    try:
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(60):
            assert await happened.get() == expected
    finally:
        for number in signals.ENDING:
            asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(signal.SIGHUP, before)


def _keep(happened: asyncio.Queue[str]) -> Any:
    def keep(_logger: Any, _method: str, event: Any) -> Any:
        happened.put_nowait(event["event"])
        raise structlog.DropEvent

    return keep
