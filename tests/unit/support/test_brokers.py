from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import java, kafka_parts


def _fake_java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-01' >&2\n")
    program.chmod(0o755)
    return program


def test_missing_jars_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    """Without the jars the error says what to run."""
    with pytest.raises(kafka_parts.BrokerMissing, match="run `make kafka`"):
        kafka_parts.require_kafka(tmp_path)


def test_missing_java_names_the_command_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a new enough Java the error says what to run."""
    (tmp_path / "kafka_2.13-4.3.1.jar").touch()
    monkeypatch.setattr(java, "_candidates", lambda: iter(()))
    with pytest.raises(kafka_parts.BrokerMissing, match="no Java 17 or newer: run `make kafka`"):
        kafka_parts.require_kafka(tmp_path)


def test_java_of_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME wins over the search path."""
    program = _fake_java(tmp_path, "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() == program


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.22"])
def test_java_that_is_too_old_is_passed_over(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Java older than 17 is never used, wherever it is found."""
    old = _fake_java(tmp_path / "old", version)
    new = _fake_java(tmp_path / "new", "17")
    monkeypatch.setattr(java, "_candidates", lambda: iter((old, Path("/nowhere/java"), new)))
    assert java.find_java() == new
