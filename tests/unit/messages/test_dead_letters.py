"""A dead letter keeps what came in, and says why."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.messages import dead_letters

_headers = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8) | st.none()), max_size=5).map(tuple)


def _letter(
    key: bytes | None = b"k", value: bytes | None = b"v", headers: tuple[tuple[str, bytes | None], ...] = ()
) -> dead_letters.DeadLetter:
    return dead_letters.DeadLetter(
        key=key,
        value=value,
        headers=headers,
        code="unreadable_json",
        message="not valid JSON: é",
        topic="mrs.requests",
        partition=3,
        offset=17,
        timestamp_ms=1_795_420_800_000,
    )


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), _headers)
def test_key_value_and_headers_are_kept_to_the_byte(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    """What is written starts with the original headers and holds the original key and value."""
    written_key, written_value, written_headers = _letter(key, value, headers).write()
    assert written_key == key
    assert written_value == (value or b"")
    assert written_headers[: len(headers)] == tuple((name, raw or b"") for name, raw in headers)
    assert all(name.startswith("mrs_relay_") for name, _ in written_headers[len(headers) :])


def test_reason_and_place_stand_in_headers() -> None:
    """Code, text, position and time stand in `mrs_relay_` headers, behind the original ones."""
    headers = (("mrs_relay_reason", b"of an earlier life"), ("content-type", b"x"))
    assert dict(_letter(headers=headers).write()[2]) == {
        "content-type": b"x",
        "mrs_relay_reason": b"unreadable_json",
        "mrs_relay_message": "not valid JSON: é".encode(),
        "mrs_relay_position": b"mrs.requests-3-17",
        "mrs_relay_timestamp_ms": b"1795420800000",
    }


@pytest.mark.parametrize(("value", "marked"), [(None, True), (b"", False), (b"x", False)])
def test_tombstone_is_reported_from_an_empty_value(value: bytes | None, marked: bool) -> None:
    """A dead letter always has a value; a header says that the original had none."""
    headers = dict(_letter(value=value).write()[2])
    assert ("mrs_relay_no_value" in headers) is marked


_names = st.sampled_from(["mrs_relay_reason", "mrs_relay_replay_of", "mrs_relay_cut_x", "content-type"]) | st.text(
    max_size=8
)
_any_headers = st.lists(st.tuples(_names, st.binary(max_size=8)), max_size=5).map(tuple)


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), _any_headers)
def test_letter_survives_writing_and_reading(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    """Whatever names a sender's headers have, what was set aside is read back as it was."""
    letter = _letter(key, value, headers)
    assert dead_letters.read(*letter.write()) == letter


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), _any_headers)
def test_replay_keeps_key_value_and_headers(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    """A replay is the message as it came, with one more header that says of which message it is a replay."""
    letter = _letter(key, value, headers)
    sent_key, sent_value, sent_headers = letter.replay()
    assert (sent_key, sent_value) == (key, value)
    assert sent_headers[:-1] == tuple(header for header in headers if header[0] != "mrs_relay_replay_of")
    assert sent_headers[-1] == ("mrs_relay_replay_of", letter.origin.encode())


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), _any_headers)
def test_replay_that_fails_again_is_known_as_the_same_message(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    """However often a message is replayed, its origin and fingerprint stay, and it grows by one header only."""
    first = _letter(key, value, headers)
    again = first
    for offset in (40, 50):
        again_key, again_value, again_headers = again.replay()
        again = msgspec.structs.replace(_letter(again_key, again_value, again_headers), offset=offset)
    assert (again.origin, again.fingerprint) == (first.origin, first.fingerprint)
    assert again.replay() == first.replay()


def test_messages_of_one_content_are_distinguished_by_their_place() -> None:
    """Two messages with the same bytes are two messages; a claim to be a replay hides nothing."""
    one = _letter()
    assert one.fingerprint != msgspec.structs.replace(one, offset=18).fingerprint
    claims = (("mrs_relay_replay_of", b"mrs.requests-3-17"),)
    assert msgspec.structs.replace(_letter(value=b"other", headers=claims), offset=18).fingerprint != one.fingerprint


@pytest.mark.parametrize("claim", [b"", b"x", b"a-1-2\n", b"\xff-1-2", b"a-1", b"-1-2"])
def test_claimed_origin_that_is_no_position_counts_for_nothing(claim: bytes) -> None:
    """Any sender can write a header; one that is no position is no origin."""
    assert _letter(headers=(("mrs_relay_replay_of", claim),)).origin == "mrs.requests-3-17"


def test_letter_that_was_cut_is_not_replayed() -> None:
    """Half a message is another message."""
    cut = msgspec.structs.replace(_letter(), cut=(("mrs_relay_cut_from_bytes", b"99"),))
    assert dead_letters.read(*cut.write()) == cut
    with pytest.raises(ValueError, match="cut off"):
        cut.replay()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("mrs_relay_position", b"t-1-2"),),
        (("mrs_relay_reason", b"bad_id"),),
        (("mrs_relay_reason", b"bad_id"), ("mrs_relay_position", b"t")),
        (("mrs_relay_reason", b"\xff"), ("mrs_relay_position", b"t-1-2")),
        (("mrs_relay_reason", b"x"), ("mrs_relay_position", b"t-1-2"), ("mrs_relay_timestamp_ms", b"?")),
    ],
)
def test_record_that_is_no_dead_letter_is_refused(headers: tuple[tuple[str, bytes], ...]) -> None:
    """A record that the relay did not write raises ValueError, nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is this class; the text is ours or the codec's
        dead_letters.read(None, b"", headers)
