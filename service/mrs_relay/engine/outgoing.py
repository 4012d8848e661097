"""Write events and dead letters as Kafka records that fit into their topics. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from mrs_relay import errors
from mrs_relay.common import faults
from mrs_relay.engine import context as contexts
from mrs_relay.engine.decide import internal_errors
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters, events

LEDGER: Final = "the ledger"
"""In place of a topic's name, where a job's own record is too large."""

_NOTE_BYTES: Final = 64
"""Upper bound of the header with the length of a dead letter's value before it was cut."""

_HEADERS_BYTES: Final = 32_768
"""Upper bound of an event's headers: a dozen short texts, and five times `2 * envelope.MAX_ID` characters."""

_FEW_WORDS: Final = 200
"""Characters of a reason's text in an event that would not fit otherwise."""

_MISSING: Final = "it does not fit into a Kafka record of this topic"


def last_states(
    changed: Mapping[jobs.LedgerKey, jobs.Job | None],
    before: Mapping[jobs.LedgerKey, jobs.Job],
    published: Iterable[events.Event],
) -> dict[bytes, events.Event | None]:
    """
    Find the last event of each request that changed its state; None for each request that is forgotten.

    NB: PENDING_CANCEL is a cancel, perhaps on another partition than its request: forgetting it forgets no request.
    """
    states: dict[bytes, events.Event | None] = {}
    for key, job in changed.items():
        was = before.get(key)
        if job is None and was is not None and was.state is not jobs.State.PENDING_CANCEL:
            states[key] = None
    for event in published:
        if event.changes_state:
            key = jobs.ledger_key(event.data.request.source, event.data.request.id)
            states[key] = msgspec.structs.replace(event, key=key)
    return states


class Writer:
    """
    Encode the records that a partition publishes.

    Args:
        topics: names of the topics, and format of events.
        limit_bytes: largest record that a topic takes; asked once for each topic.
    """

    def __init__(self, topics: contexts.Topics, limit_bytes: Callable[[str | None], int]) -> None:
        self._topics = topics
        self._limit_bytes = functools.cache(limit_bytes)

    def event(self, event: events.Event, topic: str) -> records.Outgoing:
        """
        Write an event. An event that does not fit into its topic is cut, and says so: rows first, then texts.

        Raises:
            TooLarge: the topic does not even take the cut event.
        """
        record = self._event(event, topic)
        limit_bytes = self._limit_bytes(topic)

        # The usual case: far from the limit, so that no header needs to be measured.
        if len(record.value or b"") + len(record.key or b"") + _HEADERS_BYTES <= limit_bytes:
            return record

        for smaller in (_without_rows, _without_words):
            if records.fits(record, limit_bytes):
                return record
            record = self._event(smaller(event), topic)
        self.require_fit(record)
        return record

    def require_fit(self, record: records.Outgoing) -> None:
        """
        Require that a record fits into its topic.

        Raises:
            TooLarge: it does not.
        """
        records.require_fit(record, self._limit_bytes(record.topic))

    def dead_letter(self, letter: dead_letters.DeadLetter) -> records.Outgoing:
        """Write a dead letter. One that does not fit is cut, and says so: the value's end, then headers and key."""
        topic = self._topics.dead_letters
        bare = (("mrs_relay_cut_headers", b"%d" % len(letter.headers)),)
        keyless = (*bare, ("mrs_relay_cut_key_bytes", b"%d" % len(letter.key or b"")))

        for smaller in ({}, {"headers": (), "cut": bare}, {"headers": (), "cut": keyless, "key": None}):
            key, value, headers = msgspec.structs.replace(letter, **smaller).write()
            note = ("mrs_relay_cut_from_bytes", b"%d" % len(value))
            over_bytes = records.size_bytes(key, value, headers) - self._limit_bytes(topic)
            if 0 < over_bytes <= len(value) - _NOTE_BYTES:
                return records.Outgoing(topic, key, value[: -over_bytes - _NOTE_BYTES], (*headers, note))
            if over_bytes <= 0:
                break
        return records.Outgoing(topic, key, value, headers)

    def _event(self, event: events.Event, topic: str) -> records.Outgoing:
        key, value, headers = events.write(event, self._topics.source, self._topics.mode)
        return records.Outgoing(topic, key, value, headers)


def fault(error: Exception) -> errors.BadMessage:
    """Return why a message or job cannot continue, without the error's own text."""
    if not isinstance(error, records.TooLarge):
        return errors.BadMessage(internal_errors.CODE, faults.name(error))
    what = "job would take" if error.topic == LEDGER else "events would take"
    text = (
        f"its {what} {error.size_bytes} bytes, numbers and characters as the ledger writes them; at most "
        f"{error.limit_bytes} fit into a Kafka record"
    )
    return errors.BadMessage("too_large", text)


def _without_rows(event: events.Event) -> events.Event:
    if event.data.result is None:
        return event
    kept = {name: getattr(event.data.result, name) for name in ("location", "url", "url_expires_at")}
    result = events.Result(**kept, truncated=True, unavailable=_MISSING)
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, result=result))


def _without_words(event: events.Event) -> events.Event:
    """Leave out the sender's labels, and most of the reason's text."""
    data = _without_rows(event).data
    reason = data.reason
    if reason is not None:
        reason = reason.model_copy(update={"message": reason.message[:_FEW_WORDS]})
    return msgspec.structs.replace(event, data=msgspec.structs.replace(data, labels=None, reason=reason))
