"""Both roles start with exactly what the chart gives their pods: arguments, variables, settings and secrets."""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import brokers, chart_values, child, helm, ports, roles, service, waiting

pytestmark = pytest.mark.embedded

_MOUNTED = "/etc/mrs-relay"
_CREDENTIALS = f"""\
project_id = "{service.PROJECT}"
access_key = "EMULATORACCESSKEY001"
secret_key = "emulator-secret-key-for-local-use-only"
"""


def _values(bootstrap: str, mrs: str) -> dict[str, Any]:
    """Values for the brokers and the MRS of this machine, with secrets."""
    topics = {name: f"chart.{name}" for name in ("requests", "events", "dead_letters", "control", "audit", "status")}
    kafka = {"guarantee": "at-least-once", "app_id": "chart", "group_id": "chart", "topics": topics}
    return {
        "kafka": {"bootstrapServers": bootstrap},
        "mrs": {"endpoint": mrs, "credentialsSecret": {"name": "mrs", "key": "credentials.toml"}},
        "settings": {"kafka": kafka, "engine": {"poll_interval_s": 0.5}},
        "web": {"tokensSecret": {"name": "relay-tokens", "key": "tokens"}},
    }


def _mounted(pod: dict[str, Any], manifests: list[dict[str, Any]], secrets: dict[str, str], root: Path) -> None:
    """Lay the files of a pod below `root`, as Kubernetes mounts them."""
    maps = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    places = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    for volume in pod["volumes"]:
        if "emptyDir" in volume:
            continue
        folder = root / places[volume["name"]].removeprefix(_MOUNTED).lstrip("/")
        folder.mkdir(parents=True)
        if "configMap" in volume:
            files = maps[volume["configMap"]["name"]]
        else:
            files = {item["path"]: secrets[item["key"]] for item in volume["secret"]["items"]}
        for name, text in files.items():
            (folder / name).write_text(text.replace(_MOUNTED, str(root)))


def _started(pod: dict[str, Any], root: Path, log: Path, **more: str) -> child.Child:
    """Start the container's command with its variables, and with nothing else of this machine's settings."""
    (container,) = pod["containers"]
    given = {one["name"]: one.get("value", "pod-0") for one in container.get("env", [])}
    arguments = [word.replace(_MOUNTED, str(root)) for word in container["args"]]
    return roles.start(arguments, {**given, **more}, log)


async def test_workers_and_web_role_start_with_what_their_pods_get(tmp_path: Path, embedded: brokers.TansuNode) -> None:
    """They become ready where the probes ask, and a request is carried through."""
    worker_port, web_port = ports.free_port(), ports.free_port()
    with service.emulator(tmp_path, "--run-s", "1") as mrs:
        values = _values(embedded.bootstrap, mrs.url)
        manifests = helm.manifests(values)
        (worker,) = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "StatefulSet"]
        (web,) = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "Deployment"]
        secrets = {"credentials.toml": _CREDENTIALS, "tokens": ""}
        for name, pod in (("worker", worker), ("web", web)):
            _mounted(pod, manifests, secrets, tmp_path / name)

        config = str(tmp_path / "worker/settings/settings.toml")
        made = child.Child(
            [sys.executable, "-m", "mrs_relay", "topics", "create", "--config", config], log=tmp_path / "topics.log"
        )
        assert await asyncio.to_thread(made.wait, waiting.LIMIT_S) == 0, made.log.read_text()

        relay = _started(worker, tmp_path / "worker", tmp_path / "relay.log", MRS_RELAY_WEB__PORT=f"{worker_port}")
        shown = _started(web, tmp_path / "web", tmp_path / "web.log", MRS_RELAY_API__PORT=f"{web_port}")
        try:
            for pod, process, port in ((worker, relay, worker_port), (web, shown, web_port)):
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    path = pod["containers"][0][probe]["httpGet"]["path"]
                    await roles.until(functools.partial(roles.answers, port, path), process)

            deployment = service.Deployment(embedded.bootstrap, "chart", mrs.url, tmp_path, "at-least-once")
            await deployment.send([(b"k", service.job("r-1"))])
            events = await deployment.until_ended(["r-1"])
            assert events[-1].state == "succeeded"
        finally:
            for process in (relay, shown):
                assert await asyncio.to_thread(process.stop, 30) == 0


def test_the_fewest_values_name_no_file_that_nothing_mounts() -> None:
    """A setting points below a folder that a volume of the same pod has."""
    for values in chart_values.SETS.values():
        for one in helm.manifests(values):
            if one["kind"] not in {"StatefulSet", "Deployment"}:
                continue
            pod = one["spec"]["template"]["spec"]
            places = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
            maps = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
            for other in helm.manifests(values):
                if other["kind"] == "ConfigMap" and other["metadata"]["name"] in maps:
                    text = other["data"]["settings.toml"]
                    named = [word.strip('"') for word in text.split() if word.startswith(f'"{_MOUNTED}')]
                    assert all(any(path.startswith(f"{place}/") for place in places) for path in named)
