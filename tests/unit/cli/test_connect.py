"""Which tenant a command is for."""

from __future__ import annotations

import os
import pathlib

import pytest

from mrs_relay import errors, settings
from mrs_relay.cli import connect

TENANTS = "[tenants.a]\nrequests = 'a.requests'\n[tenants.b]\nrequests = 'b.requests'\n"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)


def _config(folder: pathlib.Path, text: str) -> pathlib.Path:
    path = folder / "relay.toml"
    path.write_text(text)
    return path


def test_a_command_talks_to_the_topics_of_the_tenant_that_is_named(tmp_path: pathlib.Path) -> None:
    """`--bootstrap` still wins over the address of the settings."""
    found = connect.kafka(_config(tmp_path, TENANTS), "elsewhere:9092", "b")
    assert (found.topics.requests, found.bootstrap_servers) == ("b.requests", "elsewhere:9092")
    assert found.group_id == "mrs-relay.b.requests"


def test_the_only_tenant_need_not_be_named(tmp_path: pathlib.Path) -> None:
    """Nor where there is none at all."""
    assert connect.kafka(_config(tmp_path, TENANTS.partition("[tenants.b]")[0]), None).topics.requests == "a.requests"
    assert connect.kafka(_config(tmp_path, ""), None).topics.requests == "mrs.requests"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (TENANTS, None, "say which tenant; known: a, b"),
        (TENANTS, "c", "there is no tenant 'c'; known: a, b"),
        ("", "c", "there is no tenant 'c'; there are no tenants in the settings"),
    ],
)
def test_a_tenant_that_is_not_clear_is_asked_for(
    tmp_path: pathlib.Path, text: str, name: str | None, expected: str
) -> None:
    """No command guesses whose jobs it shows or cancels."""
    with pytest.raises(errors.SettingsError) as caught:
        connect.kafka(_config(tmp_path, text), None, name)
    assert str(caught.value) == f"--tenant: {expected}"


def test_commands_about_topics_are_for_all_tenants_unless_one_is_named(tmp_path: pathlib.Path) -> None:
    """So that one command makes all topics."""
    config = _config(tmp_path, TENANTS)
    assert [one.name for one in connect.meant(config, None, None)] == ["a", "b"]
    assert [one.name for one in connect.meant(config, None, "b")] == ["b"]
