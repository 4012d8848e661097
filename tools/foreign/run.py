"""
`make foreign-clients`: run all clients, print the table, write docs/foreign-clients.md.

The exit code is 1 when a client cannot be installed, a call fails, or a client has a method of the API overview that no
step calls. Names of clients as arguments run those alone, and leave the page as it is; 2 says that one is no client.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from rich import box, console, table
from tools.foreign import installing, page, playing, scenario, scenario_objects

from mrs_emulator.core import settings
from mrs_emulator.http import server

_PACE = {"create_s": 0.3, "resize_s": 0.2, "delete_s": 0.2, "new_s": 0, "submitted_s": 0, "accepted_s": 0}
_SETTINGS = {
    "port": 0,
    "obs_port": 0,
    "pace": {**_PACE, "run_s": 0.3, "kill_s": 0},
    "v11": {"strict_required": False},  # otcextensions leaves out the type when it changes a data source
}
_OTHER_NAMES = frozenset({"BatchDeleteClusterTags"})  # the overview has it as an action of BatchCreateClusterTags


@dataclass(frozen=True, slots=True)
class Client:
    """
    A client to run.

    Attributes:
        title: its name for people.
        install: brings it here; returns its command.
        steps: what it is asked to do.
        of_overview: only its methods of the API overview must be called; False: all that it has.
        bucket: a bucket that is there from the start, for clients that cannot make one.
    """

    title: str
    install: Callable[[], list[str]]
    steps: Sequence[scenario.Step]
    of_overview: bool = False
    bucket: str = ""


CLIENTS = {
    "python": Client(
        "Python SDK of the vendor", lambda: installing.own_python("python_sdk"), scenario.VENDOR_SDK, of_overview=True
    ),
    "java": Client("Java SDK of the vendor", installing.jars, scenario.VENDOR_SDK, of_overview=True),
    "go": Client("Go SDK of the vendor", installing.go, scenario.VENDOR_SDK, of_overview=True),
    "otc": Client("otcextensions", lambda: installing.venv("otc", "otc"), scenario.OTC),
    "airflow": Client("Airflow's provider", lambda: installing.venv("airflow", "airflow_provider"), scenario.AIRFLOW),
    "sahara": Client("OpenStack's Sahara client", lambda: installing.own_python("sahara"), scenario.SAHARA),
    "boto3": Client("boto3", lambda: installing.venv("obs", "objects", "boto3"), scenario_objects.BOTO3),
    "obstore": Client(
        "obstore", lambda: installing.venv("obs", "objects", "obstore"), scenario_objects.OBSTORE, bucket="lake"
    ),
    "esdk": Client(
        "esdk-obs-python of the vendor", lambda: installing.venv("obs", "objects", "esdk"), scenario_objects.ESDK
    ),
    "duckdb": Client(
        "DuckDB's httpfs", lambda: installing.venv("obs", "objects", "duckdb"), scenario_objects.DUCKDB, bucket="lake"
    ),
}


async def played(client: Client) -> playing.Played:
    """Run one client against an emulator of its own."""
    try:
        command = await asyncio.to_thread(client.install)
    except installing.NotInstalled as error:
        return playing.Played(client.title, "not installed", {"": playing.Row("", error=str(error))})

    async with server.running(settings.EmulatorSettings.model_validate(_SETTINGS)) as live:
        known = frozenset(name.removesuffix("V11") for name in live.emulator.operations) | _OTHER_NAMES
        if client.bucket:
            live.emulator.objects.store.create_bucket(client.bucket)
        program = await playing.Program.start(command, live)
        try:
            player = playing.Player(client.title, program, live.emulator)
            return await player.play(client.steps, known if client.of_overview else None)
        except (RuntimeError, TimeoutError) as error:  # it ended before it said what it is
            return playing.Played(client.title, "not started", {"": playing.Row("", error=str(error) or "no answer")})
        finally:
            await program.end()


def shown(found: Sequence[playing.Played]) -> table.Table:
    """Return the table for the terminal: a line for each call."""
    drawn = table.Table(*page.COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False)
    for one in found:
        for row in one.rows.values():
            drawn.add_row(one.name, one.version, row.call, ", ".join(sorted(row.operations)), row.error or "right")
    return drawn


async def main(names: Sequence[str]) -> int:
    """Run the clients named, or all; the exit code."""
    if unknown := [name for name in names if name not in CLIENTS]:
        print(f"foreign: no client {unknown[0]!r}; there are {', '.join(CLIENTS)}", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found = [await played(client) for name, client in CLIENTS.items() if not names or name in names]
    out = console.Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    out.print(shown(found))
    out.print(page.summary(found))
    if not names:
        page.write(found)
    return 1 if any(one.failed for one in found) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
