"""When two messages of one id ask for the same: any spelling of a request has one digest, any other has another."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import Any

import pydantic
import pytest
import rfc8785
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.unit.messages import samples

from mrs_relay.messages import codec, digests, envelope, examples, requests

_HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"r-1"), ("ce_source", b"/billing"))


def _of(data: object, kind: str = "mrs.job.submit") -> str:
    """Return the digest of a request whose data is a value, or the JSON text of one."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    message = envelope.read(samples.TOPIC, raw, (*_HEADERS, ("ce_type", kind.encode())))
    return digests.of(message, requests.parse(message))


def _job(**changes: object) -> str:
    return _of(samples.job_data(**changes))


def _respelled(draw: st.DrawFn, value: Any) -> str:
    """Return a JSON text of a value, such as some other writer could make."""
    gap = draw(st.sampled_from(["", " ", "\n\t"]))
    match value:
        case dict():
            names = draw(st.permutations(list(value)))
            inner = [f"{_respelled(draw, name)}{gap}:{_respelled(draw, value[name])}" for name in names]
            return f"{{{gap}{f',{gap}'.join(inner)}}}"
        case list():
            return f"[{gap}{f',{gap}'.join(_respelled(draw, each) for each in value)}]"
        case bool() | None:
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=draw(st.booleans()))
        case int():
            tail = draw(st.sampled_from(["", ".0", ".000", "e0", "E+0"]))
            return f"{value}{tail}" if abs(value) < 10**21 else str(value)
        case _:
            return draw(st.sampled_from([repr(value), f"{value:.17g}", str(decimal.Decimal(value))]))


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(-1e20, 1e20).filter(lambda value: value % 1 != 0 and abs(value) > 1e-300)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def _order(value: object) -> dict[str, Any]:
    return {"body": {"cluster_name": "x", "component_configs": [{"any": value}]}}


@given(st.data(), _values)
def test_every_spelling_has_one_digest(data: st.DataObject, value: object) -> None:
    """Order, white space, escapes and the form of numbers belong to the writer, not to the request."""
    wanted = _order(value)
    spelled = data.draw(st.composite(_respelled)(wanted))
    assert _of(spelled.encode(), "mrs.cluster.create") == _of(wanted, "mrs.cluster.create")


@given(_values, _values)
def test_digests_are_equal_exactly_for_equal_canonical_json(one: object, two: object) -> None:
    """Two values have one digest exactly if RFC 8785 writes them alike, as far as it knows their numbers."""
    try:
        same = rfc8785.dumps(one) == rfc8785.dumps(two)  # type: ignore[arg-type]  # any JSON value
    except rfc8785.IntegerDomainError:
        same = one == two and json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    digests_of = {_of(_order(each), "mrs.cluster.create") for each in (one, two)}
    assert (len(digests_of) == 1) is same


@example(2**53, 2**53 + 1)
@given(st.integers(), st.integers())
def test_whole_numbers_of_any_size_are_distinguished(one: int, two: int) -> None:
    """A double does not hold every number above 2**53; a digest tells them apart all the same."""
    assume(one != two and max(abs(one), abs(two)) < 10**300)
    assert _of(_order(one), "mrs.cluster.create") != _of(_order(two), "mrs.cluster.create")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (b"3600", b"3600.0"),
        (b"60", b"6E1"),
        (b"60", b"6.0e+1"),
        (b"0.1", b"0.10"),
        (b"0.1", b"1e-1"),
        (b"0.1", b"0.1000000000000000055511151231257827"),
    ],
)
def test_numbers_of_a_deadline_are_values(one: bytes, two: bytes) -> None:
    """The same deadline through two writers is the same request."""
    raw = samples.raw(samples.job_data(queue_deadline_s="@"))
    assert _of(raw.replace(b'"@"', one)) == _of(raw.replace(b'"@"', two))


@pytest.mark.parametrize(("one", "two"), [(b"5", b"5.0"), (b"9", b"9.0e0"), (b"0", b"-0.0")])
def test_numbers_of_a_priority_are_values(one: bytes, two: bytes) -> None:
    """The same priority through two writers is the same request."""
    raw = samples.raw(samples.job_data(priority="@"))
    assert _of(raw.replace(b'"@"', one)) == _of(raw.replace(b'"@"', two))


@pytest.mark.parametrize(
    "said",
    [
        {"priority": 5},
        {"priority": None},
        {"labels": {}},
        {"labels": None},
        {"not_before": None},
        {"queue_deadline_s": None, "run_deadline_s": None, "retry": None},
        {"api": "v2"},
        {"job": {**samples.job_data()["job"], "job_name": "job", "properties": {}, "jar_path": None}},
    ],
)
def test_default_is_the_same_as_null_and_as_nothing(said: dict[str, Any]) -> None:
    """A writer that spells out defaults, or null for what is not set, asks for the same."""
    assert _job(**said) == _job()


def test_default_inside_a_field_is_the_same_as_nothing() -> None:
    """Fields of fields have defaults, too."""
    whole = {"attempts": 3, "backoff_s": 30, "on": ["job_failed"]}
    assert _job(retry={"attempts": 3}) == _job(retry=whole) == _job(retry={"attempts": 3, "backoff_s": None})
    assert _job(cluster={"name": "etl"}) == _job(cluster={"name": "etl", "tags": {}})


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-24T06:00:00Z",
        "2026-11-24T06:00:00.000Z",
        "2026-11-24T06:00:00+00:00",
        "2026-11-24t07:00:00.0+01:00",
        "2026-11-24T00:30:00-05:30",
    ],
)
def test_a_moment_is_an_instant(moment: str) -> None:
    """The offset and the digits of a moment belong to the writer."""
    assert _job(not_before=moment) == _job(not_before="2026-11-24T06:00:00Z")
    assert _job(not_before=moment) != _job(not_before="2026-11-24T06:00:00.001Z")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_at_the_edge_of_time_has_a_digest(moment: str) -> None:
    """A moment that lies in year 0 or 10000 in UTC is an instant like any other."""
    assert _job(not_before=moment) != _job()


@pytest.mark.parametrize(
    "other",
    [
        {"priority": 6},
        {"labels": {"team": "x"}},
        {"queue_deadline_s": 3600.5},
        {"cluster": "other"},
        {"retry": {"attempts": 3}},
        {"job": {**samples.job_data()["job"], "arguments": ["A", "--class"]}},
        {"job": {**samples.job_data()["job"], "arguments": ["--class", "A "]}},
        {"job": {**samples.job_data()["job"], "arguments": ["--class", "e\u0301"]}},
        {"job": {**samples.job_data()["job"], "arguments": ["--class", "\u00e9"]}},
    ],
)
def test_other_requests_have_other_digests(other: dict[str, Any]) -> None:
    """Whatever is asked otherwise is another request; Unicode is not normalised."""
    assert _job(**other) not in {_job(), _job(job={**samples.job_data()["job"], "arguments": ["--class", "x"]})}


def test_unicode_is_not_normalised() -> None:
    """Two texts that look the same are two texts, as they are for MRS."""
    one, two = ({**samples.job_data()["job"], "arguments": [text]} for text in ("e\u0301", "\u00e9"))
    assert _job(job=one) != _job(job=two)


def test_null_inside_a_body_is_kept_apart() -> None:
    """What null means in the words of MRS is for MRS to say."""
    assert len({_of(_order(each), "mrs.cluster.create") for each in ({}, {"a": None}, {"a": 0})}) == 3


@pytest.mark.parametrize("kind", list(examples.DATA))
def test_a_field_that_a_later_version_adds_changes_no_digest(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in ledgers must be met by the same request after an update: new fields have defaults."""
    before = _of(examples.DATA[kind], kind)

    added: Any = {"added": (dict[str, str], pydantic.Field(default_factory=dict)), "more": (float, 2.5)}
    later = pydantic.create_model("Later", __base__=requests.MODELS[kind], **added)
    monkeypatch.setitem(requests.MODELS, kind, later)
    assert _of(examples.DATA[kind], kind) == before


def test_type_belongs_to_the_digest() -> None:
    """The same data under another type asks for something else."""
    assert _of(examples.DATA["mrs.cluster.create"], "mrs.cluster.create") != _of(
        examples.DATA["mrs.cluster.create"], "mrs.cluster.flow"
    )


def test_digests_are_pinned() -> None:
    """Digests stand in ledgers: a new version must name old requests as the old one did."""
    data = {**samples.job_data(), "not_before": "2026-11-24T06:00:00Z", "queue_deadline_s": 60, "priority": 5}
    assert _of(data) == "2:49185478e692002d757645533b93813b"
    assert _of(_order([1, 0.5, 2**70, None, "ü"]), "mrs.cluster.create") == "2:3eff099041e4ad0a8ea0c793c9a938f1"
    assert all(not digests.is_old(_of(each, kind)) for kind, each in examples.DATA.items())


def test_old_digests_are_pinned() -> None:
    """Version 0.1 took the digest of the data as it was spelled, numbers as floats where they had a fraction."""
    raw = samples.raw({"id": "a", "type": "mrs.job.submit", "data": {"b": [1, None], "a": "ü"}})
    assert digests.old(samples.TOPIC, raw, ()) == "8d5d71071ed8a6f538739d066f0d0bf9"
    as_float = samples.raw({"id": "a", "type": "t", "data": {"n": 3600.0}})
    assert digests.old(samples.TOPIC, as_float, ()) != digests.old(samples.TOPIC, as_float.replace(b".0", b""), ())
    assert digests.is_old("8d5d71071ed8a6f538739d066f0d0bf9")


@given(st.binary(max_size=60) | st.builds(json.dumps, samples.json_values).map(str.encode))
def test_what_can_be_read_has_an_old_digest(raw: bytes) -> None:
    """A repeat is compared with what version 0.1 remembered after it was read; that can be done for every message."""
    try:
        codec.decode(raw)
    except Exception:  # noqa: BLE001 - whatever it refuses never gets so far
        return
    assert len(digests.old(samples.TOPIC, raw, (*_HEADERS, ("ce_type", b"t")))) == 32


def test_moments_are_read_as_the_model_reads_them() -> None:
    """The instant in the digest is that of the request."""
    raw = samples.raw(samples.message(samples.job_data(not_before="2016-12-31T23:59:60Z")))
    request = requests.parse(envelope.read(samples.TOPIC, raw, ()))
    assert isinstance(request, requests.JobSubmit)
    assert request.not_before == dt.datetime(2017, 1, 1, tzinfo=dt.UTC)
