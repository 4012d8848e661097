"""What a seed decides before anything happens: the settings, the emulated MRS, and what each request wants."""

from __future__ import annotations

import random

from tests.support import service, service_harness, simulation_extras, simulation_logs, simulation_objects

from mrs_emulator.core import settings as emulator_settings
from mrs_relay import settings as all_settings

SESSION_S = 6.0
CALL_TIMEOUT_S = 3.0


def late_listing_s(chance: random.Random) -> float:
    """Return for how long MRS hides a fresh job from its list, in seconds."""
    return chance.choice((0.0, 1.0, 4.0))


def settings(
    chance: random.Random, extras: simulation_extras.Extras, *, exactly_once: bool, hidden_s: float
) -> all_settings.Settings:
    """Return settings of all replicas: short timeouts, hardly more patience than needed, now and then a small bound."""
    kafka = {
        "guarantee": "exactly-once" if exactly_once else "at-least-once",
        "session_timeout_ms": round(SESSION_S * 1000),
        "heartbeat_interval_ms": 500,
        "rebalance_timeout_ms": 6_000,
        "join_request_timeout_ms": 8_000,
        "request_timeout_ms": 2_000,
        "commit_timeout_s": 4.0,
        "transaction_timeout_ms": 6_000,
        "commit_interval_s": chance.choice((0.0, 0.05, 0.5)),
        "retry_most_s": 4.0,
        "feed_records": chance.choice((2, 100)),
        "shutdown_s": 5.0,
        "fenced_limit": 1_000,
        "topics": {"results": "mrs.results" if extras.chunks else None},
    }

    mrs = {"budgets": chance.random() < 0.3, "call_timeout_s": CALL_TIMEOUT_S}
    engine = {
        "slots_per_cluster": chance.choice((0, 2, 10)),
        "send_within_s": 2.0,
        "settle_s": 5.5,
        "visibility_s": hidden_s + 1.0,
        "look_up_interval_s": 1.0,
        "busy_wait_s": 2.0,
        "busy_most_s": 10.0,
        "poll_interval_s": chance.choice((1.0, 3.0)),
        "kill_again_s": 5.0,
        "cancel_wait_s": 30.0,
        "single_reads": chance.choice((0, 3)),
        "collect_within_s": 60.0,
        "late_rows_s": simulation_objects.LATE_ROWS_S,
    }

    keys = service_harness.settings(mrs=mrs).mrs.model_dump(
        include={"project_id", "access_key", "budgets", "call_timeout_s"}
    )
    keys["secret_key"] = service_harness.settings().mrs.secret_key

    return service_harness.settings(
        kafka=kafka, mrs=mrs, engine=engine, **simulation_extras.groups(extras, chance, keys)
    )


def emulated(
    chance: random.Random, extras: simulation_extras.Extras, *, hidden_s: float, number: int
) -> emulator_settings.EmulatorSettings:
    """Return the MRS of this world; each has ids of its own, since all share one OBS."""
    dead = [{"cluster_id": name, "name": name} for name in simulation_extras.DEAD[: extras.dead]]
    return emulator_settings.EmulatorSettings(
        seed=number,
        clusters=({"slots": chance.choice((0, 3, 10))}, *dead),
        limits={"on": chance.random() < 0.3},
        quirks={"late_listing_s": hidden_s},
        pace={"run_s": chance.choice((0.5, 5.0, 20.0))},
        obs_job_logs=simulation_logs.PATH if extras.logs else None,
    )


def request(  # noqa: PLR0911 - one return per kind of request
    chance: random.Random, request_id: str, place: str = ""
) -> bytes:
    """Return a request of some kind; `place` stands in the texts of statements, so that no other's are the same."""
    kind = chance.random()
    if kind < 0.1:
        return service.sql(request_id, "presto", f"select '{place}{request_id}' as one")
    if kind < 0.2:
        return service.sql(request_id, "presto", f"insert into t values ('{place}{request_id}')")
    if kind < 0.25:
        return b'{"id": "%s", "source": "/test", "type": "mrs.job.submit"}' % request_id.encode()
    if kind < 0.3:
        return service.job(request_id, queue_deadline_s=chance.uniform(1, 60))
    if kind < 0.35:
        return service.job(request_id, run_deadline_s=chance.uniform(1, 60))
    if kind < 0.45:
        return service.job(request_id, name="will-fail", retry={"attempts": 3, "backoff_s": 2})
    if kind < 0.55:
        return service.job(request_id, cluster={"name": "emulator"})
    if kind < 0.7:
        return service.old_job(request_id, priority=chance.randint(0, 9))

    return service.job(request_id, priority=chance.randint(0, 9))
