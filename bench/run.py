"""
All benchmarks in one run: throughput of the relay and of the client, memory per job; a table of figures and targets.

Ratios are measured in one run on one machine; absolute figures say how fast that machine was at that moment.

    make bench                     everything, about five minutes
    make bench ARGS=--quick        fewer requests and rounds
    make bench ARGS=--json         one line of JSON
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from typing import Any

from rich import console, table

HERE = pathlib.Path(__file__).parent


def figures_of(script: str, *flags: str) -> dict[str, Any]:
    """Run one benchmark as a process of its own; the JSON of its last line."""
    print(f"running {script} …", file=sys.stderr)
    command = [sys.executable, str(HERE / script), "--json", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def rows(
    relay: dict[str, Any], client: dict[str, Any], memory: dict[str, Any], emulator: dict[str, Any]
) -> list[tuple[str, str, str]]:
    """What, measured, target."""
    return [
        ("relay, exactly-once: requests/s to `submitted`", f"{relay['relay_per_s']}", ""),
        ("bare loop, 64 in flight: requests/s", f"{relay['bare_loop_per_s']}", ""),
        ("bare loop on uvloop, as the relay is: requests/s", f"{relay['bare_loop_uvloop_per_s']}", ""),
        ("relay ÷ bare loop", f"{relay['ratio']:.2f}", "≥ 0.8"),
        ("relay ÷ bare loop on uvloop", f"{relay['ratio_to_uvloop']:.2f}", "≥ 0.8"),
        ("client: signed, validated calls ÷ bare aiohttp", f"{client['ratio']:.2f}", "≥ 0.8"),
        (
            "client ÷ vendor's SDK on 32 threads",
            "not installed" if client["ratio_to_sdk"] is None else f"{client['ratio_to_sdk']:.1f}",
            "≥ 8",
        ),
        ("memory per tracked job, 20,000 jobs under way", f"{memory['bytes_per_job']:.0f} bytes", "≤ 2048"),
        ("emulator: submissions/s over HTTP, quotas off", f"{emulator['submissions_per_s']}", "≥ 3000"),
        ("emulator: slowest list page, 100,000 jobs", f"{slowest_page(emulator):.1f} ms", "≤ 10 ms"),
        ("emulator: memory, 100,000 jobs", f"{emulator['memory_mb']:.0f} MB", "≤ 300 MB"),
    ]


def slowest_page(emulator: dict[str, Any]) -> float:
    """The slowest page of all kinds, in milliseconds; each kind is given as its median and its slowest."""
    return max(float(slowest) for when in ("running", "ended") for _, slowest in emulator[f"pages_ms_{when}"].values())


def main() -> None:
    """Run all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer requests and rounds")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    relay = figures_of("relay.py", *(("--count", "8000", "--rounds", "1") if given.quick else ()))
    client = figures_of("client.py", *(("--rounds", "3") if given.quick else ()))
    memory = figures_of("memory.py")
    emulator = figures_of("emulator.py")
    if given.json:
        print(json.dumps({"relay": relay, "client": client, "memory": memory, "emulator": emulator}))
        return
    shown = table.Table("what", "measured", "target", title="mrs-relay, measured in one run")
    for row in rows(relay, client, memory, emulator):
        shown.add_row(*row)
    console.Console(width=100).print(shown)


if __name__ == "__main__":
    main()
