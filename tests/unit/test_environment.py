"""Which variables of the environment are ours, and what a misspelt one is reported."""

from __future__ import annotations

from typing import Any

import pytest

from mrs_relay import errors, settings

_MRS = {
    "MRS__REGION": "cn-north-4",
    "MRS__PROJECT_ID": "0a1b2c",
    "MRS__ACCESS_KEY": "A",
    "MRS__SECRET_KEY": "b",
}


@pytest.fixture(autouse=True)
def _mrs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _MRS.items():
        monkeypatch.setenv(settings.PREFIX + name, value)


def _service(name: str, address: str = "10.96.12.7") -> dict[str, str]:
    """Return what Kubernetes puts into every pod of a namespace with this Service."""
    url = f"tcp://{address}:8080"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": "8080",
        f"{name}_SERVICE_PORT_HTTP_METRICS": "8080",
        f"{name}_PORT": url,
        f"{name}_PORT_8080_TCP": url,
        f"{name}_PORT_8080_TCP_ADDR": address,
        f"{name}_PORT_8080_TCP_PORT": "8080",
        f"{name}_PORT_8080_TCP_PROTO": "tcp",
    }


@pytest.mark.parametrize("name", ["MRS_RELAY", "MRS_RELAY_WEB", "MRS_RELAY_KAFKA", "MRS_RELAY_2"])
def test_variables_of_a_kubernetes_service_are_no_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A Service named like the relay injects variables into its pods; the relay starts all the same."""
    for variable, value in _service(name).items():
        monkeypatch.setenv(variable, value)
    assert settings.load().web.port == 8080


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MRS_RELAY_WEB_PORT", "8081"),
        ("MRS_RELAY_PORT", "8081"),
        ("MRS_RELAY_WEB__PORTT", "8081"),
        ("MRS_RELAY_KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
    ],
)
def test_a_variable_that_no_service_brings_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A setting with one underscore too few looks like a Service's variable, but holds no address or has no host."""
    for variable, given in _service("MRS_RELAY").items():
        monkeypatch.setenv(variable, given)
    monkeypatch.setenv(name, value)
    with pytest.raises(errors.SettingsError, match=f"^{name}: no such setting"):
        settings.load()


def test_a_misspelt_variable_is_reported_the_nearest_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who misspells a setting reads its right name at once."""
    monkeypatch.setenv("MRS_RELAY_KAFKA__BOOTSTRAP_SERVER", "k:9092")
    with pytest.raises(errors.SettingsError, match=r"the nearest is MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS\)"):
        settings.load()


def test_each_default_can_be_given_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is text, whatever the setting holds."""
    wanted = settings.Settings.model_construct()
    given = 0
    for row in settings.describe():
        value: Any = wanted
        for name in row.name.split("."):
            value = getattr(value, name, None)
        if isinstance(value, str | int | float):
            monkeypatch.setenv(row.variable, str(value))
            given += 1

    found = settings.load()
    assert given > 60
    assert found.kafka == wanted.kafka
    assert found.engine == wanted.engine
