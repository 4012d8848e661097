"""Records of the control topic: scopes, values, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support import doc_code

from mrs_relay.messages import controls

_NOW_MS = 1_795_420_800_000


def _value(**changes: Any) -> bytes:
    return json.dumps({"mode": "hold", "reason": "upgrade of the cluster", **changes}).encode()


@pytest.mark.parametrize(
    "text",
    [
        "all",
        "tenant/billing",
        "cluster/6b2f1c34",
        "label/team=etl",
        "label/path=/a/b=c",
        "type/sql",
        "request/a/b c",
        "offset/mrs.requests/3/42",
    ],
)
def test_scope_reads_as_it_is_written(text: str) -> None:
    """The key of a record is the scope itself."""
    assert str(controls.scope(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1 to 600 characters"),
        ("all/x", "unknown scope 'all/x': expected all, tenant/NAME"),
        ("tenant", "expected all, tenant/NAME"),
        ("queue/x", "expected all, tenant/NAME"),
        ("label/team", "expected label/KEY=VALUE"),
        ("label/=x", "expected label/KEY=VALUE"),
        ("type/mrs.sql.submit", "expected job, sql, cluster, call"),
        ("offset/mrs.requests/3", "expected TOPIC/PARTITION/OFFSET"),
        ("request/a\nb", "no control characters"),
        ("request/" + "x" * 600, "1 to 600 characters"),
    ],
)
def test_what_is_no_scope_is_refused_with_what_was_expected(text: str, said: str) -> None:
    """A scope that matches nothing by a slip would hold nothing."""
    with pytest.raises(ValueError, match=said):
        controls.scope(text)


def test_control_characters_of_a_text_become_spaces() -> None:
    """To refuse the record would lift a hold that somebody meant; a database refuses NUL."""
    _, found = controls.read(b"all", _value(reason="a\0b\nc", by="ann\t"), _NOW_MS)
    assert found is not None
    assert (found.reason, found.by) == ("a b c", "ann ")


def test_control_survives_its_record() -> None:
    """What is written is read as the same control."""
    set_by = controls.Control(
        scope=controls.Scope("cluster", "c-1"),
        mode="drain",
        reason="upgrade",
        by="ann",
        at_ms=_NOW_MS,
        until_ms=_NOW_MS + 5_000,
    )
    key, value = controls.write(set_by)
    assert controls.read(key, value, 1) == (set_by.scope, set_by)


def test_moment_of_the_record_counts_unless_the_value_has_one() -> None:
    """Who produces to the topic directly need not say when."""
    _, control = controls.read(b"all", _value(), _NOW_MS)
    assert control is not None
    assert (control.at_ms, control.until_ms, control.is_over(_NOW_MS * 2)) == (_NOW_MS, 0, False)


@pytest.mark.parametrize("value", [None, b'{"mode": "release"}'])
def test_tombstone_and_release_lift_a_control(value: bytes | None) -> None:
    """Both say that the scope has no control any more."""
    assert controls.read(b"tenant/a", value, _NOW_MS) == (controls.Scope("tenant", "a"), None)


def test_release_of_one_request_stands() -> None:
    """It lets the request out of a wider quarantine, so it is kept."""
    _, control = controls.read(b"request/r-1", b'{"mode": "release"}', _NOW_MS)
    assert control is not None
    assert (control.mode, control.is_holding) == ("release", False)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (None, _value(), "has its scope as its key"),
        (b"\xff", _value(), "no UTF-8"),
        (b"queue/x", _value(), "unknown scope"),
        (b"all", b"", "Invalid JSON"),
        (b"all", b"[]", "all: "),
        (b"all", b"{}", "mode: Field required"),
        (b"all", _value(mode="stop"), "mode: "),
        (b"all", _value(reason=" "), "give a reason"),
        (b"all", _value(until="tomorrow"), "until: .*RFC 3339"),
        (b"all", _value(until=5), "until: .*RFC 3339"),
        (b"all", _value(until="2026-11-24T06:00:00"), "need an offset"),
        (b"all", _value(mode="skip"), "expected skip for offset"),
        (b"offset/in/0/1", _value(), "expected skip for offset"),
    ],
)
def test_record_that_is_no_control_says_why(key: bytes | None, value: bytes, said: str) -> None:
    """Its content is not repeated."""
    with pytest.raises(ValueError, match=said) as caught:
        controls.read(key, value, _NOW_MS)
    assert "upgrade of the cluster" not in str(caught.value)


def test_fields_of_a_later_version_are_ignored() -> None:
    """A later field may narrow a control: an earlier version then holds more, never less."""
    _, control = controls.read(b"all", _value(later=True), _NOW_MS)
    assert control is not None
    assert str(control) == "hold of all: upgrade of the cluster"


def test_every_control_of_a_request_holds_it_but_those_that_it_was_released_from() -> None:
    """The widest first."""
    modes: dict[str, controls.Mode] = {
        "all": "hold",
        "cluster/c": "quarantine",
        "request/r": "release",
        "type/sql": "hold",
    }
    found = [controls.Control(scope=controls.scope(text), mode=mode, at_ms=1) for text, mode in modes.items()]
    assert [str(one.scope) for one in controls.holding(found, 2)] == ["all", "type/sql"]


def test_control_on_the_page_is_one() -> None:
    """What docs/controls.md shows is read as it stands."""
    (block,) = [one for one in doc_code.blocks("docs/controls.md") if one.language == "json"]
    _, control = controls.read(b"all", block.text.encode(), _NOW_MS)
    assert control is not None
    assert (control.mode, control.by) == ("hold", "ann")


def test_null_is_absent_and_a_byte_order_mark_is_skipped() -> None:
    """As in requests: a hold that another JSON writer spelled would not be one."""
    _, plain = controls.read(b"all", _value(), 7)
    for value in (_value(by=None, at=None, until=None), b"\xef\xbb\xbf" + _value()):
        assert controls.read(b"all", value, 7) == (controls.Scope("all"), plain)
    with pytest.raises(ValueError, match="mode"):
        controls.read(b"all", _value(mode=None), 7)
