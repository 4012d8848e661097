"""The client's five steps: build, limit, sign, send, read; and how failures of the way become errors."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.mrs import auth, client, operation, transport
from mrs_relay.mrs.models import clusters as cluster_models
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.operations import clusters, jobs, registry, sql

JOBS_PATH = f"/v2/{support.PROJECT}/clusters/{support.CLUSTER}/job-executions"
SUBMITTED = {"job_submit_result": {"job_id": support.JOB, "state": "COMPLETE"}}
PAGE: dict[str, object] = {"total_record": 0, "job_list": []}
THROTTLED = support.answer(429, {"error_code": "APIGW.0308", "error_msg": "m"}, {"Retry-After": "7"})
STALE = support.answer(401, {"error_code": "APIGW.0307", "error_msg": "m"})


# --- build ---


async def test_a_submission_is_sent_as_documented() -> None:
    """Verb, path, body and headers are what the API asks for; the reply is the model."""
    mrs, door = support.client_with(support.answer(202, SUBMITTED, {"X-Request-Id": "r-1"}))
    body = job_models.JobExecution.model_validate({**support.BODY, "properties": {"k": "数"}})
    reply = await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=body)
    assert (reply.job_id, reply.request_id) == (support.JOB, "r-1")
    (request,) = door.sent
    assert (request.verb, request.target) == ("POST", JOBS_PATH)
    assert json.loads(request.body) == {**support.BODY, "properties": {"k": "数"}}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Project-Id"] == support.PROJECT


async def test_bodies_and_queries_may_be_given_by_the_names_of_the_api() -> None:
    """A mapping is checked like a model."""
    mrs, door = support.client_with(support.answer(202, SUBMITTED), support.answer(202, PAGE))
    await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    query = {"submitted_time_begin": 1, "limit": 100, "job_result": "UNDEFINED"}
    await mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query=query)
    assert json.loads(door.sent[0].body)["job_name"] == support.BODY["job_name"]
    assert door.sent[1].target == f"{JOBS_PATH}?job_result=UNDEFINED&limit=100&submitted_time_begin=1"
    assert door.sent[1].body == b""


async def test_a_signature_verifies_for_what_was_sent() -> None:
    """Recomputed from the bytes on the wire, by the letter of the documents, the signature is the same."""
    mrs, door = support.client_with(support.answer(202, PAGE))
    query = job_models.JobQuery(job_name="a-b", limit=100)
    await mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query=query)
    (request,) = door.sent
    path, _, text = request.target.partition("?")
    given = request.headers["Authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0]
    assert names == "content-type;host;x-project-id;x-sdk-date"
    lowered = {name.lower(): value for name, value in request.headers.items()}
    block = "".join(f"{name}:{lowered[name]}\n" for name in names.split(";"))
    canonical = f"GET\n{path}/\n{text}\n{block}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
    to_sign = f"SDK-HMAC-SHA256\n{lowered['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    expected = hmac.new(support.SECRET.encode(), to_sign.encode(), "sha256").hexdigest()
    assert given.endswith(f"Signature={expected}")


async def test_temporary_keys_send_their_token() -> None:
    """A temporary pair is worth nothing without its security token, which is signed too."""
    mrs, door = support.client_with(support.answer(202, SUBMITTED), security_token="token-1")  # noqa: S106 - no real one
    await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    assert door.sent[0].headers["X-Security-Token"] == "token-1"
    assert "x-security-token" in door.sent[0].headers["Authorization"]


Refusal = Callable[[client.Client], Awaitable[Any]]

REFUSALS: dict[str, tuple[Refusal, str]] = {
    "bad field": (
        lambda mrs: mrs.call(
            jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body={**support.BODY, "job_name": "a b"}
        ),
        r"CreateExecuteJob was not sent: body: job_name: .*\{1,64\}",
    ),
    "too long": (
        lambda mrs: mrs.call(
            jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body={**support.BODY, "arguments": ["x" * 150_001]}
        ),
        r"body: arguments: 150001 characters in all, MRS takes 150000",
    ),
    "no body": (
        lambda mrs: mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER),
        r"body: job_type: Field required; job_name: Field required",
    ),
    "body of another operation": (
        lambda mrs: mrs.call(
            registry.named("ExecuteSql"),
            path=support.AT_CLUSTER,
            body=job_models.JobExecution.model_validate(support.BODY),
        ),
        r"body: must be a SqlExecution, not a JobExecution",
    ),
    "body where none belongs": (
        lambda mrs: mrs.call(registry.named("StopJob"), path=support.AT_JOB, body={"a": 1}),
        r"StopJob was not sent: body: this operation takes none",
    ),
    "query where none belongs": (
        lambda mrs: mrs.call(jobs.STOP_JOB, path=support.AT_JOB, query={"a": 1}),
        r"query: this operation takes none",
    ),
    "query of another operation": (
        lambda mrs: mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query=cluster_models.ClusterQuery()),
        r"query: must be a JobQuery, not a ClusterQuery",
    ),
    "bad query": (
        lambda mrs: mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query={"offset": 0}),
        r"query: offset: .*greater than or equal to 1",
    ),
    "unknown filter": (
        lambda mrs: mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query={"state": "NEW"}),
        r"query: state: Extra inputs are not permitted",
    ),
    "bad path": (
        lambda mrs: mrs.call(jobs.STOP_JOB, path={**support.AT_CLUSTER, "job_execution_id": "../x"}),
        r"'job_execution_id' must match",
    ),
    "beyond what can be signed": (
        lambda mrs: mrs.call(
            sql.EXECUTE_SQL, path=support.AT_CLUSTER, body={"sql_content": "x" * (12 * 1024 * 1024 + 1)}
        ),
        r"body: 125829\d\d bytes, MRS takes 12582912",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_call_that_cannot_be_right_is_refused_unsent(case: str) -> None:
    """What is not well formed never leaves us, and the error names the field and the limit."""
    mrs, door = support.client_with()
    call, says = REFUSALS[case]
    with pytest.raises(errors.MrsRefused, match=says) as caught:
        await call(mrs)
    assert door.sent == []
    assert caught.value.status is None


# --- limit ---


async def test_reads_wait_for_their_budget_and_writes_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes has taken from the write budget before it committed the intention; `spend_budget` says otherwise."""
    mrs, _ = support.client_with(*[support.answer(202, SUBMITTED)] * 2, *[support.answer(202, PAGE)] * 2)
    asked: list[str] = []

    async def acquire(wanted: operation.Operation[Any, Any], timeout_s: float) -> None:
        assert timeout_s == 30.0
        asked.append(wanted.name)

    monkeypatch.setattr(mrs.limits, "acquire", acquire)
    await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    assert asked == []
    await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY, spend_budget=True)
    await mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER)
    assert asked == ["CreateExecuteJob", "ShowJobExeListNew"]
    await mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, spend_budget=False)
    assert len(asked) == 2


async def test_a_429_holds_the_whole_connection() -> None:
    """After one refusal by quota no operation goes until the wait is over."""
    mrs, _ = support.client_with(THROTTLED)
    assert mrs.limits.try_acquire(jobs.STOP_JOB) == 0.0
    with pytest.raises(errors.MrsThrottled):
        await mrs.call(jobs.SHOW_SINGLE_JOB_EXE, path=support.AT_JOB)
    assert mrs.limits.held_s == 7.0
    assert mrs.limits.try_acquire(jobs.STOP_JOB) == 7.0


@pytest.mark.parametrize(("given", "used"), [(None, 30.0), (2.5, 2.5)])
async def test_every_call_has_a_deadline(given: float | None, used: float) -> None:
    """Without a timeout of its own a call has the one of the settings."""
    mrs, door = support.client_with(support.answer(202, SUBMITTED))
    await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY, timeout_s=given)
    assert door.timeouts_s == [used]


@pytest.mark.looptime
async def test_waiting_for_the_budget_counts_against_the_deadline() -> None:
    """What the wait for the budget has used up is missing for the call itself."""
    door = support.FakeTransport(*[support.answer(200, {"clusterTotal": 0, "clusters": []})] * 6)
    mrs = client.Client(support.group(budgets=True), door, clock.LoopClock())
    for _ in range(6):
        await mrs.call(clusters.LIST_CLUSTERS, timeout_s=10.0)
    assert door.timeouts_s[0] == 10.0
    assert 9.0 < door.timeouts_s[-1] < 10.0


# --- sign: credentials that can be renewed ---


class Tokens:
    """A signer with tokens, of which it can get so many more."""

    def __init__(self, renewals: int) -> None:
        self.left = renewals
        self.token = 0
        self.project_id: str | None = support.PROJECT
        self.keys: auth.Keys | None = None

    async def prepare(self, timeout_s: float) -> str:
        """Return that nothing is missing."""
        del timeout_s
        return support.PROJECT

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """Return headers with the present token."""
        del verb, path, query, body
        return {"X-Auth-Token": str(self.token)}

    async def renew(self) -> bool:
        """Take the next token."""
        if not self.left:
            return False
        self.left -= 1
        self.token += 1
        return True


def _with_tokens(renewals: int, *answers: transport.Response) -> tuple[client.Client, support.FakeTransport]:
    door = support.FakeTransport(*answers)
    return client.Client(support.group(), door, clocks.HandClock(), Tokens(renewals)), door


async def test_a_stale_token_is_renewed_and_the_call_sent_once_more() -> None:
    """A 401 was not executed, so even a submission may be sent again with new credentials."""
    mrs, door = _with_tokens(1, STALE, support.answer(202, SUBMITTED))
    reply = await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    assert reply.job_id == support.JOB
    assert [request.headers["X-Auth-Token"] for request in door.sent] == ["0", "1"]


@pytest.mark.parametrize("renewals", [0, 1, 5])
async def test_credentials_are_renewed_once_at_most(renewals: int) -> None:
    """Refused again, or without others to try, the call is refused: a loop would lock the account."""
    mrs, door = _with_tokens(renewals, STALE, STALE)
    with pytest.raises(errors.MrsRefused):
        await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    assert len(door.sent) == min(renewals, 1) + 1


@pytest.mark.parametrize("answer", [support.answer(403), support.answer(500), support.answer(400)])
async def test_other_refusals_do_not_renew(answer: transport.Response) -> None:
    """Only a refusal for the credentials' sake asks for new ones; a 500 may have been executed."""
    mrs, door = _with_tokens(1, answer)
    with pytest.raises(errors.MrsError):
        await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    assert len(door.sent) == 1


# --- send: the way fails ---

SUBMIT: Refusal = lambda mrs: mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)  # noqa: E731 - table
KILL: Refusal = lambda mrs: mrs.call(jobs.STOP_JOB, path=support.AT_JOB)  # noqa: E731 - table
READ: Refusal = lambda mrs: mrs.call(jobs.SHOW_SINGLE_JOB_EXE, path=support.AT_JOB)  # noqa: E731 - table


@pytest.mark.parametrize(
    ("call", "failure", "kind"),
    [
        (SUBMIT, transport.NotSent("m"), errors.MrsUntouched),
        (KILL, transport.NotSent("m"), errors.MrsUntouched),
        (READ, transport.NotSent("m"), errors.MrsUntouched),
        (SUBMIT, transport.NoConnection("m"), errors.MrsUnreachable),
        (READ, transport.NoConnection("m"), errors.MrsUnreachable),
        (SUBMIT, transport.Lost("m"), errors.MrsAmbiguous),
        (KILL, transport.Lost("m"), errors.MrsAmbiguous),
        (READ, transport.Lost("m"), errors.MrsUntouched),
        (SUBMIT, transport.TooLarge("m"), errors.MrsAmbiguous),
        (READ, transport.TooLarge("m"), errors.MrsRefused),
    ],
)
async def test_a_failed_way_and_the_safety_of_the_operation_choose_the_error(
    call: Refusal, failure: transport.SendError, kind: type[errors.MrsError]
) -> None:
    """Not sent: nothing happened. Lost: a read may be repeated, a write is in doubt."""
    mrs, _ = support.client_with(failure)
    with pytest.raises(errors.MrsError) as caught:
        await call(mrs)
    assert type(caught.value) is kind
    assert caught.value.__cause__ is failure
    assert caught.value.path.startswith(JOBS_PATH)


# --- the whole client over sockets ---


async def test_a_call_over_sockets_carries_what_was_asked() -> None:
    """Client and transport together: one submission, one request, one reply."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        seen.append(await wire.request())
        await wire.reply(202, json.dumps(SUBMITTED).encode(), "x-request-id: r-1")

    async with (
        support.server(script) as server,
        client.connected(support.group(endpoint=server.url), clocks.HandClock()) as mrs,
    ):
        reply = await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
    assert (reply.job_id, reply.request_id) == (support.JOB, "r-1")
    assert seen[0].startswith(f"POST {JOBS_PATH} HTTP/1.1\r\n".encode())
    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in seen[0]


async def test_a_lost_reply_to_a_submission_is_in_doubt() -> None:
    """The server has the request and closes: the outcome is unknown, so the error says look it up."""

    async def script(wire: support.Wire) -> None:
        await wire.request()

    async with (
        support.server(script) as server,
        client.connected(support.group(endpoint=server.url), clocks.HandClock()) as mrs,
    ):
        with pytest.raises(errors.MrsAmbiguous, match="was lost"):
            await SUBMIT(mrs)
        with pytest.raises(errors.MrsUntouched, match="was lost"):
            await READ(mrs)


async def test_no_secret_is_in_any_error() -> None:
    """Keys, tokens, signatures and bodies stay out of messages, causes and reprs, whatever goes wrong."""
    secrets = [support.SECRET, "token-1", "Signature=", "obs://demo-bucket/a.jar"]
    answers: list[transport.Response | Exception] = [
        support.answer(401, {"error_code": "APIGW.0301", "error_msg": "m"}),
        support.answer(500),
        transport.Lost("m"),
        transport.NotSent("m"),
        support.answer(202, b"{"),
    ]

    mrs, _ = support.client_with(*answers, security_token="token-1")  # noqa: S106 - no real one
    for _ in answers:
        with pytest.raises(errors.MrsError) as caught:
            await SUBMIT(mrs)
        shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
        assert not [word for word in secrets if word in shown]

    assert not [word for word in secrets if word in repr(support.group(security_token="token-1"))]  # noqa: S106
