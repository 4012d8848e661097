"""`mrs-emulator` and `mrs-relay emulate`: flags over file over defaults, and a greeting that can be pasted."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich import console

from mrs_emulator import cli
from mrs_emulator.core import failures
from mrs_emulator.core import settings as emulator_settings


def _settings(file: dict[str, Any] | None = None, **more: Any) -> emulator_settings.EmulatorSettings:
    wanted: dict[str, Any] = {"clusters": (), "slots": None, "key_pair": (None, None), "flags": {}, **more}
    return cli.settings(file or {}, **wanted)


def test_without_flags_the_defaults_stand() -> None:
    """No flag, no file: the emulator's own defaults."""
    assert _settings() == emulator_settings.EmulatorSettings()


def test_a_flag_wins_over_the_file_and_leaves_the_rest_of_its_group() -> None:
    """`--speed` changes the speed and keeps what the file says of the pace."""
    found = _settings({"port": 1, "pace": {"speed": 2.0, "new_s": 0.7}}, flags={"pace": {"speed": 9.0, "run_s": None}})
    assert (found.port, found.pace.speed, found.pace.new_s) == (1, 9.0, 0.7)


def test_clusters_take_their_ids_and_slots_from_flags() -> None:
    """Each `--cluster` is one, `--slots` counts for all."""
    found = _settings(clusters=["a", "b"], slots=3)
    assert [(one.cluster_id, one.slots) for one in found.clusters] == [("a", 3), ("b", 3)]


def test_slots_alone_change_the_default_cluster() -> None:
    """No `--cluster` is needed to change the slots."""
    assert [one.slots for one in _settings(slots=0).clusters] == [0]


def test_a_wrong_value_is_named_without_showing_secrets() -> None:
    """The message has the setting's name and not its value."""
    with pytest.raises(failures.CannotStart, match=r"pace\.speed") as refused:
        _settings({"credentials": [{"secret_key": "do-not-show"}]}, flags={"pace": {"speed": -1}})
    assert "do-not-show" not in str(refused.value)


def _greeting(chosen: emulator_settings.EmulatorSettings, *, own_secret: bool) -> str:
    out = io.StringIO()
    console.Console(file=out, width=120).print(
        cli.greeting(chosen, "http://127.0.0.1:8181", ["orders"], own_secret=own_secret)
    )
    return out.getvalue()


def test_the_greeting_can_be_pasted_into_a_shell() -> None:
    """It names address, tables and the variables of a relay."""
    shown = _greeting(emulator_settings.EmulatorSettings(), own_secret=False)
    assert "export MRS_RELAY_MRS__ENDPOINT=http://127.0.0.1:8181\n" in shown
    assert "orders" in shown


def test_the_greeting_never_shows_a_secret_of_the_users_own() -> None:
    """Only the public default is printed."""
    chosen = _settings(key_pair=("AK", "do-not-show"))
    assert "do-not-show" not in _greeting(chosen, own_secret=True)
