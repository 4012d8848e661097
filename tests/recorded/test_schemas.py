"""What was released is still promised: every baseline that was kept, against the models of today."""

from __future__ import annotations

from pathlib import Path

import pytest

from mrs_relay.messages import export

_BASELINES = sorted(Path(__file__).parent.glob("schemas-*.json"))


def test_there_is_a_baseline() -> None:
    """A check against nothing would always pass; `make baseline` keeps one at a release."""
    assert _BASELINES


@pytest.mark.parametrize("baseline", _BASELINES, ids=lambda path: path.stem)
def test_every_promise_of_a_release_is_kept(baseline: Path) -> None:
    """Removing or narrowing breaks those who built on it: keep it, or make a new version of the type."""
    assert export.breaks(baseline) == []
