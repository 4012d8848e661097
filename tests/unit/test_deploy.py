"""The compose file and the image against the code that they start."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mrs_emulator.core import settings as emulator_settings
from mrs_relay import settings

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(name="services")
def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((_ROOT / "deploy" / "compose.yaml").read_text())["services"]
    return services


def _load(service: dict[str, Any], patch: pytest.MonkeyPatch) -> settings.Settings:
    """Return what the service would read from its environment."""
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        patch.delenv(name)
    for name, value in service["environment"].items():
        patch.setenv(name, str(value))
    return settings.load()


@pytest.mark.parametrize("name", ["relay", "topics"])
def test_environment_names_settings_that_exist(
    name: str, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service accepts its environment, in which each variable names a setting."""
    known = {row.variable for row in settings.describe()}
    assert services[name]["environment"].keys() <= known
    assert _load(services[name], monkeypatch).kafka.bootstrap_servers == "kafka:19092"


def test_relay_signs_with_the_keys_that_the_emulator_knows(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Project, keys and address in the relay's environment are the emulator's."""
    relay = _load(services["relay"], monkeypatch).mrs
    emulator = emulator_settings.EmulatorSettings()
    known = emulator.credentials[0]
    assert (relay.project_id, relay.access_key) == (emulator.project_id, known.access_key)
    assert relay.secret_key == known.secret_key
    command = services["emulator"]["command"]
    assert relay.endpoint == f"http://emulator:{command[command.index('--port') + 1]}"


def test_health_check_asks_where_the_relay_listens(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay's own port is the one that is published and probed, and it listens beyond the container's loopback."""
    web = _load(services["relay"], monkeypatch).web
    assert web.host == "0.0.0.0"  # noqa: S104 - in a container, published on loopback only
    assert services["relay"]["ports"] == [f"127.0.0.1:{web.port}:{web.port}"]
    assert f"http://127.0.0.1:{web.port}/ready" in services["relay"]["healthcheck"]["test"][-1]


def test_ports_are_published_on_loopback_only(services: dict[str, Any]) -> None:
    """Nothing of the compose file can be reached from another machine."""
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)


def test_what_is_waited_for_exists_and_can_become_true(services: dict[str, Any]) -> None:
    """A service that others wait for to be healthy has a health check; a job that they wait for ends by itself."""
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            assert ("healthcheck" in services[name]) == (wait["condition"] == "service_healthy")
            if wait["condition"] == "service_completed_successfully":
                assert "restart" not in services[name]


def test_kafka_is_the_one_that_the_tests_run_on(services: dict[str, Any]) -> None:
    """The compose file and the tests use the same version of Kafka."""
    pom = (_ROOT / "tools" / "kafka" / "pom.xml").read_text()
    version = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>(.*)</version>", pom)
    assert version is not None
    assert services["kafka"]["image"] == f"apache/kafka:{version[1]}"


@pytest.mark.parametrize(("extras", "installed"), [("", "."), ("web", ".[web]"), ("web,kerberos", ".[web,kerberos]")])
def test_image_installs_the_package_with_the_extras_asked_for(extras: str, installed: str) -> None:
    """Without extras there are no brackets: pip takes `.[]` for an invalid requirement."""
    arguments = re.findall(r'^RUN .*pip install .* (".*")$', (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(arguments) == 1
    shell = ["/bin/sh", "-c", f"printf %s {arguments[0]}"]
    shown = subprocess.run(shell, env={"EXTRAS": extras}, check=True, capture_output=True, text=True, timeout=60).stdout
    assert shown == installed
