"""What `bench/results.py` does beside its figures: units of memory, and connections after an error."""

from __future__ import annotations

import resource
import sys
from types import SimpleNamespace

import pytest
from bench import peak_memory, results

_MIB = 1 << 20


@pytest.mark.parametrize(("platform", "unit_bytes"), [("linux", 1024), ("darwin", 1)])
def test_growth_of_memory_is_in_mib_on_linux_and_macos(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit_bytes: int
) -> None:
    """Linux counts the largest memory of a process in KiB, macOS in bytes."""
    held = [100 * _MIB // unit_bytes]
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=held[-1]))
    before = peak_memory.peak_bytes()
    held.append(120 * _MIB // unit_bytes)
    assert results.grown_mib(before) == 20
