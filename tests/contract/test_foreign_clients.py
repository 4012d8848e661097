"""What `make foreign-clients` is made of: one of its clients is run here, too, and what is wrong shows as a failure."""

from __future__ import annotations

import sys

import pytest
from tests.support import overview
from tools.foreign import page, playing, run, scenario

from mrs_emulator.core import core, settings


async def test_vendor_sdk_plays_its_scenario_to_the_end() -> None:
    """All that it has of the API overview is called, and each call is right on both sides."""
    played = await run.played(run.CLIENTS["python"])
    assert played.failed == []
    assert len(page.reached([played])) >= 28
    assert page.reached([played]) <= overview.OVERVIEW.keys()
    assert f"{len(played.rows)} right" in page.summary([played])


class Answering:
    """A client program whose replies are the test's; it calls nothing."""

    def __init__(self, *replies: object) -> None:
        self.replies = list(replies)

    async def read(self) -> object:
        return self.replies.pop(0)

    async def ask(self, _: object) -> object:
        return self.replies.pop(0)


async def test_call_that_is_wrong_missing_or_not_answered_is_a_failure() -> None:
    """A client's error, another value, a method that no step calls, a reply that the emulator has not given."""
    hello = {"version": "1", "methods": {"v1": ["Called", "Forgotten", "Other"], "": []}}
    program = Answering(hello, {"error": "broken"}, {"reply": {"a": [1, 2]}}, {"reply": {"a": [1, 2]}})

    steps = (
        scenario.Step("v1.Called"),
        scenario.Step("v1.Wrong", expect={"a.1": 3}),
        scenario.Step("v1.Silent", expect={"a.1": 2}),
        scenario.Step("v1.Unsaved", {"id": "$never"}),
    )

    player = playing.Player("client", program, core.Emulator(settings.EmulatorSettings()))
    played = await player.play(steps, frozenset({"Called", "Forgotten"}))

    assert {row.call: row.error for row in played.failed} == {
        "v1.Called": "broken",
        "v1.Wrong": "a.1: expected 3, got 2",
        "v1.Silent": "the emulator has answered no operation with success",
        "v1.Unsaved": "KeyError: 'never'",
        "v1.Forgotten": "no step calls it",
    }


async def test_name_of_no_client_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the pen runs nothing, and must not look like a run in which all is right."""
    assert await run.main(["pyhton"]) == 2
    assert "no client 'pyhton'; there are python, java" in capsys.readouterr().err


async def test_client_that_does_not_start_is_a_failure_of_its_own() -> None:
    """The others run all the same."""
    broken = run.Client("Broken", lambda: [sys.executable, "-c", "raise SystemExit(3)"], ())
    played = await run.played(broken)
    assert [row.error for row in played.failed] == ["the program ended with code 3"]
