"""Sending and waiting: no event is missed however quick the relay is, and the exit code tells how it went."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli import fakes

from mrs_relay import errors
from mrs_relay.cli import compose, connect, run, wait
from mrs_relay.kafka import settings, topic_io
from mrs_relay.messages import envelope, events

_SETTINGS = settings.KafkaSettings()
_BAD = {"class": "job_failed", "code": "job_result", "message": "no luck"}
_ROWS = {"result": {"statements": [{"rows": [{"n": 1}], "row_count": 1}]}}


def _messages(*ids: str) -> list[compose.Message]:
    data = {"cluster": "c", "engine": "spark", "statement": "SELECT 1"}
    return [compose.message({"id": one, "type": "mrs.sql.submit", "data": data}, compose.Defaults()) for one in ids]


def _kafka(monkeypatch: pytest.MonkeyPatch, answer: fakes.Answer) -> fakes.Kafka:
    kafka = fakes.Kafka(answer)
    monkeypatch.setattr(connect, "broker", lambda _settings: kafka)
    return kafka


def _succeed(request: envelope.Envelope) -> list[events.EventData]:
    return fakes.reported(request, "accepted", "submitted", "succeeded", **_ROWS)


async def test_a_relay_that_answers_at_once_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All events are there, from the first: the reader was open before the request was sent."""
    _kafka(monkeypatch, _succeed)
    how = wait.How(wait=True, as_json=True, timeout_s=5)
    assert await wait.deliver(_messages("a"), _SETTINGS, how) is run.Code.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["data"]["state"] for line in lines] == ["accepted", "submitted", "succeeded"]


async def test_a_cancel_among_requests_is_sent_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered by its request's events, so nothing comes under its own id."""
    kafka = _kafka(monkeypatch, lambda one: [] if one.type == "mrs.job.cancel" else _succeed(one))
    wish = {"id": "w", "type": "mrs.job.cancel", "data": {"request": {"id": "a"}}}
    cancel = compose.message(wish, compose.Defaults())
    how = wait.How(wait=True, timeout_s=5)
    assert await wait.deliver([*_messages("a"), cancel], _SETTINGS, how) is run.Code.OK
    assert await wait.deliver([cancel], _SETTINGS, how) is run.Code.OK
    assert len(kafka.logs["mrs.requests"]) == 3


async def test_rows_are_shown_when_all_have_succeeded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people: ids first, changes, then the rows."""
    _kafka(monkeypatch, _succeed)
    assert await wait.deliver(_messages("a", "b"), _SETTINGS, wait.How(wait=True, timeout_s=5)) is run.Code.OK
    shown = capsys.readouterr().out
    assert shown.splitlines()[:2] == ["a", "b"]
    assert shown.count("1 row") == 2


@pytest.mark.parametrize("state", ["failed", "rejected", "unknown", "cancelled"])
async def test_one_bad_end_among_good_ones_is_a_failure_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: events.State
) -> None:
    """Exit 1, and the reason stands on standard error."""

    def answer(request: envelope.Envelope) -> list[events.EventData]:
        return fakes.reported(request, "accepted", state, reason=_BAD) if request.id == "bad" else _succeed(request)

    _kafka(monkeypatch, answer)
    how = wait.How(wait=True, timeout_s=5)
    assert await wait.deliver(_messages("good", "bad"), _SETTINGS, how) is run.Code.FAILED
    assert capsys.readouterr().err.strip() == f"bad: {state}: job_result: no luck"


async def test_when_the_time_is_up_it_says_how_each_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is running, of the other nothing was heard; events of strangers do not count."""

    def answer(request: envelope.Envelope) -> list[events.EventData]:
        return fakes.reported(request, "accepted", "running") if request.id == "slow" else []

    _kafka(monkeypatch, answer)
    how = wait.How(wait=True, timeout_s=0.1)
    assert await wait.deliver(_messages("slow", "lost"), _SETTINGS, how) is run.Code.FAILED
    assert capsys.readouterr().err.splitlines() == [
        "slow: not ended within 0.1 s (still running)",
        "lost: not ended within 0.1 s (no event at all)",
    ]


async def test_without_waiting_the_ids_are_printed_once_kafka_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Key, value and content type are as composed."""
    kafka = _kafka(monkeypatch, lambda _request: [])
    messages = _messages("a", "b")
    assert await wait.deliver(messages, _SETTINGS, wait.How()) is run.Code.OK
    assert capsys.readouterr().out.split() == ["a", "b"]
    sent = kafka.logs["mrs.requests"]
    assert [(one.key, one.value, one.headers) for one in sent] == [
        (one.key, one.value, one.headers) for one in messages
    ]


async def test_nothing_is_sent_when_the_events_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that could not hear the answer does not begin."""
    kafka = _kafka(monkeypatch, _succeed)
    del kafka.logs["mrs.events"]
    with pytest.raises(errors.SettingsError, match=r"mrs\.events"):
        await wait.deliver(_messages("a"), _SETTINGS, wait.How(wait=True))
    assert kafka.logs["mrs.requests"] == []


async def test_request_that_was_sent_before_is_shown_with_its_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of whatever source, once it is named; an id that has no event is waited for."""
    _kafka(monkeypatch, _succeed)
    await wait.deliver(_messages("a", "b"), _SETTINGS, wait.How())
    capsys.readouterr()
    how = wait.How(wait=True, timeout_s=5)
    assert await wait.attach([(None, "a")], topic_io.BEGINNING, _SETTINGS, how) is run.Code.OK
    shown = capsys.readouterr().out
    assert shown.count("1 row") == 1
    assert "b" not in [line.strip() for line in shown.splitlines()]

    how = wait.How(wait=True, timeout_s=0.1)
    assert await wait.attach([("/other", "a")], topic_io.BEGINNING, _SETTINGS, how) is run.Code.FAILED
    assert "a: not ended within 0.1 s (no event at all)" in capsys.readouterr().err


async def test_several_requests_of_one_id_are_all_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two senders use it, and one of the requests failed."""

    def answer(request: envelope.Envelope) -> list[events.EventData]:
        return fakes.reported(request, "failed", reason=_BAD) if request.source == "/b" else _succeed(request)

    _kafka(monkeypatch, answer)
    data = {"cluster": "c", "engine": "spark", "statement": "SELECT 1"}
    message = {"id": "same", "type": "mrs.sql.submit", "data": data}
    both = [compose.message({**message, "source": source}, compose.Defaults()) for source in ("/a", "/b")]
    await wait.deliver(both, _SETTINGS, wait.How())
    how = wait.How(wait=True, timeout_s=5)
    assert await wait.attach([(None, "same")], topic_io.BEGINNING, _SETTINGS, how) is run.Code.FAILED
    captured = capsys.readouterr()
    assert captured.out.count("1 row") == 1
    assert "same: failed" in captured.err
