"""Cancels, resolutions, deadlines and retries as messages."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.messages import parsing_samples, samples

from mrs_relay.messages import envelope, requests

_RETRY = {"attempts": 3}


_WISH_FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    *(
        (f"{name} {what}", {name: value}, code, name, text)
        for name in ("queue_deadline_s", "run_deadline_s")
        for what, value, code, text in (
            ("zero", 0, "bad_value", "greater than 0"),
            ("negative", -1, "bad_value", "greater than 0"),
            ("longer than a year", 31_536_001, "bad_value", "31536000"),
            ("text", "30", "wrong_type", "number"),
            ("bool", True, "wrong_type", "number"),
            ("list", [30], "wrong_type", "number"),
        )
    ),
    ("retry text", {"retry": "twice"}, "wrong_type", "retry", "object"),
    ("retry number", {"retry": 3}, "wrong_type", "retry", "object"),
    ("no attempts", {"retry": {}}, "missing_field", "retry.attempts", "required"),
    ("one attempt", {"retry": {"attempts": 1}}, "bad_value", "retry.attempts", "2"),
    ("many attempts", {"retry": {"attempts": 21}}, "bad_value", "retry.attempts", "20"),
    ("attempts text", {"retry": {"attempts": "3"}}, "wrong_type", "retry.attempts", "integer"),
    ("attempts bool", {"retry": {"attempts": True}}, "wrong_type", "retry.attempts", "integer"),
    ("backoff negative", {"retry": {**_RETRY, "backoff_s": -1}}, "bad_value", "retry.backoff_s", "0"),
    ("backoff over a day", {"retry": {**_RETRY, "backoff_s": 86_401}}, "bad_value", "retry.backoff_s", "86400"),
    ("backoff text", {"retry": {**_RETRY, "backoff_s": "30"}}, "wrong_type", "retry.backoff_s", "number"),
    ("on nothing", {"retry": {**_RETRY, "on": []}}, "bad_value", "retry.on", "at least 1"),
    ("on text", {"retry": {**_RETRY, "on": "job_failed"}}, "wrong_type", "retry.on", "list"),
    ("on unknown", {"retry": {**_RETRY, "on": ["unresolved"]}}, "bad_value", "retry.on.0", "job_failed"),
    ("retry with more", {"retry": {**_RETRY, "until": 1}}, "unknown_field", "retry.until", "no such field"),
]


@pytest.mark.parametrize("kind", ["mrs.job.submit", "mrs.sql.submit"])
@pytest.mark.parametrize(
    ("change", "code", "field", "text"), [f[1:] for f in _WISH_FAULTS], ids=[f[0] for f in _WISH_FAULTS]
)
def test_wrong_deadline_or_retry_is_named(kind: str, change: dict[str, Any], code: str, field: str, text: str) -> None:
    """The same for what both kinds of requests may wish, beside what they run."""
    data = samples.job_data(**change) if kind == "mrs.job.submit" else samples.sql_data(**change)
    fault = parsing_samples.fault(data, kind)
    assert (fault.code, fault.field) == (code, f"data.{field}")
    assert text in fault.message.removeprefix(f"`data.{field}`: ")


def test_deadlines_and_retry_are_read() -> None:
    """What is within the rules is taken; the rest of a retry has defaults."""
    data = samples.job_data(queue_deadline_s=0.5, run_deadline_s=31_536_000, retry={"attempts": 2})
    request = parsing_samples.parse(data)
    assert isinstance(request, requests.JobSubmit)
    assert (request.queue_deadline_s, request.run_deadline_s) == (0.5, 31_536_000)
    assert request.retry == requests.RetryPolicy(attempts=2, backoff_s=30.0, on=["job_failed"])
    none = parsing_samples.parse(samples.job_data(queue_deadline_s=None, run_deadline_s=None, retry=None))
    assert none == parsing_samples.parse(samples.job_data())


_TARGET = {"id": "order-1"}


_TARGET_FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("without request", {}, "missing_field", "request", "required"),
    ("request text", {"request": "order-1"}, "wrong_type", "request", "object"),
    ("request null", {"request": None}, "wrong_type", "request", "object"),
    ("request without id", {"request": {}}, "missing_field", "request.id", "required"),
    ("id number", {"request": {"id": 7}}, "wrong_type", "request.id", "string"),
    ("id empty", {"request": {"id": ""}}, "bad_value", "request.id", "at least 1"),
    ("id long", {"request": {"id": "x" * 257}}, "bad_value", "request.id", "256"),
    ("id with control", {"request": {"id": "a\n"}}, "bad_value", "request.id", "control characters"),
    ("source empty", {"request": {**_TARGET, "source": ""}}, "bad_value", "request.source", "at least 1"),
    ("source long", {"request": {**_TARGET, "source": "x" * 257}}, "bad_value", "request.source", "256"),
    ("source with space", {"request": {**_TARGET, "source": "/a b"}}, "bad_value", "request.source", "space"),
    (
        "source with NUL",
        {"request": {**_TARGET, "source": "\0claim"}},
        "bad_value",
        "request.source",
        "control characters",
    ),
    (
        "request with more",
        {"request": {**_TARGET, "key": "k"}},
        "unknown_field",
        "request.key",
        "no such field",
    ),
    ("note long", {"request": _TARGET, "note": "x" * 501}, "bad_value", "note", "500"),
    ("note number", {"request": _TARGET, "note": 7}, "wrong_type", "note", "string"),
    ("field unknown", {"request": _TARGET, "force": True}, "unknown_field", "force", "no such field"),
]


_MESSAGE_FAULTS: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    *(
        (
            f"{kind} {what}",
            kind,
            {"verdict": "failed", "note": "n", **change} if kind == "resolve" else change,
            code,
            field,
            text,
        )
        for kind in ("cancel", "resolve")
        for what, change, code, field, text in _TARGET_FAULTS
    ),
    ("no verdict", "resolve", {"request": _TARGET, "note": "n"}, "missing_field", "verdict", "required"),
    ("no note", "resolve", {"request": _TARGET, "verdict": "failed"}, "missing_field", "note", "required"),
    ("empty note", "resolve", {"request": _TARGET, "verdict": "failed", "note": ""}, "bad_value", "note", "at least 1"),
    (
        "odd verdict",
        "resolve",
        {"request": _TARGET, "verdict": "unknown", "note": "n"},
        "bad_value",
        "verdict",
        "failed",
    ),
    ("cancel with verdict", "cancel", {"request": _TARGET, "verdict": "failed"}, "unknown_field", "verdict", "no such"),
]


@pytest.mark.parametrize(
    ("kind", "data", "code", "field", "text"), [f[1:] for f in _MESSAGE_FAULTS], ids=[f[0] for f in _MESSAGE_FAULTS]
)
def test_wrong_field_of_a_cancel_or_resolve_is_named(
    kind: str, data: dict[str, Any], code: str, field: str, text: str
) -> None:
    """The same for messages about another request; what no request can be called is refused, the ledger's keys too."""
    fault = parsing_samples.fault(data, f"mrs.job.{kind}")
    assert (fault.code, fault.field) == (code, f"data.{field}")
    assert text in fault.message.removeprefix(f"`data.{field}`: ")


def test_cancel_and_resolve_are_read() -> None:
    """A target's source may be left out; an id may hold spaces; a cancel needs no note."""
    assert parsing_samples.parse({"request": {"id": "a b"}}, "mrs.job.cancel") == requests.JobCancel(
        request=requests.Target(id="a b")
    )
    data = {"request": {"id": "x" * 256, "source": "/s"}, "verdict": "cancelled", "note": "ü"}
    reported = parsing_samples.parse(data, "mrs.job.resolve")
    assert isinstance(reported, requests.JobResolve)
    assert reported.model_dump() == data


@pytest.mark.parametrize("number", ["0.33333333333333333333", "3600.00000000000000000001"])
def test_number_with_many_digits_is_a_deadline(number: str) -> None:
    """A float is near enough for seconds, whatever the writer's digits."""
    raw = samples.raw(samples.message(samples.job_data(queue_deadline_s="@"))).replace(b'"@"', number.encode())
    request = requests.parse(envelope.read(samples.TOPIC, raw, ()))
    assert isinstance(request, requests.JobSubmit)
    assert request.queue_deadline_s == float(number)


@pytest.mark.parametrize("name", ["a\u200db", "a\u00a0b", "a\u3000b"])
def test_target_may_have_any_name_that_a_request_may_have(name: str) -> None:
    """What can be sent can be cancelled."""
    request = parsing_samples.parse({"request": {"id": name, "source": name}}, "mrs.job.cancel")
    assert isinstance(request, requests.JobCancel)
    assert (request.request.id, request.request.source) == (name, name)
