"""All roles start with exactly what the chart gives their pods: arguments, variables, settings and secrets."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.support import brokers, chart_values, child, helm, ports, roles, service, waiting

pytestmark = pytest.mark.embedded

_MOUNTED = "/etc/mrs-relay"
_CREDENTIALS = f"""\
project_id = "{service.PROJECT}"
access_key = "EMULATORACCESSKEY001"
secret_key = "emulator-secret-key-for-local-use-only"
"""


_TOPICS = ("requests", "events", "dead_letters", "control", "audit", "status", "lineage")
_TOKEN = "t0ken"  # noqa: S105 - the test's own


def _values(bootstrap: str, mrs: str, catalogue: str) -> dict[str, Any]:
    """Return values for the brokers, the MRS and the catalogue of this machine, with secrets."""
    topics = {name: f"chart.{name}" for name in _TOPICS}
    kafka = {"guarantee": "at-least-once", "app_id": "chart", "group_id": "chart", "topics": topics}
    return {
        "kafka": {"bootstrapServers": bootstrap},
        "mrs": {"endpoint": mrs, "credentialsSecret": {"name": "mrs", "key": "credentials.toml"}},
        "settings": {"kafka": kafka, "engine": {"poll_interval_s": 0.5}},
        "web": {"tokensSecret": {"name": "relay-tokens", "key": "tokens"}},
        "lineage": {"enabled": True, "url": catalogue, "tokenSecret": {"name": "catalogue", "key": "token"}},
    }


@contextlib.asynccontextmanager
async def _catalogue(taken: list[dict[str, Any]]) -> AsyncIterator[str]:
    """Take run events, from callers with the token; yields the address."""

    async def take(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {_TOKEN}":
            return web.Response(status=401)
        taken.append(await request.json())
        return web.Response(status=201)

    app, port = web.Application(), ports.free_port()
    app.router.add_post("/lineage", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}/lineage"
    finally:
        await runner.cleanup()


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


async def test_all_roles_start_with_what_their_pods_get(tmp_path: Path, embedded: brokers.TansuNode) -> None:
    """They become ready where the probes ask, a request is carried through, and its runs reach the catalogue."""
    taken: list[dict[str, Any]] = []
    running: list[child.Child] = []
    async with _catalogue(taken) as catalogue:
        with service.emulator(tmp_path, "--run-s", "1") as mrs:
            pods = _pods(helm.manifests(_values(embedded.bootstrap, mrs.url, catalogue)), tmp_path)
            config = str(tmp_path / "worker/settings/settings.toml")
            made = child.Child(
                [sys.executable, "-m", "mrs_relay", "topics", "create", "--config", config], log=tmp_path / "topics.log"
            )
            assert await asyncio.to_thread(made.wait, waiting.LIMIT_S) == 0, made.log.read_text()
            try:
                started = {}
                for name, pod in pods.items():
                    port = ports.free_port()
                    given = {f"MRS_RELAY_{_PORTS[name]}": str(port)}
                    running.append(_started(pod, tmp_path / name, tmp_path / f"{name}.log", **given))
                    started[name] = running[-1], port
                for name, (process, port) in started.items():
                    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                        path = pods[name]["containers"][0][probe]["httpGet"]["path"]
                        await roles.until(functools.partial(roles.answers, port, path), process)

                deployment = service.Deployment(embedded.bootstrap, "chart", mrs.url, tmp_path, "at-least-once")
                await deployment.send([(b"k", service.job("r-1"))])
                events = await deployment.until_ended(["r-1"])
                assert events[-1].state == "succeeded"
                await roles.until(lambda: len(taken) > 1, started["lineage"][0])
                assert [one["eventType"] for one in taken] == ["START", "COMPLETE"]
            finally:
                for process in running:
                    assert await asyncio.to_thread(process.stop, 30) == 0


_PORTS = {"worker": "WEB__PORT", "web": "API__PORT", "lineage": "FORWARDING__PORT"}
"""The variable of the port that each role's probes ask."""


def _pods(manifests: list[dict[str, Any]], root: Path) -> dict[str, dict[str, Any]]:
    """Return the pod of each role, with its files laid below `root`."""
    secrets = {"credentials.toml": _CREDENTIALS, "tokens": "", "token": _TOKEN}
    pods = {}
    for one in manifests:
        if one["kind"] in {"StatefulSet", "Deployment"}:
            name, pod = one["metadata"]["name"].rpartition("-")[2], one["spec"]["template"]["spec"]
            _mounted(pod, manifests, secrets, root / name)
            pods[name] = pod
    return pods


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
