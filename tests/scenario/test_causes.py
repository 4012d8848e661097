"""The whole service in virtual time: why a job failed, from its log in OBS, and what can go wrong with that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support import history, objects, service, service_harness

pytestmark = pytest.mark.looptime

LOGS = "obs://lake/logs"


@contextlib.asynccontextmanager
async def started(
    *, leaves_logs: bool = True, **groups: Any
) -> AsyncIterator[tuple[service_harness.ServiceHarness, objects.ObjectDoor]]:
    """Yield a deployment that reads logs from OBS, and clusters that leave them there."""
    chosen = service_harness.settings(**{"causes": {"path": LOGS}, **groups})
    emulated = {"obs_job_logs": LOGS} if leaves_logs else {}
    async with service_harness.start(chosen, replicas=0, emulated=emulated) as here:
        here.objects = door = objects.ObjectDoor(here.mrs)
        await here.start_replica()
        yield here, door


def failing(request_id: str, cause: str = "memory", *, times: int | None = None, **more: Any) -> bytes:
    """Return a job that fails for a cause, as its log says."""
    properties = {"emulator.cause": cause} | ({} if times is None else {"emulator.cause_times": str(times)})
    job = {
        "job_type": "SparkSubmit",
        "job_name": "etl",
        "arguments": ["--customer", "no-4711"],
        "properties": properties,
    }
    return service.job(request_id, **{"job": job, **more})


def reason(here: service_harness.ServiceHarness, request_id: str) -> Any:
    """Return the reason in a request's last event."""
    return [event.data for event in here.events() if event.request_id == request_id][-1]["reason"]


def steps(here: service_harness.ServiceHarness, request_id: str) -> list[str]:
    """Return the states of a request's events, without those that a poll may miss."""
    return [state for state in here.states(request_id) if state not in {"running", "progress"}]


def path_of(here: service_harness.ServiceHarness, request_id: str) -> str:
    """Return where the log of a request's first job is."""
    job_id = next(
        event.data["mrs"]["job_id"]
        for event in here.events()
        if (event.request_id, event.state) == (request_id, "submitted")
    )
    return f"{LOGS}/{service.CLUSTER}/{job_id}/stderr"


async def test_failed_job_says_its_cause_with_the_end_of_its_log() -> None:
    """For programs, for people, and where the whole log is; nothing else about the events is different."""
    async with started() as (here, door):
        here.put(failing("r-1"))
        await here.until_ended(["r-1"], 300)
        why = reason(here, "r-1")
        assert steps(here, "r-1") == ["accepted", "submitted", "failed"]
        assert (why["class"], why["code"], why["cause"]) == ("job_failed", "job_result", "out_of_memory")
        assert "java.lang.OutOfMemoryError: Java heap space" in why["detail"]
        assert why["log_location"] == path_of(here, "r-1")
        assert "detail_unavailable" not in why
        assert door.opened == [path_of(here, "r-1")]
        assert history.faults(["r-1"], here.events(), here.created()) == []


@pytest.mark.parametrize(
    ("cause", "named"),
    [
        ("class", "class_not_found"),
        ("table", "table_not_found"),
        ("permission", "permission"),
        ("preempted", "preempted"),
        ("quota", "quota"),
        ("disk", "disk"),
    ],
)
async def test_each_cause_is_named(cause: str, named: str) -> None:
    """As the emulator words it, which is as the programs do."""
    async with started() as (here, _door):
        here.put(failing("r-1", cause))
        await here.until_ended(["r-1"], 300)
        assert reason(here, "r-1")["cause"] == named


async def test_job_that_fails_without_a_clear_cause_has_the_end_of_its_log_alone() -> None:
    """A word too many would be worse than none."""
    async with started() as (here, _door):
        here.put(service.job("r-1", name="will-fail"))
        await here.until_ended(["r-1"], 300)
        why = reason(here, "r-1")
        assert "cause" not in why
        assert "the job was ordered to fail" in why["detail"]


async def test_log_is_shown_without_the_requests_own_values_and_without_secrets() -> None:
    """The driver prints its arguments and a password; the event has neither, by default."""
    log = "args: --customer no-4711\nfs.obs.secret.key=hunter2-S3cret\nExit: java.lang.IllegalStateException: x\n"
    rules = {
        "a": {"requests": "a.requests"},
        "full": {"requests": "full.requests", "causes": {"detail": "full"}},
        "none": {"requests": "none.requests", "causes": {"detail": "none"}},
    }
    async with started(leaves_logs=False, tenants=rules) as (here, _door):
        for name in rules:
            here.put(failing(name), topic=f"{name}.requests")

        async with asyncio.timeout(60):
            while not all("submitted" in here.states(name) for name in rules):
                await asyncio.sleep(0.5)

        for name in rules:
            here.mrs._obs.new_file(path_of(here, name)).write_text(log, encoding="utf-8")
        await here.until_ended([*rules], 300)
        shown = {name: reason(here, name).get("detail", "") for name in rules}

        assert "IllegalStateException" in shown["a"]
        assert "4711" not in shown["a"]
        assert "--customer no-4711" in shown["full"]
        assert shown["none"] == ""
        assert not any(
            "hunter2" in event.data["reason"].get("detail", "") for event in here.events() if "reason" in event.data
        )


async def test_log_of_a_v11_job_is_where_the_settings_say_and_not_in_its_job_log() -> None:
    """What lies below `job_log`, a path that several jobs may share, is not documented: nothing is read there."""
    log = "2026-12-01 00:00:00,000 ERROR [main] java.io.IOException: No space left on device\n"
    async with started(leaves_logs=False) as (here, door):
        fields = {"job_log": "s3a://lake/logs/mine/"}
        here.put(service.old_job("r-1", name="will-fail", fields=fields))
        async with asyncio.timeout(60):
            while "submitted" not in here.states("r-1"):
                await asyncio.sleep(0.5)
        here.mrs._obs.new_file(f"{LOGS}/mine/stderr").write_text("java.lang.OutOfMemoryError\n", encoding="utf-8")
        here.mrs._obs.new_file(path_of(here, "r-1")).write_text(log, encoding="utf-8")
        await here.until_ended(["r-1"], 300)
        why = reason(here, "r-1")
        assert (why["class"], why["cause"], why["log_location"]) == ("job_failed", "disk", path_of(here, "r-1"))
        assert set(door.opened) == {path_of(here, "r-1")}


async def test_retry_on_a_cause_runs_again_when_the_log_shows_it() -> None:
    """Preempted once, then it succeeds; another cause is no reason to run it again."""
    retry = {"attempts": 3, "backoff_s": 5, "on": ["preempted"]}
    async with started() as (here, _door):
        here.put(failing("again", "preempted", times=1, retry=retry))
        here.put(failing("not", "table", retry=retry))
        await here.until_ended(["again", "not"], 600)
        assert steps(here, "again") == ["accepted", "submitted", "retrying", "submitted", "succeeded"]
        retried = next(event.data["reason"] for event in here.events() if event.state == "retrying")
        assert (retried["cause"], retried["retryable"]) == ("preempted", True)
        assert here.states("not")[-1] == "failed"
        assert len(here.created()) == 3
        assert history.faults(["again", "not"], here.events(), here.created()) == []


async def test_failure_waits_no_longer_for_its_log_than_the_settings_say() -> None:
    """OBS never answers, or has no log: the event says so, and the verdict is that of MRS."""
    async with started(leaves_logs=False, causes={"path": LOGS, "within_s": 10}) as (here, door):
        here.put(failing("none"))
        await here.until_ended(["none"], 60)
        door.silent = 1000
        here.put(failing("silent"))
        await here.until_ended(["silent"], 60)
        for name in ("none", "silent"):
            why = reason(here, name)
            assert (here.states(name)[-1], why["class"], why["code"]) == ("failed", "job_failed", "job_result")
            assert why["detail_unavailable"]
            assert "cause" not in why
            assert why["message"].endswith("its log there says why")


async def test_log_that_comes_late_or_fails_to_be_read_is_read_again() -> None:
    """Within the time for it."""
    async with started() as (here, door):
        door.absent, door.broken = 2, 1
        here.put(failing("r-1"))
        await here.until_ended(["r-1"], 300)
        assert reason(here, "r-1")["cause"] == "out_of_memory"
        assert len(door.opened) == 4


@pytest.mark.parametrize("killed_after_s", [0.3, 3, 5.5, 7, 9, 14, 20])
async def test_relay_that_is_killed_while_the_log_is_read_leaves_it_to_the_next_one(killed_after_s: float) -> None:
    """At any moment: the job ran once, its end is published once, with the cause, and no event is missing or double."""
    kafka = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}
    async with started(kafka=kafka, obs={"read_timeout_s": 6}) as (here, door):
        door.silent = 1
        here.put(failing("r-1"))
        await asyncio.sleep(killed_after_s)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["r-1"], 600)
        await asyncio.sleep(120)
        assert steps(here, "r-1") == ["accepted", "submitted", "failed"]
        assert reason(here, "r-1")["cause"] == "out_of_memory"
        assert len(here.mrs.effects()) == 1
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_cancel_while_the_log_is_read_changes_no_verdict_and_stops_the_retry() -> None:
    """The job has ended by itself; what MRS has shown is published."""
    async with started(leaves_logs=False) as (here, door):
        here.put(failing("r-1", retry={"attempts": 3, "backoff_s": 5, "on": ["job_failed"]}))
        async with asyncio.timeout(60):
            while not door.opened:
                await asyncio.sleep(0.5)
        here.put(service.cancel("c-1", "r-1"))
        await here.until_ended(["r-1"], 300)
        assert steps(here, "r-1") == ["accepted", "submitted", "failed"]
        assert len(here.created()) == 1


async def test_slot_of_a_job_that_has_ended_is_free_while_its_log_is_read() -> None:
    """The next job does not wait for OBS."""
    async with started(leaves_logs=False, engine={"slots_per_cluster": 1}, causes={"path": LOGS, "within_s": 300}) as (
        here,
        door,
    ):
        here.put(failing("first"))
        async with asyncio.timeout(60):
            while not door.opened:
                await asyncio.sleep(0.5)
        here.put(service.job("second"))
        await here.until_ended(["second"], 120)
        assert steps(here, "first") == ["accepted", "submitted"]


async def test_request_to_repeat_after_a_cause_needs_a_relay_that_reads_logs() -> None:
    """It is rejected before anything is submitted, since no cause would ever be seen."""
    async with service_harness.start() as here:
        here.put(failing("r-1", retry={"attempts": 2, "on": ["job_killed", "preempted"]}))
        await here.until_ended(["r-1"], 60)
        why = reason(here, "r-1")
        assert (why["class"], why["code"], why["field"]) == ("not_allowed", "logs_not_read", "data.retry.on")
        assert here.created() == []


async def test_relay_without_a_folder_of_logs_reads_nothing_and_says_nothing_of_it() -> None:
    """All stays as it was."""
    async with started(causes={}) as (here, door):
        here.put(failing("r-1"))
        await here.until_ended(["r-1"], 60)
        assert reason(here, "r-1").keys() == {"class", "code", "message"}
        assert door.opened == []
