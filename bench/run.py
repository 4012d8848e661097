"""
All benchmarks in one run: a table of figures, targets and verdicts; exit code 1 when a target is missed.

Ratios are measured in one run on one machine; absolute figures say how fast that machine was at that moment.

    make bench                                  everything, about half an hour
    make bench ARGS=--quick                     fewer requests and rounds
    make bench ARGS="--only relay recovery"     some parts
    make bench ARGS=--json                      one line of JSON on standard output
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench import targets
from rich import console, table

HERE: Final = pathlib.Path(__file__).parent

QUICK: Final[Mapping[str, Sequence[str]]] = {
    "relay": ("--count", "8000", "--rounds", "1"),
    "latency": ("--messages", "100"),
    "three_brokers": ("--count", "4000", "--rounds", "1", "--messages", "60"),
    "replicas": ("--count", "8000", "--rounds", "1"),
    "recovery": ("--jobs", "20000", "--rounds", "3"),
    "following": ("--under-way", "5000", "--ended", "100000", "--rounds", "2"),
    "takeover": ("--rounds", "1"),
    "quota": ("--minutes", "5"),
    "fairness": ("--minutes", "5"),
    "client": ("--rounds", "3"),
    "memory": ("--count", "20000", "--ended", "200000"),
    "results": ("--rows", "200000", "--rounds", "3"),
    "readmodel": ("--events", "80000", "--requests", "100000"),
    "status": ("--count", "8000", "--rounds", "3"),
    "growth": ("--quick",),
}
"""Flags of a quick run, by part; the others are quick anyway."""


def figures_of(part: str, flags: Sequence[str]) -> dict[str, Any]:
    """
    Run one benchmark as a process of its own; the JSON of its last line.

    Raises:
        CalledProcessError: it failed; what it said stands on standard error.
    """
    command = [sys.executable, str(HERE / f"{part}.py"), "--json", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def measure(parts: Sequence[str], *, quick: bool) -> dict[str, dict[str, Any]]:
    """Measure the figures of all parts, one after the other; progress goes to standard error."""
    found = {}
    for number, part in enumerate(parts, start=1):
        print(f"[{number}/{len(parts)}] {part} …", file=sys.stderr, flush=True)
        started_s = time.monotonic()
        found[part] = figures_of(part, QUICK.get(part, ()) if quick else ())
        print(f"[{number}/{len(parts)}] {part}: {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)
    return found


def show(rows: Sequence[targets.Row]) -> None:
    """Print the table."""
    shown = table.Table("what", "measured", "target", "verdict", title="mrs-relay, measured in one run")
    for row in rows:
        style = "bold red" if row.verdict == "MISSED" else None
        shown.add_row(row.what, row.measured, row.target, row.verdict, style=style)
    console.Console(width=120).print(shown)


def exit_code(rows: Sequence[targets.Row]) -> int:
    """Return 1 when a target is missed, else 0; says on standard error which."""
    missed = [row for row in rows if row.verdict == "MISSED"]
    for row in missed:
        print(f"missed: {row.what}: {row.measured}, target {row.target}", file=sys.stderr)
    return 1 if missed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for, print it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer requests and rounds")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--only", nargs="+", choices=list(targets.ROWS), metavar="PART", help=", ".join(targets.ROWS))
    given = parser.parse_args(arguments)
    found = measure(given.only or list(targets.ROWS), quick=given.quick)
    rows = targets.rows(found)
    if given.json:
        print(json.dumps({**found, "rows": [row.as_json() for row in rows]}))
    else:
        show(rows)
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(main())
