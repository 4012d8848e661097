"""
Measures the relay against the bare loop on three brokers: replication 3, min ISR 2, as in production.

The rates are measured round by round as in `bench/relay.py`, the delays as in `bench/latency.py`, all on one cluster.
The three brokers share this machine's cores with the measured programs; the ratios are what can be compared.

    PYTHONPATH=. python bench/three_brokers.py [--count 10000] [--rounds 3] [--messages 200] [--json]
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile

from bench import latency, relay, stage
from tests.support import brokers


def measure(count: int, rounds: int, messages: int) -> dict[str, object]:
    """Measure rates, then delays; medians, and the median of each round's ratio."""
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_cluster(pathlib.Path(folder), jvm=()) as cluster,
        stage.backend() as address,
    ):
        place = relay.Place(cluster.bootstrap, address, count)
        found = [one_round(place, number) for number in range(rounds)]
        delays = latency.on(cluster.bootstrap, address, messages)

    return {
        "brokers": len(cluster.nodes),
        "requests": count,
        "rounds": rounds,
        "bare_loop_per_s": round(statistics.median(bare for bare, _ in found)),
        "relay_per_s": round(statistics.median(ours for _, ours in found)),
        "ratio": round(statistics.median(ours / bare for bare, ours in found), 3),
        **delays,
    }


def one_round(place: relay.Place, number: int) -> tuple[float, float]:
    """Measure requests a second of the bare loop and of the relay."""
    bare = relay.of_loop(place, f"bare{number}", "bare_loop.py")
    ours = relay.of_relay(place, f"relay{number}", None)
    print(f"  round {number + 1}: bare {bare:.0f}/s, relay {ours:.0f}/s", file=sys.stderr, flush=True)
    return bare, ours


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=200, help="to each program")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    stage.show(measure(given.count, given.rounds, given.messages), as_json=given.json)


if __name__ == "__main__":
    main()
