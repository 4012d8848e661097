"""Messages are read some at a time, ahead of the decisions on them, and each as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.engine import fakes, samples

from mrs_relay.engine import message_reading
from mrs_relay.engine.intake import job_factory, reader
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters

VALUES: tuple[Any, ...] = (
    samples.message(),
    b"{",
    samples.message(id=""),
    samples.message({"cluster": "?"}),
    samples.message(kind="mrs.unknown"),
    None,
    samples.message({"request": {"id": "order-1"}}, "mrs.job.cancel"),
    samples.sql("select 1"),
)
"""What is valid, what is rejected at each step of the reading, and what becomes a dead letter."""


def _records(values: Sequence[Any]) -> list[records.Record]:
    return [samples.record(value, offset=number) for number, value in enumerate(values)]


def _reading(context: Any = None) -> message_reading.MessageReading:
    return message_reading.MessageReading(context or fakes.context(), fakes.lease(), 100_000)


def test_messages_that_are_read_together_mean_what_each_means_alone() -> None:
    """The steps of several messages alternate; none sees anything of another, and the order stays."""
    incoming = _records(VALUES * 20)
    reading = _reading()
    found = list(reading.meanings(incoming))
    assert [record for record, _ in found] == incoming
    assert [meaning for _, meaning in found] == [reading.meaning(record) for record in incoming]


def test_error_in_one_message_raises_the_alarm_for_it_and_its_neighbours_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug that one message triggers rejects that message alone, and is counted once."""
    make = job_factory.create_job

    def create(message: Any, *rest: Any) -> Any:
        return 1 / 0 if message.id == "bad" else make(message, *rest)

    monkeypatch.setattr(job_factory, "create_job", create)
    context = fakes.context()
    incoming = _records([samples.message(id=name) for name in ("good", "bad", "fine")])
    meanings = [meaning for _, meaning in _reading(context).meanings(incoming)]
    assert not any(isinstance(meaning, dead_letters.DeadLetter) for meaning in meanings)
    assert [type(meaning[1]).__name__ for meaning in meanings] == ["Requested", "InvalidRequest", "Requested"]  # type: ignore[index]
    assert context.counts.internal_errors == {("read", "ZeroDivisionError"): 1}


def test_message_that_a_control_passes_over_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message may be passed over because reading it does harm."""
    read: list[int] = []
    original = reader.read_all

    def noting(incoming: Sequence[records.Record], *rest: Any) -> list[reader.Meaning]:
        read.extend(record.offset for record in incoming)
        return original(incoming, *rest)

    monkeypatch.setattr(reader, "read_all", noting)
    monkeypatch.setattr(standing.Controls, "skipping", lambda _self, _topic, _partition, at: "no" if at == 1 else None)
    found = [meaning for _, meaning in _reading().meanings(_records([samples.message()] * 3))]
    assert read == [0, 2]
    assert [isinstance(meaning, dead_letters.DeadLetter) for meaning in found] == [False, True, False]


def test_only_so_much_is_read_ahead() -> None:
    """A batch of large messages is never in memory as a whole in its read form."""
    sizes = [len(part) for part in records.slices(_records([b"x" * 100_000] * 5 + [b"x"] * 100), 64, 262_144)]
    assert sizes == [2, 2, 64, 37]
