"""Who sent a message travels with it: into the events that it causes, and into no other's."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples, unit_bench

from mrs_relay.engine.intake import cancel_routing, reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import envelope

_ANN = {"authid": "ann", "authtype": "user"}
_BOB = {"authid": "bob", "authtype": "api_key"}
_CANCEL = {"request": {"id": "order-1"}, "note": "late"}


def _shown(sent: records.Outgoing) -> dict[str, str]:
    return {name[3:]: raw.decode() for name, raw in sent.headers if name.startswith("ce_auth")}


def _run(bench: unit_bench.Bench, *messages: dict[str, object]) -> list[dict[str, str]]:
    """Read messages; returns the senders that the events name."""
    for number, message in enumerate(messages):
        bench.read(samples.record(message, offset=100 + number))
    return [_shown(sent) for sent in bench.unit.outgoing()]


def test_the_events_of_a_request_name_its_sender() -> None:
    """In either mode of CloudEvents, and not if the message names none."""
    assert _run(unit_bench.Bench(), samples.message(**_ANN)) == [_ANN]
    headers = [(f"ce_{name}", text.encode()) for name, text in {"id": "r", "type": "mrs.x", **_BOB}.items()]
    bench = unit_bench.Bench()
    bench.read(samples.record(b"{}", headers=headers))
    assert [_shown(sent) for sent in bench.unit.outgoing()] == [_BOB]
    assert _run(unit_bench.Bench(), samples.message()) == [{}]
    assert _run(unit_bench.Bench(), samples.message(authid="", authtype="user")) == [{}]


def test_an_event_names_the_sender_of_the_message_that_caused_it() -> None:
    """`cancelled` is the doing of the one who cancelled, in whichever order the two messages came."""
    request, cancel = samples.message(**_ANN), samples.message(_CANCEL, "mrs.job.cancel", id="c-9", **_BOB)
    assert _run(unit_bench.Bench(), request, cancel) == [_ANN, _BOB]
    assert _run(unit_bench.Bench(), cancel, request) == [_ANN, _BOB]


@pytest.mark.parametrize("kind", ["mrs.job.cancel", "mrs.job.resolve"])
@pytest.mark.parametrize("state", ["running", "succeeded", "unknown"])
def test_an_answer_names_the_sender_of_the_message_that_it_answers(kind: str, state: str) -> None:
    """Not the sender of the request, who did not ask."""
    data = _CANCEL if kind == "mrs.job.cancel" else {**_CANCEL, "verdict": "failed"}
    job = samples.job(state, sender=envelope.Sender("ann", "user") if state == "running" else None)
    bench = unit_bench.Bench(job)
    answered = _run(bench, samples.message(data, kind, id="w-1", **_BOB))
    assert all(one == _BOB for one in answered)
    (kept,) = bench.written().values() or [job]
    assert kept is not None
    assert kept.sender == job.sender


def test_senders_make_no_difference_between_requests_and_are_forgotten_at_the_end() -> None:
    """The same request of another sender is the same request; a request that has ended needs its sender no more."""
    bench = unit_bench.Bench()
    bench.read(samples.record(samples.message(**_ANN)))
    list(bench.unit.apply())
    (job,) = bench.jobs.values()
    again = unit_bench.Bench(job)
    assert _run(again, samples.message(**_BOB)) == [_BOB]
    assert again.states() == ["accepted"]
    ended = samples.decide(samples.job("running", sender=job.sender, asked_sender=job.sender), "succeeded").job
    assert ended is not None
    assert (ended.sender, ended.asked_sender) == (None, None)


def test_a_broadcast_cancel_keeps_its_sender() -> None:
    """The partition that has the request tells who cancelled it."""
    record = samples.record(samples.message(_CANCEL, "mrs.job.cancel", id="c-9", **_BOB))
    _, asked = _read(record)
    copy = cancel_routing.broadcast(record, asked, 2)[0]
    _, passed = _read(msgspec.structs.replace(record, value=copy.value, headers=copy.headers, partition=1))
    assert passed.job.sender == envelope.Sender("bob", "api_key")


def _read(record: records.Record) -> tuple[jobs.LedgerKey, facts.CancelRequested]:
    meaning = reader.read(record, frozenset(), 100_000)
    assert isinstance(meaning, tuple)
    assert isinstance(meaning[1], facts.CancelRequested)
    return meaning[0], meaning[1]
