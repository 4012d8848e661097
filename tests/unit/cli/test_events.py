"""`mrs-relay events`: which events, in which form, and how a reader continues where another one stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support import web_role
from tests.unit.cli import fakes
from typer import testing

from mrs_relay.cli import connect, main, run
from mrs_relay.kafka import records
from mrs_relay.read_model import positions

_TOPIC = "mrs.events"


class _Shell:
    def __init__(self, kafka: fakes.Kafka) -> None:
        self.kafka = kafka

    def put(self, *outgoing: records.Outgoing) -> None:
        for one in outgoing:
            self.kafka.append(one.topic, one.key, one.value, one.headers)

    def lines(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        shown = testing.CliRunner().invoke(main.app, ["events", "--since", "beginning", *words, "--json"])
        assert shown.exit_code == code, (shown.output, shown.exception)
        return [json.loads(line) for line in shown.stdout.splitlines()]

    def after(self, position: str, code: int = 0) -> testing.Result:
        shown = testing.CliRunner().invoke(main.app, ["events", "--after", position, "--json"])
        assert shown.exit_code == code, (shown.output, shown.exception)
        return shown


def _seen(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    data = [line["event"]["data"] for line in lines if "event" in line]
    return [(one["request"]["id"], one["state"]) for one in data]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> _Shell:
    """A topic with the stories of two requests, a foreign record among them."""
    kafka = fakes.Kafka(lambda _request: [])
    monkeypatch.setattr(connect, "broker", lambda _settings: kafka)
    made = _Shell(kafka)
    made.put(
        *web_role.story("r-1", cluster="c-1", labels={"team": "etl", "run": "1"}),
        records.Outgoing(_TOPIC, b"k", b"not an event"),
        web_role.event("r-2", 1, "accepted", subject="job", source="/billing", cluster="c-2"),
        web_role.failed("r-2", subject="job", source="/billing", cluster="c-2"),
    )
    return made


def test_each_line_has_the_event_and_the_position_behind_it(shell: _Shell) -> None:
    """A reader that continues from any line gets exactly what followed it; the last line is a position alone."""
    lines = shell.lines()
    assert len(lines) == 7
    assert "event" not in lines[-1]
    for number, line in enumerate(lines):
        rest = [json.loads(one) for one in shell.after(line["position"]).stdout.splitlines()]
        assert _seen(rest) == _seen(lines[number + 1 :])
    assert shell.lines()[-1]["position"] == positions.text_of(
        {_TOPIC: positions.Place(positions.life(""), {0: len(shell.kafka.logs[_TOPIC])})}
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--id", "r-1", "--state", "succeeded"), [("r-1", "succeeded")]),
        (("--type", "job"), [("r-2", "accepted"), ("r-2", "failed")]),
        (("--state", "accepted", "--state", "failed"), [("r-1", "accepted"), ("r-2", "accepted"), ("r-2", "failed")]),
        (("--label", "team=etl", "--label", "run=1", "--state", "running"), [("r-1", "running")]),
        (("--label", "team=etl", "--label", "run=2"), []),
        (("--cluster", "c-2", "--source", "/billing"), [("r-2", "accepted"), ("r-2", "failed")]),
        (("--cluster", "c-2", "--source", "/tests"), []),
    ],
)
def test_all_filters_must_match(shell: _Shell, words: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    """The filters are those of GET /v1/events; one that is repeated matches any of its values, labels all."""
    assert _seen(shell.lines(*words)) == expected


def test_events_of_one_tenant_are_those_with_its_source(shell: _Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants may share a topic; without the option all of them are shown."""
    for name in ("a", "b"):
        monkeypatch.setenv(f"MRS_RELAY_TENANTS__{name.upper()}__REQUESTS", f"{name}.requests")
    shell.put(web_role.event("r-3", 1, "accepted", event_source="/mrs-relay/b"))
    assert _seen(shell.lines("--tenant", "b")) == [("r-3", "accepted")]
    assert len(_seen(shell.lines())) == 7


@pytest.mark.usefixtures("shell")
def test_following_ends_when_enough_have_ended_and_lines_are_for_people() -> None:
    """Without --json a line for each change; no position follows."""
    words = ["events", "--follow", "--since", "beginning", "--until-done", "2"]
    shown = testing.CliRunner().invoke(main.app, words)
    assert shown.exit_code == 0, shown.output
    assert [line for line in shown.stdout.splitlines() if "r-2" in line][-1].count("failed")
    assert "position" not in shown.stdout


def test_interrupting_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is how one ends it: exit code 0, nothing said."""

    def interrupted(work: Any) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "loop", interrupted)
    shown = testing.CliRunner().invoke(main.app, ["events", "--follow"])
    assert (shown.exit_code, shown.output) == (0, "")


@pytest.mark.parametrize(
    ("offset", "life", "said"),
    [
        (1, None, "no longer kept"),
        (900, None, "it has lost records"),
        (6, "0123456789ab", "was created again"),
    ],
)
def test_a_position_whose_events_are_gone_is_said(
    shell: _Shell, monkeypatch: pytest.MonkeyPatch, offset: int, life: str | None, said: str
) -> None:
    """To begin somewhere else in silence would leave events out."""
    monkeypatch.setattr(fakes.Kafka, "first", 2)
    place = positions.Place(positions.life("") if life is None else life, {0: offset})
    shown = shell.after(positions.text_of({_TOPIC: place}), code=run.Code.FAILED)
    assert said in shown.stderr
    assert shown.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--state", "asleep"),
        ("--type", "dance"),
        ("--label", "x"),
        ("--after", "nonsense"),
        ("--after", "other.topic~:1"),
        ("--after", "mrs.events~:1", "--since", "1h"),
        ("--since", "yesterday"),
    ],
)
@pytest.mark.usefixtures("shell")
def test_wrong_use_ends_with_2(words: tuple[str, ...]) -> None:
    """Nothing is shown that was not meant."""
    shown = testing.CliRunner().invoke(main.app, ["events", *words])
    assert shown.exit_code == run.Code.USAGE, shown.output
