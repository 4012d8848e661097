"""What the demo needs before it starts anything."""

from __future__ import annotations

import importlib.util

import pytest

from mrs_relay import errors
from mrs_relay.demo import demo_stage


def test_a_missing_package_is_one_line_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the service alone installed, the error says how to get the demo."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "duckdb" else found(name))
    with pytest.raises(errors.SettingsError, match=r"\(duckdb\): pip install 'mrs-relay\[demo\]'"):
        demo_stage.require_extras()


def test_with_all_packages_the_generator_is_found() -> None:
    """The TPC-H generator of this environment."""
    assert demo_stage.require_extras().endswith("tpchgen-cli")
