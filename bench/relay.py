"""
Measures the relay against the bare loop and FastStream: same Kafka, same backend, same requests, round by round.

For each round each program gets its own topics, filled with the same requests before it starts. The rate is taken
from the timestamps of the events that it wrote, from the moment on at which a tenth of the requests has an event, so
that start-up does not count.

    PYTHONPATH=. python bench/relay.py [--count 20000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import pathlib
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Final

from bench import stage
from tests.support import brokers

FASTSTREAM_PART: Final = 10
"""One request in this many goes through FastStream, which is slower by as much: every program runs for seconds."""

_LONGEST_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a round takes place: Kafka, the backend's address, and how many requests."""

    bootstrap: str
    address: str
    count: int


def of_loop(place: Place, prefix: str, script: str, *flags: str) -> float:
    """Return requests a second of a program that ends by itself."""
    asyncio.run(_prepare(place, prefix))
    command = [*stage.loop_command(script, place.bootstrap, prefix, place.address, place.count), *flags]
    subprocess.run(command, check=True, timeout=_LONGEST_S)
    return _rate(place, prefix)


def of_relay(place: Place, prefix: str, profile: str | None) -> float:
    """Return requests a second of the relay, through to `submitted`."""
    asyncio.run(_prepare(place, prefix))
    program = ("-m", "mrs_relay") if profile is None else ("-m", "cProfile", "-o", profile, "-m", "mrs_relay")
    with stage.relay(place.bootstrap, prefix, place.address, program=program):
        asyncio.run(stage.until(place.bootstrap, f"{prefix}.events", 2 * place.count, timeout_s=_LONGEST_S))
        return _rate(place, prefix)


async def _prepare(place: Place, prefix: str) -> None:
    await stage.make_topics(place.bootstrap, prefix)
    await stage.fill(place.bootstrap, prefix, place.count)


def _rate(place: Place, prefix: str) -> float:
    reading = stage.event_times(place.bootstrap, f"{prefix}.events", place.count)
    return stage.rate(asyncio.run(asyncio.wait_for(reading, _LONGEST_S)))


def one_round(place: Place, number: int, profile: str | None) -> dict[str, float | None]:
    """Return requests a second of every program."""
    few = Place(place.bootstrap, place.address, max(place.count // FASTSTREAM_PART, 500))
    has_others = others_installed()
    rates: dict[str, float | None] = {
        "bare": of_loop(place, f"bare{number}", "bare_loop.py"),
        "bareuv": of_loop(place, f"bareuv{number}", "bare_loop.py", "--uvloop"),
        "relay": of_relay(place, f"relay{number}", profile),
        "faststream": of_loop(few, f"faststream{number}", "faststream_loop.py") if has_others else None,
        "faststream_after": of_loop(few, f"after{number}", "faststream_loop.py", "--ack", "after")
        if has_others
        else None,
    }
    reported = ", ".join(f"{name} {per_s:.0f}/s" for name, per_s in rates.items() if per_s)
    print(f"  round {number + 1}: {reported}", file=sys.stderr, flush=True)
    return rates


def others_installed() -> bool:
    """Return whether FastStream and the vendor's SDK are there; without them their figure is left out."""
    return all(importlib.util.find_spec(name) for name in ("faststream", "huaweicloudsdkmrs"))


def measure(count: int, rounds: int, profile: str | None = None) -> dict[str, object]:
    """Measure all rounds; medians, and medians of the ratios of each round."""
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_kafka(pathlib.Path(folder)) as kafka,
        stage.backend() as address,
    ):
        place = Place(kafka.bootstrap, address, count)
        found = [one_round(place, number, profile) for number in range(rounds)]

    def ratio(name: str, digits: int) -> float | None:
        each = [ours / theirs for one in found if (ours := one["relay"]) and (theirs := one[name])]
        return round(statistics.median(each), digits) if each else None

    def per_s(name: str) -> int | None:
        each = [rate for one in found if (rate := one[name]) is not None]
        return round(statistics.median(each)) if each else None

    return {
        "requests": count,
        "rounds": rounds,
        "bare_loop_per_s": per_s("bare"),
        "bare_loop_uvloop_per_s": per_s("bareuv"),
        "relay_per_s": per_s("relay"),
        "faststream_per_s": per_s("faststream"),
        "faststream_after_per_s": per_s("faststream_after"),
        "ratio": ratio("bare", 3),
        "ratio_to_uvloop": ratio("bareuv", 3),
        "ratio_to_faststream": ratio("faststream", 2),
        "ratio_to_faststream_after": ratio("faststream_after", 2),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", help="file for a cProfile of the relay")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    stage.show(measure(given.count, given.rounds, given.profile), as_json=given.json)


if __name__ == "__main__":
    main()
