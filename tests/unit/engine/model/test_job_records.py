"""The second form of a job in the ledger: fields by place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.engine.model import job_records, jobs, named_records, placed_records
from mrs_relay.kafka import ledger_format

_FORMATS = [ledger_format.NAMED, ledger_format.PLACED]


class _LaterJob(jobs.Job, frozen=True, gc=False):
    """A job of a later version."""

    trace: dict[str, Any] | None = None


class _LatestJob(_LaterJob, frozen=True, gc=False):
    """A job of a version after that one."""

    cost: int = 0


_NAMED = {job: named_records.NamedRecords(job) for job in (jobs.Job, _LaterJob, _LatestJob)}
_PLACED = {job: placed_records.PlacedRecords(job) for job in (jobs.Job, _LaterJob, _LatestJob)}


def _read_by(job: type[jobs.Job], value: bytes, monkeypatch: pytest.MonkeyPatch) -> jobs.Job:
    """Read a record as the version does that knows such jobs."""
    with monkeypatch.context() as later:
        later.setattr(job_records, "_named", _NAMED[job])
        later.setattr(job_records, "_placed", _PLACED[job])
        return job_records.decode(value)


def _written_by(job: jobs.Job, form: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as later:
        later.setattr(job_records, "_named", _NAMED[type(job)])
        later.setattr(job_records, "_placed", _PLACED[type(job)])
        return job_records.encode(job, form)


def _as(job: jobs.Job, kind: type[jobs.Job], **more: Any) -> Any:
    return kind(**{name: getattr(job, name) for name in job.__struct_fields__}, **more)


def _ended(**changes: Any) -> jobs.Job:
    return msgspec.structs.replace(samples.request(), state=jobs.State.FAILED, work=None, **changes)


def test_record_by_places_is_pinned() -> None:
    """Ledgers of all versions must load: places never move, and new ones are the last."""
    job = samples.request(labels={"team": "x"}, seen=jobs.MrsStatus("j-1", "RUNNING"), state=jobs.State.RUNNING)
    places = msgspec.msgpack.decode(job_records.encode(job))
    begin = ["/billing", "order-1", "job", "d", "running", 0, None, b"k", 0, 9, samples.CLUSTER, None]
    work = ["batch", "SparkSubmit", ["--class", "A"], {"k": "v"}]
    seen = ["j-1", "RUNNING", "", 0.0, "", "", 0, 0, 0]
    middle = [work, False, "nightly", 5, 0, {"team": "x"}, 0, 0, seen, False, 0, None, None, "run-7", None, None, None]

    end: list[object] = [
        0,
        None,
        0,
        0,
        0,
        0,
        None,
        None,
        None,
        None,
        -1,
        [],
        "v2",
        "",
        None,
        None,
        None,
        "",
        None,
        b"",
        b"",
        None,
        None,
        0,
        0,
        False,
        False,
        [],
    ]

    assert places == begin + middle + end


def test_head_of_a_job_that_has_ended_is_pinned() -> None:
    """What memory keeps of it stands before its places: when it expires, when it was submitted, its kind."""
    job = _ended(expires_ms=1, intent_ms=2, kind="echo")
    value = job_records.encode(job)
    assert value[:22] == b"\x03" + b"\0\0\0\0\0\0\0\x01" + b"\0\0\0\0\0\0\0\x02" + b"\x04echo"
    assert msgspec.msgpack.decode(value[22:])[4] == "failed"
    assert job_records.decode(value) == job


def test_format_1_is_written_as_long_as_the_settings_say_so() -> None:
    """An earlier version reads nothing else."""
    for job in samples.JOBS.values():
        if job is not None:
            assert job_records.encode(job, ledger_format.NAMED)[:1] == b"{"
            assert job_records.encode_readable(job, ledger_format.NAMED)[:1] == b"{"


@pytest.mark.parametrize(
    "job",
    [
        samples.request(samples.CREATION),
        samples.request(work=jobs.Task({"a": 2**70}), kind="echo"),
        samples.request(seen=jobs.MrsStatus("j-1", submitted_ms=2**70)),
        _ended(expires_ms=2**63),
        _ended(expires_ms=1, kind="k" * 300),
    ],
    ids=["call", "task", "wide number", "late end", "long kind"],
)
def test_what_places_cannot_express_is_written_by_name(job: jobs.Job) -> None:
    """Numbers of a body may have any size; a ledger may have records of both formats."""
    value = job_records.encode_readable(job)
    assert value[:1] == b"{"
    assert job_records.decode(value) == job


@pytest.mark.parametrize("form", _FORMATS)
@pytest.mark.parametrize("number", [float("inf"), -float("inf"), float("nan")])
def test_numbers_that_one_format_cannot_express_are_refused_by_both(number: float, form: int) -> None:
    """Else the way back to format 1 would end the job."""
    for job in (
        samples.request(run_deadline_s=number),
        samples.request(queue_deadline_s=number),
        samples.request(retry=jobs.Retry(2, number, ())),
        samples.request(seen=jobs.MrsStatus("j-1", progress=number)),
    ):
        with pytest.raises(msgspec.ValidationError):
            job_records.encode_readable(job, form)


@pytest.mark.parametrize("here", _FORMATS)
@pytest.mark.parametrize("there", _FORMATS)
@pytest.mark.parametrize("state", jobs.State)
def test_places_of_a_later_version_survive_this_one(
    state: jobs.State, there: int, here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read, changed and written in either format: the later version finds its field again."""
    made = _as(samples.request(state=state), _LatestJob, trace={"id": [1, None, "x"]}, cost=7)
    read = job_records.decode(_written_by(made, there, monkeypatch))
    changed = msgspec.structs.replace(read, sequence=4, work=None)
    value = job_records.encode(changed, here)
    assert job_records.decode(value) == changed

    # So it does behind a version in between, which knows one of the fields.
    between = _read_by(_LaterJob, value, monkeypatch)
    assert getattr(between, "trace", None) == {"id": [1, None, "x"]}
    assert job_records.decode(_written_by(between, here, monkeypatch)).sequence == 4
    again = job_records.encode(job_records.decode(_written_by(between, there, monkeypatch)), here)
    for last in (value, _written_by(between, here, monkeypatch), again):
        assert _read_by(_LatestJob, last, monkeypatch) == msgspec.structs.replace(made, sequence=4, work=None)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (4, "paused"),
        (5, "3"),
        (12, ["notebook", []]),
        (12, ["batch", "SparkSubmit", [], {}, 1]),
        (20, ["j-1", "", "", 0.0, "", "", 0, 0, 0, 1]),
        (41, "v3"),
    ],
)
def test_what_a_later_version_means_by_a_known_place_is_never_guessed(place: int, value: object) -> None:
    """A state, a kind of work, a place more inside a value: refused with words that say what to do, never dropped."""
    places = msgspec.msgpack.decode(job_records.encode(samples.request()))
    places[place] = value
    for more in ([], [1]):
        with pytest.raises(errors.StateUnreadable, match="later version of the relay"):
            job_records.decode(msgspec.msgpack.encode([*places, *more]))
