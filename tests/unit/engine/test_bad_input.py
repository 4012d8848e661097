"""Ten thousand malformed messages: each ends in an event or a dead letter, and nobody else notices."""

from __future__ import annotations

import collections
import dataclasses
import gc
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import pydantic_core
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import complete, damage, malformed
from tests.unit.engine import fakes, samples
from tests.unit.messages import samples as message_samples

from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import job_names, job_records, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records
from mrs_relay.messages import codec, dead_letters, envelope, event_reader, events, reasons, requests

_TOPICS: Final = dataclasses.replace(fakes.TOPICS, latest="mrs.latest")
_MRS_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_BYTES: Final = 1_000_000
_COUNT: Final = 10_000
_BATCH: Final = 20


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Thousands of dead letters are logged; kept anywhere, they would count as memory."""
    structlog.configure(processors=[_drop])


class _Partition:
    """A partition that reads, decides and commits, batch after batch, and carries nothing out."""

    def __init__(self) -> None:
        self.jobs = partition_jobs.Jobs()
        self.offset = 0
        self._context = dataclasses.replace(fakes.context(partitions=3), topics=_TOPICS)
        self._lease = fakes.lease()

    def take(self, messages: Iterable[malformed.Message]) -> list[records.Outgoing]:
        """Return one batch; returns what was published, and checks that all of it can be."""
        taken = []
        for message in messages:
            self.offset += 1
            record = samples.record(message.value, key=message.key, headers=message.headers, offset=self.offset)
            if message.timestamp_ms is not None:
                record = msgspec.structs.replace(record, timestamp_ms=message.timestamp_ms)
            taken.append(record)

        unit = unit_of_work.UnitOfWork(self.jobs, self._context, self._lease, lambda _key, _job: False)
        for key, fact in unit.read(inboxes.Batch(taken, ())):
            unit.decide(key, fact)

        for change in unit.changes():
            assert change.value is None or job_records.decode(change.value).ledger_key == change.key
            assert records.size_bytes(change.key, change.value) <= _MOST_BYTES

        outgoing = unit.outgoing()
        for sent in outgoing:
            assert records.size_bytes(sent.key, sent.value, sent.headers) <= _MOST_BYTES
            assert all(name.encode() is not None for name, _ in sent.headers)

        list(unit.apply())
        return outgoing

    def forget(self) -> None:
        self.jobs = partition_jobs.Jobs()


def _good(number: int) -> malformed.Message:
    data = {"cluster": samples.CLUSTER, "job": {"job_type": "SparkSubmit"}}
    return malformed.Message(b"k", codec.encode(samples.message(data, id=f"good-{number}")), ())


def _check_event(sent: records.Outgoing) -> event_reader.ReadEvent:
    assert damage.SECRET.encode() not in (sent.value or b"")
    assert not any(damage.SECRET.encode() in raw for _, raw in sent.headers)
    published = event_reader.read(sent.value or b"", sent.headers)
    assert all(envelope.is_text(raw.decode()) for name, raw in sent.headers if name != "content-type")
    if published.data.reason is not None:
        assert published.data.reason.code in reasons.CODES
        assert envelope.is_text(published.data.reason.message)
        assert (published.data.reason.field or "").isprintable()
        assert len(published.data.reason.message) < 3000
    return published


def _outcomes(partition: _Partition, message: malformed.Message) -> Iterator[str]:
    """Yield everything that became of one message alone: the story of one request, or one dead letter."""
    stories: set[tuple[str, str]] = set()
    letters = 0

    for sent in partition.take([message]):
        if sent.topic == _TOPICS.events:
            published = _check_event(sent)
            stories.add((published.data.request.source, published.data.request.id))
            yield published.data.reason.code if published.data.reason else published.data.state
        elif sent.topic == _TOPICS.dead_letters:
            letter = dead_letters.read(sent.key, sent.value, sent.headers)
            assert (letter.key, letter.value) == (message.key, message.value) or letter.cut
            assert letter.message.isprintable()
            assert damage.SECRET not in letter.message
            letters += 1
            yield f"dead letter {letter.code}"

    assert len(stories) + letters <= 1, message

    if any(name.lower() == reader.MATCHED_HEADER for name, _ in message.headers) and not partition.jobs:
        yield "notice"
    quiet = {jobs.State.PENDING_CANCEL: "awaited", jobs.State.CHOOSING: "choosing"}  # nothing is published yet
    yield from (quiet[job.state] for job in partition.jobs.values() if job.state in quiet)

    for job in partition.jobs.values():
        assert not job.name or _MRS_NAME.fullmatch(job_names.with_token(job.name, "mr" + "0" * 14))
        assert envelope.is_text(job.id + job.source)


def _fill_caches() -> None:
    """Fill pydantic's cache of 16,384 short strings, which would grow through the whole test."""
    pydantic_core.from_json(codec.encode([f"{number:x}".ljust(10, "-") for number in range(200_000)]))


def _empty_caches() -> None:
    """Empty our own caches, which are bounded and would fill for a while."""
    for cache in (events.identity, job_records._first, job_names.mrs_name):
        cache.cache_clear()


def test_every_malformed_message_ends_in_an_event_or_a_dead_letter() -> None:
    """
    None of 10,000 raises, none vanishes, and what was set aside is kept to the byte; memory stays flat.

    A cancel counts as ended when it waits: its end comes with its request or its time; so does a request whose cluster
    is being chosen. A cancel with the header by which
    partitions tell each other that a cancel was matched is such a notice, from any sender, and is not published.
    """
    seen: collections.Counter[str] = collections.Counter()
    partition = _Partition()
    blocks: list[int] = []
    _fill_caches()

    for number, message in enumerate(malformed.messages(1, _COUNT), start=1):
        outcomes = list(_outcomes(partition, message))
        assert outcomes, message
        seen.update(set(outcomes))
        partition.forget()
        if number % (_COUNT // 4) == 1900:  # not behind one of the large messages
            _empty_caches()
            gc.collect()
            blocks.append(sys.getallocatedblocks())

    assert blocks[-1] - blocks[0] < 2_000, blocks  # one object kept of every fourth message would be as much

    wanted = {"accepted", "awaited", "choosing", "too_large", "bad_value", "missing_field", "wrong_type"}
    wanted |= {"unknown_field", "unknown_type", "bad_specversion", "unreadable_encoding", "unreadable_json"}
    wanted |= {"unknown_request"}
    wanted |= {f"dead letter {code}" for code in ("no_value", "unreadable_json", "not_an_object", "bad_id")}
    wanted |= {f"dead letter {code}" for code in ("bad_source", "unreadable_encoding")}

    assert wanted <= seen.keys(), seen


def test_neighbours_of_malformed_messages_are_told_as_if_these_were_not_there() -> None:
    """Good requests among bad ones in one batch have the very same events, in the same order, as alone."""

    def stories(outgoing: list[records.Outgoing]) -> list[records.Outgoing]:
        good = [sent for sent in outgoing if sent.topic == _TOPICS.events]
        return [sent for sent in good if dict(sent.headers)["ce_subject"].startswith(b"good-")]

    bad = malformed.messages(2, 2000)
    mixed, alone = _Partition(), _Partition()
    for number in range(2000 // _BATCH):
        good = [_good(2 * number), _good(2 * number + 1)]
        batch = [next(bad) for _ in range(_BATCH)]
        published = stories(mixed.take([*batch[:7], good[0], *batch[7:15], good[1], *batch[15:]]))
        assert published == stories(alone.take(good))
        assert len(published) == 2


_values: st.SearchStrategy[Any] = st.sampled_from(malformed._VALUES) | message_samples.json_values
_members = st.fixed_dictionaries(
    {"id": st.just("bad-1") | _values, "type": st.sampled_from(sorted(requests.MODELS)) | _values},
    optional={
        "source": st.just("/x") | _values,
        "specversion": st.just("1.0") | _values,
        "data": st.builds(complete.request, st.randoms(use_true_random=False), st.sampled_from(sorted(requests.MODELS)))
        | _values,
        "data_base64": _values,
        "datacontenttype": st.sampled_from(["application/json", "text/xml"]) | _values,
        "traceparent": _values,
        "correlationid": _values,
    },
)
_headers = st.lists(
    st.tuples(
        st.sampled_from(malformed._HEADER_NAMES) | st.text(max_size=8),
        st.none() | st.sampled_from(malformed._HEADER_VALUES) | st.binary(max_size=20),
    ),
    max_size=6,
).map(tuple)


@settings(max_examples=400)
@given(_members.map(malformed.as_json) | st.binary(max_size=60), _headers, st.none() | st.binary(max_size=9))
def test_any_message_that_hypothesis_thinks_of_has_an_end(
    value: bytes, headers: tuple[tuple[str, bytes | None], ...], key: bytes | None
) -> None:
    """The same for messages that are made, and made small, by hypothesis."""
    assert list(_outcomes(_Partition(), malformed.Message(key, value, headers)))
