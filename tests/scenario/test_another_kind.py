"""
A further kind of work is one adapter and its line in the registry: no file of the engine knows of it.

The kind is an echo: MRS is sent a text with a name, and gives it back some seconds later. Its message type and its
operations are added to the contract and the client, as for any kind.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pydantic
import pytest
from tests.support import service, service_harness

from mrs_relay.engine import redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter, kinds
from mrs_relay.messages import events, requests
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation, transport
from mrs_relay.mrs.models import base
from mrs_relay.mrs.operations import registry

pytestmark = pytest.mark.looptime

_TYPE: Final = "mrs.echo.submit"
_RUNS_S: Final = 60.0


class _EchoSubmit(requests.Submission):
    """Have a text given back."""

    text: str


class _Sent(base.Asked):
    name: str
    text: str


class _Echo(base.Reply):
    id: str
    name: str
    text: str | None = None


class _Echoes(base.Reply):
    echoes: list[_Echo]


_ECHOES: Final = "/v2/{project_id}/clusters/{cluster_id}/echoes"
_SEND: Final[operation.Operation[_Sent, _Echo]] = operation.Operation(
    name="SendEcho",
    verb="POST",
    path=_ECHOES,
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=60,
    body=_Sent,
    reply=_Echo,
    source="this test",
)
_LIST: Final[operation.Operation[None, _Echoes]] = operation.Operation(
    name="ListEchoes",
    verb="GET",
    path=_ECHOES,
    safety=operation.Safety.READ,
    per_minute=None,
    reply=_Echoes,
    source="this test",
)


class _EchoAdapter(adapter.WorkAdapter):
    """All that the relay knows of echoes."""

    name = "echo"
    traits = adapter.Traits(is_listed=True)

    def takes(self, request: pydantic.BaseModel) -> bool:
        return isinstance(request, _EchoSubmit)

    def draft(self, request: pydantic.BaseModel, result_job_types: frozenset[str]) -> adapter.Draft:  # noqa: ARG002 - the protocol's
        assert isinstance(request, _EchoSubmit)
        assert isinstance(request.cluster, str)
        return adapter.Draft(jobs.Task({"text": request.text}), request.cluster, "echo", collect=True)

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:  # noqa: ARG002 - the protocol's
        return _EchoCalls(client)

    def operation(self, job: jobs.Job) -> str:  # noqa: ARG002 - the protocol's
        return _SEND.name

    def is_findable(self, job: jobs.Job) -> bool:  # noqa: ARG002 - the protocol's
        return True

    def asked(self, job: jobs.Job) -> redaction.Asked | None:
        return redaction.Asked([job.work.data["text"]]) if isinstance(job.work, jobs.Task) else None


class _EchoCalls(adapter.WorkCalls):
    listing = _LIST

    def __init__(self, client: clients.Client) -> None:
        self._client = client

    async def submit(self, job: jobs.Job) -> facts.Fact:
        work = adapter.unsent(job, jobs.Task)
        body = _Sent(name=job.mrs_name, text=work.data["text"])
        return facts.SubmissionAccepted(
            (await self._client.call(_SEND, path={"cluster_id": job.cluster}, body=body)).id
        )

    async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:
        return [jobs.MrsStatus(one.id) for one in await self._all(job.cluster) if one.name == job.mrs_name]

    async def show(self, cluster: str, job_id: str) -> adapter.Sight | adapter.NoSuchJob:
        for one in await self._all(cluster):
            if one.id == job_id:
                words = ("RUNNING", "") if one.text is None else ("FINISHED", "SUCCEEDED")
                return facts.JobObserved(jobs.MrsStatus(job_id, *words))
        return adapter.NoSuchJob("no such echo")

    async def collect(self, job: jobs.Job) -> events.Result:
        found = {one.id: one.text for one in await self._all(job.cluster)}
        return events.Result(reply={"text": found[job.seen.job_id if job.seen else ""]})

    async def _all(self, cluster: str) -> list[_Echo]:
        return (await self._client.call(_LIST, path={"cluster_id": cluster})).echoes


class _EchoWire(service_harness.Wire):
    """Plays the MRS that knows echoes; everything else goes to the emulator."""

    def __init__(self, mrs: Any, lost: int = 0) -> None:
        super().__init__(mrs)
        self.echoes: list[tuple[float, dict[str, str]]] = []
        self.lost = lost

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        if not request.target.partition("?")[0].endswith("/echoes"):
            return await super().send(request, timeout_s)

        await asyncio.sleep(service_harness.LATENCY_S)
        now_s = asyncio.get_running_loop().time()
        reply: dict[str, Any]

        if request.verb == "POST":
            reply = {"id": f"e-{len(self.echoes) + 1}", **json.loads(request.body or b"")}
            self.echoes.append((now_s, reply))
            if self.lost:
                self.lost -= 1
                raise transport.Lost("the connection was closed without a reply")
        else:
            shown = [{**echo, "text": echo["text"] if now_s - at_s > _RUNS_S else None} for at_s, echo in self.echoes]
            reply = {"echoes": shown}

        return transport.Response(200, json.dumps(reply).encode(), {"Content-Type": "application/json"})


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.ADAPTERS, _EchoAdapter.name, _EchoAdapter())
    models: dict[str, Any] = requests.MODELS  # a closed union: the contract has no echoes
    monkeypatch.setitem(models, _TYPE, _EchoSubmit)
    operations: Any = registry.OPERATIONS
    monkeypatch.setattr(registry, "OPERATIONS", {**operations, _SEND.name: _SEND, _LIST.name: _LIST})


def _echo(request_id: str, text: str, **more: Any) -> bytes:
    data = {"cluster": service.CLUSTER, "text": text, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": _TYPE, "data": data}).encode()


async def test_a_kind_that_the_engine_does_not_know_goes_from_its_message_to_its_last_event() -> None:
    """It is accepted, submitted under its token, followed to its end, and its result read."""
    async with service_harness.start(replicas=0) as here:
        door = _EchoWire(here.mrs)
        await here.start_replica(door)
        here.put(_echo("e-1", "hello"))
        await here.until_ended(["e-1"], 600)
        assert here.states("e-1") == ["accepted", "submitted", "running", "succeeded"]
        last = here.events()[-1].data
        assert last["result"]["reply"] == {"text": "hello"}
        assert (last["mrs"]["job_id"], last["mrs"]["job_name"]) == ("e-1", door.echoes[0][1]["name"])


async def test_its_lost_reply_is_looked_up_and_it_is_sent_once() -> None:
    """What holds for batch jobs holds for each kind whose effect MRS shows."""
    async with service_harness.start(replicas=0) as here:
        door = _EchoWire(here.mrs, lost=1)
        await here.start_replica(door)
        here.put(_echo("e-1", "hello"))
        await here.until_ended(["e-1"], 600)
        assert (here.states("e-1")[-1], len(door.echoes)) == ("succeeded", 1)


async def test_it_is_taken_over_by_the_next_replica_as_what_it_is() -> None:
    """The ledger names the kind; nothing else of the record tells it once MRS has the work."""
    async with service_harness.start(replicas=0) as here:
        door = _EchoWire(here.mrs)
        first = await here.start_replica(door)
        here.put(_echo("e-1", "hello"))
        async with asyncio.timeout(600):
            while "running" not in here.states("e-1"):
                await asyncio.sleep(0.5)
        await first.kill()
        await here.start_replica(door)
        await here.until_ended(["e-1"], 600)
        assert (here.states("e-1")[-1], len(door.echoes)) == ("succeeded", 1)
