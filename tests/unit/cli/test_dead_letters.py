"""Dead letters are shown once for each message, chosen exactly, and replayed as they came."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.unit.cli import fakes
from typer import testing

from mrs_relay.cli import connect, main
from mrs_relay.kafka import records
from mrs_relay.messages import audit, dead_letters

_DAY_MS = 86_400_000
_NOON_MS = 1_795_521_600_000
_TOPIC = "mrs.dead-letters"


def _letter(offset: int, **changes: Any) -> dead_letters.DeadLetter:
    fields: dict[str, Any] = {
        "key": b"k",
        "value": b"\xff{",
        "headers": (("h", b"1"),),
        "code": "unreadable_json",
        "message": "not valid JSON",
        "topic": "mrs.requests",
        "partition": 0,
        "offset": offset,
        "timestamp_ms": _NOON_MS + offset,
    }
    return dead_letters.DeadLetter(**{**fields, **changes})


class _Shell:
    def __init__(self, kafka: fakes.Kafka) -> None:
        self.kafka = kafka

    def run(self, *words: str, code: int = 0) -> testing.Result:
        shown = testing.CliRunner().invoke(main.app, ["dead-letters", *words])
        assert shown.exit_code == code, (shown.output, shown.exception)
        return shown

    def rows(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*words, "--json", code=code).stdout.splitlines()]

    def put(self, *letters: dead_letters.DeadLetter) -> None:
        for letter in letters:
            self.kafka.append(_TOPIC, *letter.write())

    @property
    def sent(self) -> list[records.Record]:
        return self.kafka.logs["mrs.requests"]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> _Shell:
    """A Kafka with three dead letters, among records that are none."""
    kafka = fakes.Kafka(lambda _request: [])
    kafka.reads_requests = False
    kafka.logs[_TOPIC] = []
    monkeypatch.setattr(connect, "broker", lambda _settings: kafka)
    here = _Shell(kafka)
    kafka.append(_TOPIC, None, b"no dead letter", ())
    here.put(_letter(12, code="bad_id", key=None), _letter(9), _letter(10, value=None, code="no_value"))
    kafka.append(_TOPIC, None, None, ())
    return here


def test_all_are_listed_in_the_order_in_which_they_stood(shell: _Shell) -> None:
    """Position, reason and size of each; what is no dead letter is passed over."""
    rows = shell.rows("list")
    assert [(row["position"], row["reason"], row["key"], row["value_bytes"]) for row in rows] == [
        ("mrs.requests-0-9", "unreadable_json", "k", 2),
        ("mrs.requests-0-10", "no_value", "k", None),
        ("mrs.requests-0-12", "bad_id", None, 2),
    ]
    assert (rows[0]["dead_letter"], rows[0]["times"], rows[0]["time"]) == (
        "mrs.dead-letters-0-2",
        1,
        "2026-11-24T12:00:00.009Z",
    )
    table = shell.run("list").stdout
    assert [word for word in ("mrs.requests-0-12", "unreadable_json", "bad_id") if word not in table] == []


def test_newest_rows_are_shown_up_to_the_limit(shell: _Shell) -> None:
    """The table says how many there are."""
    assert [row["position"] for row in shell.rows("list", "--limit", "1")] == ["mrs.requests-0-12"]
    assert "the last 1 of 3" in shell.run("list", "--limit", "1").stdout


@pytest.mark.parametrize(
    ("words", "offsets"),
    [
        (["--reason", "bad_id"], [12]),
        (["--reason", "bad_id", "--reason", "no_value"], [10, 12]),
        (["--since", "2026-11-24T12:00:00.010Z"], [10, 12]),
        (["--until", "2026-11-24T12:00:00.010+00:00"], [9]),
        (["--since", "2026-11-24T12:00:00.010Z", "--reason", "unreadable_json"], []),
        (["--since", "2000d"], [9, 10, 12]),
        (["--since", "2025-12-31T23:59:60Z"], [9, 10, 12]),
    ],
)
def test_messages_are_chosen_by_reason_and_time(shell: _Shell, words: list[str], offsets: list[int]) -> None:
    """Filters are joined by and; a reason may be given more than once."""
    assert [row["position"] for row in shell.rows("list", *words)] == [f"mrs.requests-0-{one}" for one in offsets]


@pytest.mark.parametrize(
    "words",
    [
        ["--reason", "bad_luck"],
        ["--since", "yesterday"],
        ["--until", "2026-11-24"],
        ["--since", "12:00"],
        ["--since", "9" * 400 + "d"],
    ],
)
def test_filter_that_cannot_be_meant_is_refused(shell: _Shell, words: list[str]) -> None:
    """A reason outside the closed list, or a time without a zone, is a mistake: exit 2 and the option's name."""
    assert words[0] in shell.run("list", *words, code=2).stderr


@pytest.mark.parametrize("position", ["mrs.requests-0-9", "mrs.dead-letters-0-2"])
def test_one_is_shown_whole(shell: _Shell, position: str) -> None:
    """By the message's place or the dead letter's: reason, headers and bytes, for people and for programs."""
    (row,) = shell.rows("show", position)
    assert base64.b64decode(row["value_base64"]) == b"\xff{"
    assert row["headers"] == [{"name": "h", "value_base64": base64.b64encode(b"1").decode()}]
    assert shell.run("show", position, "--raw").stdout_bytes == b"\xff{"
    page = shell.run("show", position).stdout
    assert [word for word in ("unreadable_json", "h: 1", "\\xff{") if word not in page] == []


def test_control_characters_of_a_message_do_not_reach_the_terminal(shell: _Shell) -> None:
    """What a message holds is shown, never obeyed."""
    shell.put(_letter(20, value=b"\x1b[2J\x07", key=b"\x1b]0;x", headers=(("\x1b[1m", b"\x1b[5m"),)))
    assert "\x1b" not in shell.run("show", "mrs.requests-0-20").stdout + shell.run("list").stdout


@pytest.mark.parametrize("words", [("show", "mrs.requests-0-99"), ("replay", "mrs.requests-0-99")])
def test_position_without_a_dead_letter_is_a_failure(shell: _Shell, words: tuple[str, ...]) -> None:
    """Exit 1, and the position is named."""
    assert "mrs.requests-0-99" in shell.run(*words, code=1).stderr
    assert shell.sent == []


def test_replay_without_a_choice_sends_nothing(shell: _Shell) -> None:
    """Everything is replayed only when that is said."""
    assert "--all" in shell.run("replay", code=2).stderr
    assert shell.sent == []
    assert len(shell.rows("replay", "--all", "--note", "repaired")) == 3
    assert len(shell.sent) == 3


def test_replay_of_many_wants_a_reason_and_each_is_on_record_with_it(shell: _Shell) -> None:
    """One that is named by its position may go without; --code chooses, as --reason does."""
    shell.kafka.logs["mrs.audit"] = []
    assert "--note" in shell.run("replay", "--code", "bad_id", code=2).stderr
    assert shell.sent == []
    shell.run("replay", "--code", "bad_id", "--note", "repaired")
    shell.run("replay", "mrs.requests-0-9")
    made = [audit.read(one.value) for one in shell.kafka.logs["mrs.audit"]]
    assert [(one.data.action, one.subject, one.data.why) for one in made] == [
        ("replay", "mrs.requests-0-12", "repaired"),
        ("replay", "mrs.requests-0-9", ""),
    ]


def test_dry_run_says_what_would_be_sent(shell: _Shell) -> None:
    """The same rows, and nothing is sent."""
    rows = shell.rows("replay", "--reason", "bad_id", "--dry-run")
    assert [(row["position"], row["sent"], row["outcome"]) for row in rows] == [
        ("mrs.requests-0-12", False, "would be sent")
    ]
    assert shell.sent == []


def test_replay_sends_the_message_as_it_came(shell: _Shell) -> None:
    """Key, bytes and headers are the original ones, tombstones included, with one more header that tells the origin."""
    rows = shell.rows("replay", "mrs.requests-0-9", "mrs.requests-0-10")
    assert [row["outcome"] for row in rows] == ["sent", "sent"]
    assert [(one.key, one.value, one.headers) for one in shell.sent] == [
        (b"k", b"\xff{", (("h", b"1"), ("mrs_relay_replay_of", b"mrs.requests-0-9"))),
        (b"k", None, (("h", b"1"), ("mrs_relay_replay_of", b"mrs.requests-0-10"))),
    ]


def test_replay_goes_to_the_partition_on_which_the_message_stood(shell: _Shell) -> None:
    """An id is looked up on its partition: a message without a key must not come to another one."""
    shell.kafka.partitions["mrs.requests"] = 4
    shell.put(_letter(5, key=None, partition=3))
    shell.run("replay", "mrs.requests-3-5")
    assert [one.partition for one in shell.sent] == [3]


def test_message_that_was_replayed_in_vain_is_one_message(shell: _Shell) -> None:
    """Set aside again and again it is listed once, and replaying all sends it once, with its first origin."""
    for offset in (30, 31):
        key, value, headers = _letter(9).replay()
        shell.put(_letter(offset, key=key, value=value, headers=headers, timestamp_ms=_NOON_MS + _DAY_MS))
    (row,) = [row for row in shell.rows("list") if row["times"] > 1]
    assert (row["position"], row["times"], row["time"]) == ("mrs.requests-0-9", 3, "2026-11-24T12:00:00.009Z")
    for position in ("mrs.requests-0-9", "mrs.dead-letters-0-2", "mrs.dead-letters-0-5"):
        assert shell.rows("show", position)[0]["value_base64"] == base64.b64encode(b"\xff{").decode()
    assert len(shell.rows("replay", "--all", "--note", "repaired")) == 3
    assert [dict(one.headers)["mrs_relay_replay_of"] for one in shell.sent] == [
        b"mrs.requests-0-9",
        b"mrs.requests-0-10",
        b"mrs.requests-0-12",
    ]


def test_what_cannot_be_sent_whole_is_named_and_the_rest_is_sent(shell: _Shell) -> None:
    """A message that was cut, and one whose topic is gone, are not sent: exit 1, with the reason in the row."""
    shell.put(_letter(40, cut=(("mrs_relay_cut_from_bytes", b"99"),)), _letter(41, topic="elsewhere"))
    rows = {row["position"]: row for row in shell.rows("replay", "--all", "--note", "repaired", code=1)}
    assert "cut off" in rows["mrs.requests-0-40"]["outcome"]
    assert "gone" in rows["elsewhere-0-41"]["outcome"]
    assert len(shell.sent) == 3


def test_message_that_grew_too_large_is_named(shell: _Shell) -> None:
    """The new header may be too much for the topic: nothing is cut, the message is not sent."""
    shell.kafka.limits["mrs.requests"] = 1000
    shell.put(_letter(50, value=b"x" * 890))
    (row,) = shell.rows("replay", "mrs.requests-0-50", code=1)
    assert "1000" in row["outcome"]
    assert shell.sent == []


@pytest.mark.parametrize("timestamp_ms", [1_795_521_600_000_000, 2**63 - 1, -(2**63), -1, 0, 253_402_300_800_000])
def test_a_timestamp_that_is_no_time_hides_nothing(shell: _Shell, timestamp_ms: int) -> None:
    """Producers may write any number, microseconds for one: it is shown as it is, and the rest as ever."""
    shell.put(_letter(21, timestamp_ms=timestamp_ms))
    reported = f"{timestamp_ms} (not a time in milliseconds)"
    assert {row["position"]: row["time"] for row in shell.rows("list")}["mrs.requests-0-21"] == reported
    assert str(timestamp_ms) in shell.run("list").stdout
    assert reported in shell.run("show", "mrs.requests-0-21").stdout
    assert shell.rows("replay", "mrs.requests-0-21", "--dry-run")[0]["time"] == reported
