"""`mrs-relay resolve`: one request as ever, many by id, by file or by filter, each where the ledger has it."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from tests.unit.cli import fakes
from tests.unit.engine import samples
from typer import testing

from mrs_relay.cli import compose, connect, main
from mrs_relay.common import clock
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import records

_S = jobs.State


def _unknown(request_id: str, code: str = "reply_lost", **changes: Any) -> jobs.Job:
    reason = jobs.Reason("unresolved", code, "nobody knows")
    whole: dict[str, Any] = {"state": _S.UNKNOWN, "work": None, "reason": reason, "key": request_id.encode()}
    now_ms = clock.SystemClock().now_ms()
    asked = {"id": request_id, "source": compose.SOURCE, "arrived_ms": now_ms - 60_000, "expires_ms": now_ms}
    return samples.request(**{**whole, **asked, **changes})


class _Shell:
    def __init__(self, kafka: fakes.Kafka) -> None:
        self.kafka = kafka

    def run(self, *words: str, code: int = 0, answer: str | None = None) -> testing.Result:
        shown = testing.CliRunner().invoke(main.app, ["resolve", *words, "--note", "looked, Ann"], input=answer)
        assert shown.exit_code == code, (shown.output, shown.exception)
        return shown

    @property
    def sent(self) -> list[tuple[str, str, bytes | None]]:
        """Request, verdict and Kafka key of each message."""
        found = [(json.loads(one.value or b"{}")["data"], one.key) for one in self._requests]
        return [(data["request"]["id"], data["verdict"], key) for data, key in found]

    @property
    def _requests(self) -> list[records.Record]:
        return self.kafka.logs["mrs.requests"]

    @property
    def message_ids(self) -> set[str]:
        return {json.loads(one.value or b"{}")["id"] for one in self._requests}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> _Shell:
    """A ledger with four unknown requests and one that succeeded."""
    kafka = fakes.Kafka(lambda _request: [])
    kafka.reads_requests = False
    kafka.logs["mrs.requests.ledger"] = []
    monkeypatch.setattr(connect, "broker", lambda _settings: kafka)
    for job in (
        _unknown("r-1", key=b"c-1"),
        _unknown("r-2", code="cluster_gone", key=None),
        _unknown("r-3", cluster="c-9", arrived_ms=1000),
        _unknown("r-4", source="/billing"),
        _unknown("r-5", state=_S.SUCCEEDED),
    ):
        kafka.append("mrs.requests.ledger", job.ledger_key, job_records.encode(job), ())
    return _Shell(kafka)


def test_one_id_is_sent_as_it_is(shell: _Shell) -> None:
    """No ledger is read and nothing is asked: what becomes of it is reported by the request's events."""
    shell.run("anything", "failed", "--key", "c-7")
    shell.run("r-5", "succeeded")
    assert shell.sent == [("anything", "failed", b"c-7"), ("r-5", "succeeded", None)]


def test_several_ids_go_each_to_its_own_partition_under_its_own_key(shell: _Shell) -> None:
    """A message for each, with an id of its own and the request's key; shown and asked first."""
    assert "settle 2 as failed?" in shell.run("r-1", "r-2", "failed", answer="y\n").output
    assert shell.sent == [("r-1", "failed", b"c-1"), ("r-2", "failed", None)]
    assert len(shell.message_ids) == 2


def test_several_ids_with_a_key_go_under_that_key(shell: _Shell) -> None:
    """Who knows the key need not have the ledger read."""
    shell.run("a", "b", "cancelled", "--key", "c-1")
    assert shell.sent == [("a", "cancelled", b"c-1"), ("b", "cancelled", b"c-1")]


def test_nothing_is_sent_before_it_is_confirmed(shell: _Shell) -> None:
    """Anything but yes leaves all as it is."""
    shell.run("r-1", "r-2", "failed", answer="n\n", code=1)
    assert shell.sent == []


def test_ids_come_from_a_file_too(shell: _Shell, tmp_path: pathlib.Path) -> None:
    """One a line; comments and empty lines are passed over, also behind a byte order mark."""
    file = tmp_path / "ids.txt"
    file.write_text("\ufeffr-1\n\n# not this one\n r-2 \n", encoding="utf-8")
    shell.run("succeeded", "--file", str(file), "--yes")
    assert [request for request, _, _ in shell.sent] == ["r-1", "r-2"]


@pytest.mark.parametrize(
    ("words", "settled"),
    [
        (["--all"], ["r-1", "r-2", "r-3", "r-4"]),
        (["--cluster", "c-9"], ["r-3"]),
        (["--reason-code", "cluster_gone"], ["r-2"]),
        (["--since", "1h"], ["r-1", "r-2", "r-4"]),
        (["--since", "1h", "--source", "/billing"], ["r-4"]),
        (["--cluster", "c-9", "--reason-code", "cluster_gone"], []),
    ],
)
def test_a_filter_chooses_among_the_unknown(shell: _Shell, words: list[str], settled: list[str]) -> None:
    """All that is said must hold; what has an end of its own is never settled."""
    rows = [json.loads(line) for line in shell.run("cancelled", *words, "--yes", "--json").stdout.splitlines()]
    assert [request for request, _, _ in shell.sent] == settled
    assert [(row["id"], row["state"], row["verdict"]) for row in rows] == [
        (one, "unknown", "cancelled") for one in settled
    ]


def test_what_is_not_unknown_is_said_and_the_others_are_settled(shell: _Shell) -> None:
    """An id that is no request, or has ended, is named; the exit code says that not all was done."""
    shown = shell.run("r-1", "r-5", "r-9", "failed", "--yes", code=1)
    assert shell.sent == [("r-1", "failed", b"c-1")]
    assert "r-5 is succeeded, not unknown" in shown.output
    assert "r-9 is no request of this ledger" in shown.output


@pytest.mark.parametrize(
    "words",
    [
        ["failed"],
        ["r-1", "r-2", "no-verdict", "--yes"],
        ["failed", "--since", "soon"],
        ["failed", "--all", "--key", "c"],
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(shell: _Shell, words: list[str]) -> None:
    """No choice, a wrong verdict or duration, a key beside a filter."""
    shell.run(*words, code=2)
    assert shell.sent == []
