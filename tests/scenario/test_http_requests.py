"""Requests over HTTP through a whole relay: sent, awaited, repeated, cancelled, settled."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.support import web_role

from mrs_emulator.core import settings as emulator_settings
from mrs_relay.testing import rehearsal


def job(cluster: str, **more: Any) -> dict[str, Any]:
    """Return a batch job."""
    return {
        "type": "mrs.job.submit",
        "data": {"cluster": cluster, "job": {"job_type": "SparkSubmit", "arguments": ["x.jar"]}},
        **more,
    }


@contextlib.asynccontextmanager
async def service(run_s: float = 0.1) -> AsyncIterator[tuple[rehearsal.Relay, web_role.Client]]:
    """Yield a relay and `mrs-relay web` on one broker."""
    pace = rehearsal.QUICK.pace.model_copy(update={"run_s": run_s})
    emulated: emulator_settings.EmulatorSettings = rehearsal.QUICK.model_copy(update={"pace": pace})
    async with rehearsal.Relay(emulated) as relay, web_role.role(web_role.Stage(broker=relay.kafka)) as client:
        yield relay, client


async def test_a_request_is_sent_once_awaited_and_found() -> None:
    """A caller that repeats a call without an answer gets the end of the same job."""
    async with service() as (relay, client):
        headers = {"Idempotency-Key": "r/1", "Prefer": "respond-async, wait=30"}
        found, answered = await client.post("/v1/requests", job(relay.cluster), 200, headers)
        assert found["last_event"]["type"] == "mrs.job.succeeded"
        assert (found["id"], found["source"]) == ("r/1", "/mrs-relay/http")
        assert answered["Location"] == found["request"] == "/v1/requests/r%2F1?source=%2Fmrs-relay%2Fhttp&tenant="
        assert answered["Preference-Applied"] == "wait"
        assert (await client.get(found["request"]))["state"] == "succeeded"

        again, _ = await client.post("/v1/requests", job(relay.cluster), 200, headers)
        assert again["last_event"]["data"]["repeated"] is True
        assert len(relay.effects()) == 1


async def test_a_key_that_was_used_for_another_request_is_refused() -> None:
    """By this database at once, by the relay where the database does not know it."""
    async with service() as (relay, client):
        headers = {"Idempotency-Key": "r-1", "Prefer": "wait=30"}
        await client.post("/v1/requests", job(relay.cluster), 200, headers)
        other = job(relay.cluster)
        other["data"]["job"]["arguments"] = ["y.jar"]
        problem, _ = await client.post("/v1/requests", other, 422, headers)
        assert problem["type"] == "urn:mrs-relay:problem:key-reused"

        async with web_role.role(web_role.Stage(broker=relay.kafka)) as fresh:
            problem, _ = await fresh.post("/v1/requests", other, 422, headers)
            assert problem["type"] == "urn:mrs-relay:problem:key-reused"
        assert len(relay.effects()) == 1


async def test_a_running_request_is_cancelled() -> None:
    """The request's own events say that it was stopped, and why."""
    async with service(run_s=600) as (relay, client):
        sent, _ = await client.post("/v1/requests", job(relay.cluster, id="r-1"))
        await client.seen("r-1", "running")
        position = (await client.get("/v1/events?wait=0"))["position"]
        await client.post("/v1/requests/r-1/cancel", {"note": "wrong date"})
        found = await client.get(f"/v1/events?after={position}&id=r-1&state=cancelled&wait=30")
        assert "wrong date" in found["items"][0]["data"]["reason"]["message"]
        problem, _ = await client.post("/v1/requests/r-1/cancel", {}, 409)
        assert "the request is cancelled: cancel has no effect on it" in problem["detail"]
        assert sent["events"].startswith("/v1/requests/r-1/events?")


async def test_only_a_request_that_is_unknown_is_settled() -> None:
    """Others have an end, or will have one."""
    async with service() as (relay, client):
        await client.post("/v1/requests", job(relay.cluster, id="r-1"), 200, {"Prefer": "wait=30"})
        verdict = {"verdict": "failed", "note": "looked"}
        problem, _ = await client.post("/v1/requests/r-1/resolve", verdict, 409)
        assert "the request is succeeded: resolve has no effect on it" in problem["detail"]
        await client.post("/v1/requests/none/resolve", verdict, 404)
