"""`mrs-relay ledger`: from one Kafka to another, and all that is refused before anything is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support import memory_kafka
from tests.unit.engine import samples
from typer import testing

from mrs_relay.cli import connect, main
from mrs_relay.common import clock
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import ledger_format, records, settings
from mrs_relay.messages import audit

_LEDGER = "mrs.requests.ledger"
_SECRET = "select 'hidden'"  # noqa: S105 - what must not be shown


class _Kafka(memory_kafka.MemoryKafka):
    """
    One Kafka, with what a relay has left in its ledger.

    Attributes:
        at_ms: the time of what is written.
    """

    at_ms = 0

    def _now_ms(self) -> int:
        return self.at_ms

    def has(self, partition: int, *found: jobs.Job, next_offset: int) -> None:
        """Let a relay have committed jobs."""
        for job in found:
            self.put(_LEDGER, partition, job.ledger_key, job_records.encode(job))
        end = self.log(records.Position(_LEDGER, partition)).stable_end
        last = ledger_format.offsets("mrs.requests", next_offset, outbox=0, end=end, topic_id="the-old-one")
        self.put(_LEDGER, partition, last[0], last[1], ledger_format.format_header(2) + last[2])

    def found(self) -> dict[str, jobs.Job]:
        """Return the jobs of the ledger by their ids, as last written."""
        read = (
            job_records.decode(one.value)
            for one in self.committed(_LEDGER)
            if one.key and one.key[:1] != b"\0" and one.value
        )
        return {job.id: job for job in read}

    def offsets(self) -> dict[int, dict[str, int]]:
        """Return the last offset record of each partition."""
        return {
            one.partition: json.loads(one.value or b"")
            for one in self.committed(_LEDGER)
            if one.key == ledger_format.OFFSETS
        }


class _Shell:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self.file = folder / "relay.ledgers"
        self.old, self.new = self.make(), self.make()
        self.on(self.old)

    def make(self, partitions: int = 2) -> _Kafka:
        made = _Kafka(settings.KafkaSettings())
        made.create_topics(partitions)
        return made

    def on(self, kafka: _Kafka) -> None:
        """Let the settings name this Kafka."""
        self._monkeypatch.setattr(connect, "broker", lambda _settings: kafka)

    def run(self, *words: str, code: int = 0) -> str:
        shown = testing.CliRunner().invoke(main.app, ["ledger", *words])
        assert shown.exit_code == code, (shown.output, shown.exception)
        assert _SECRET not in shown.output
        return shown.output

    def rows(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*words, "--json", code=code).splitlines() if line.startswith("{")]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Shell:
    """An old Kafka with four requests in two partitions, and a new one with empty topics."""
    made = _Shell(monkeypatch, tmp_path)
    made.old.has(0, _job("waits"), _job("runs", jobs.State.RUNNING), next_offset=2)
    made.old.has(1, _job("ended", jobs.State.SUCCEEDED, expires_ms=samples.NOW_MS), next_offset=1)
    made.old.has(1, _job("chooses", jobs.State.CHOOSING), next_offset=2)
    for _ in range(3):
        made.old.put("mrs.requests", 0, b"k", b"{}")
    made.new.put("mrs.requests", 1, b"k", b"{}")
    return made


def _words(shown: str) -> str:
    """Return what a box says, on one line."""
    return " ".join(shown.replace("│", " ").split())


def _job(request_id: str, state: jobs.State = jobs.State.QUEUED, **changes: Any) -> jobs.Job:
    return samples.request(
        jobs.Presto(_SECRET) if request_id == "ended" else samples.BATCH, id=request_id, state=state, **changes
    )


def test_requests_move_to_another_kafka(shell: _Shell) -> None:
    """All of them, with their ids; relays read the new topic from its beginning, and their tokens stay the same."""
    exported = shell.rows("export", str(shell.file))
    assert [(one["partition"], one["requests"], one["next_offset"], one["unread"]) for one in exported] == [
        (0, 2, 2, 1),
        (1, 2, 2, 0),
    ]
    assert exported[0]["states"] == {"queued": 1, "running": 1}

    shell.run("verify", str(shell.file), "--live")
    shell.on(shell.new)
    before = shell.old.found()
    shell.run("import", str(shell.file), "--final", "--reason", "move")
    found = shell.new.found()

    assert found == before
    assert [one["mrs.requests"] for one in shell.new.offsets().values()] == [0, 0]

    shell.run("verify", str(shell.file), "--live")
    (decided,) = [audit.read(one.value) for one in shell.new.committed("mrs.audit")]
    assert (decided.data.action, decided.data.why, decided.subject) == ("ledger.import", "move", "mrs.requests")


def test_requests_that_waited_are_in_doubt_unless_the_export_was_final(shell: _Shell) -> None:
    """A relay may have submitted them after the export; `verify` knows what was done to them."""
    shell.run("export", str(shell.file))
    shell.on(shell.new)
    shown = shell.run("import", str(shell.file))
    assert "1 requests were choosing their cluster" in shown
    states = {name: job.state for name, job in shell.new.found().items()}
    assert states == {
        "waits": jobs.State.SUBMITTING,
        "runs": jobs.State.RUNNING,
        "ended": jobs.State.SUCCEEDED,
        "chooses": jobs.State.CHOOSING,
    }
    rows = shell.rows("verify", str(shell.file), "--live")
    assert [(one["ledger"]["in_doubt"], one["ledger"]["different"]) for one in rows] == [(1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("start", "offsets"),
    [
        ("earliest", [0, 0]),
        ("latest", [0, 1]),
        ("exported", [2, 2]),
        ("1970-01-01T00:00:00Z", [0, 0]),
        ("2h", [0, 1]),
    ],
)
def test_relays_read_on_where_it_is_said(shell: _Shell, start: str, offsets: list[int]) -> None:
    """At the beginning, at the end, at the same offsets of a topic that was copied with them, or from a moment on."""
    for number in range(2 if start == "exported" else 0):
        for _ in range(2):
            shell.new.put("mrs.requests", number, b"k", b"{}")
    shell.run("export", str(shell.file))
    shell.on(shell.new)
    shell.run("import", str(shell.file), "--start", start)
    assert [shell.new.offsets()[number]["mrs.requests"] for number in (0, 1)] == offsets


def test_offsets_of_another_topic_are_refused(shell: _Shell) -> None:
    """The new topic has fewer messages: its offsets are its own."""
    shell.run("export", str(shell.file))
    shell.on(shell.new)
    shown = shell.run("import", str(shell.file), "--start", "exported", code=2)
    assert "continues partition 0 at offset 2, and the topic has 0 to 0" in shown
    assert "latest, exported, a duration" in _words(shell.run("import", str(shell.file), "--start", "now", code=2))
    assert shell.new.committed(_LEDGER) == []


def test_nothing_is_written_where_something_does_not_fit(shell: _Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number of partitions, another deployment, other tenants, a used ledger, a damaged file."""
    shell.run("export", str(shell.file))
    other = shell.make(partitions=3)
    shell.on(other)

    assert "topics create --partitions 2" in shell.run("import", str(shell.file), code=2)

    shell.on(shell.new)
    with monkeypatch.context() as changed:
        changed.setenv("MRS_RELAY_KAFKA__APP_ID", "other")
        assert "Expected kafka.app_id=mrs-relay" in shell.run("import", str(shell.file), code=2)

    with monkeypatch.context() as changed:
        changed.setenv("MRS_RELAY_TENANTS__ETL__REQUESTS", "mrs.requests")
        assert " alone: expected those of the file ('')" in shell.run("import", str(shell.file), code=2)

    assert shell.rows("import", str(shell.file), "--dry-run")[0]["added"] == 2

    shell.new.has(1, next_offset=1)
    assert "is not empty" in shell.run("import", str(shell.file), code=2)

    shell.file.write_bytes(shell.file.read_bytes()[:-20])
    assert "is damaged or incomplete" in shell.run("verify", str(shell.file), code=1)
    assert "is damaged or incomplete" in shell.run("import", str(shell.file), "--merge", code=1)
    assert len(shell.new.committed(_LEDGER)) == 1
    assert other.committed(_LEDGER) == []
    assert shell.new.committed("mrs.audit") == []


def test_merge_adds_what_a_used_ledger_lacks(shell: _Shell) -> None:
    """What it has is newer than the file."""
    shell.run("export", str(shell.file))
    shell.new.has(0, _job("runs", jobs.State.SUCCEEDED), _job("fresh"), next_offset=9)
    shell.on(shell.new)
    rows = shell.rows("import", str(shell.file), "--merge")
    assert [(one["added"], one["kept"], one["next_offset"]) for one in rows] == [(1, 1, 9), (2, 0, 0)]
    found = shell.new.found()
    assert found.keys() == {"waits", "runs", "ended", "chooses", "fresh"}
    assert found["runs"].state is jobs.State.SUCCEEDED
    assert shell.new.offsets()[0]["mrs.requests"] == 9


_WEEK_MS = 7 * 86_400_000


@pytest.mark.parametrize(("later_ms", "is_refused"), [(_WEEK_MS - 60_000, False), (_WEEK_MS + 60_000, True)])
def test_merge_brings_no_request_back_that_a_relay_may_have_forgotten(
    shell: _Shell, later_ms: int, *, is_refused: bool
) -> None:
    """A relay has gone on for a week after the export: what it lacks may have ended, and be forgotten since."""
    shell.run("export", str(shell.file))
    shell.new.at_ms = clock.SystemClock().now_ms() + later_ms
    shell.new.has(0, _job("fresh"), next_offset=9)
    shell.on(shell.new)
    before = shell.new.committed(_LEDGER)
    if not is_refused:
        assert [one["added"] for one in shell.rows("import", str(shell.file), "--merge")] == [2, 2]
        return

    for words in ([], ["--dry-run"]):
        shown = _words(shell.run("import", str(shell.file), "--merge", *words, code=2))
        assert "2 requests are under way" in shown
        assert "'runs' (running), 'waits' (queued)" in shown
        assert "--forgotten" in shown

    assert shell.new.committed(_LEDGER) == before
    assert shell.new.committed("mrs.audit") == []
    assert "expected add or skip" in _words(shell.run("import", str(shell.file), "--forgotten", "no", code=2))

    rows = shell.rows("import", str(shell.file), "--merge", "--forgotten", "skip")
    assert [(one["added"], one["skipped"], one["next_offset"]) for one in rows] == [(0, 2, 9), (2, 0, 0)]
    assert shell.new.found().keys() == {"fresh", "ended", "chooses"}  # partition 1 was never used


def test_merge_adds_requests_that_may_be_forgotten_where_a_person_says_so(shell: _Shell) -> None:
    """They are looked for on MRS, as ever."""
    shell.run("export", str(shell.file))
    shell.new.at_ms = clock.SystemClock().now_ms() + 2 * _WEEK_MS
    shell.new.has(0, _job("fresh"), next_offset=9)
    shell.on(shell.new)
    rows = shell.rows("import", str(shell.file), "--merge", "--forgotten", "add")
    assert [(one["added"], one["skipped"], one["in_doubt"]) for one in rows] == [(2, 0, 1), (2, 0, 0)]
    assert shell.new.found().keys() == {"fresh", "runs", "waits", "ended", "chooses"}


def test_verify_says_what_has_changed_since(shell: _Shell) -> None:
    """A relay that has gone on after the export: the file is not its last state."""
    shell.run("export", str(shell.file))
    shell.old.has(0, _job("runs", jobs.State.SUCCEEDED), _job("new"), next_offset=3)
    shell.old.put(_LEDGER, 1, _job("ended").ledger_key, None)
    shell.old.has(1, next_offset=4)
    rows = [one["ledger"] for one in shell.rows("verify", str(shell.file), "--live", code=1)]
    assert rows == [
        {"missing": 0, "different": 1, "in_doubt": 0, "more": 1, "live_offset": 3},
        {"missing": 1, "different": 0, "in_doubt": 0, "more": 0, "live_offset": 4},
    ]


def test_value_that_is_no_job_is_counted_and_not_imported(shell: _Shell) -> None:
    """A file holds it as it was; an import of it would stop a partition of the new Kafka."""
    shell.old.put(_LEDGER, 1, b"/s broken", b"{}")
    shell.old.has(1, next_offset=2)
    assert [one["unreadable"] for one in shell.rows("export", str(shell.file))] == [0, 1]
    shell.run("verify", str(shell.file), code=1)
    shell.on(shell.new)
    assert "has 1 values that this version does not read" in shell.run("import", str(shell.file), code=1)
    assert shell.new.committed(_LEDGER) == []


def test_export_to_standard_output_is_the_file_alone(shell: _Shell, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """So that it can be encrypted on the way."""
    with pytest.raises(SystemExit) as ended:
        main.app(["ledger", "export", "-"])
    assert ended.value.code == 0
    out, err = capfdbinary.readouterr()
    shell.file.write_bytes(out)
    assert [one["requests"] for one in shell.rows("verify", str(shell.file))] == [2, 2]
    assert b"up to 1 messages" in err


def test_one_tenant_alone_is_moved(shell: _Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of two tenants fills the ledger of one; partitions and counts of the other do not matter."""
    monkeypatch.setenv("MRS_RELAY_TENANTS__ETL__REQUESTS", "mrs.requests")
    monkeypatch.setenv("MRS_RELAY_TENANTS__BI__REQUESTS", "bi.requests")
    for topic in ("bi.requests", "bi.requests.ledger"):
        shell.old.create_topic(topic, 5)
    assert [one.get("tenant") for one in shell.rows("export", str(shell.file))] == ["etl"] * 2 + ["bi"] * 5
    shell.on(shell.new)
    assert "has no topic bi.requests" in shell.run("import", str(shell.file), code=2)
    shell.run("import", str(shell.file), "--tenant", "etl", "--final")
    assert shell.new.found().keys() == {"waits", "runs", "ended", "chooses"}
    shell.run("verify", str(shell.file), "--live", "--tenant", "etl")


def test_an_interrupted_import_is_continued(shell: _Shell) -> None:
    """Kafka goes away before the second partition ends: relays refuse that one, and the same command completes it."""
    shell.run("export", str(shell.file))
    shell.on(shell.new)

    def ends_the_second(written: Sequence[records.Outgoing]) -> bool:
        last = written[-1]
        return (last.key, last.partition) == (ledger_format.OFFSETS, 1) and b"importing" not in (last.value or b"")

    shell.new.fail_writes(applied=False, concerns=ends_the_second)
    shell.run("import", str(shell.file), "--final", code=3)
    offsets = shell.new.offsets()
    assert offsets[0]["mrs.requests"] == 0
    assert [name.partition(" ")[0] for name in offsets[1]] == ["importing"]
    rows = shell.rows("import", str(shell.file), "--final")
    assert [(one["added"], one["kept"]) for one in rows] == [(0, 2), (0, 2)]
    assert shell.new.found().keys() == shell.old.found().keys()
    before = shell.new.committed(_LEDGER)
    shell.run("import", str(shell.file), "--final")
    assert shell.new.committed(_LEDGER) == before
