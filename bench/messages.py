"""
One core's way of a message: decoded and validated, and with its four events encoded; requests a second.

Requests of two types come in the three forms in which they may be sent; the slowest counts. A request
that succeeds has four events: accepted, submitted, running, succeeded. A third figure has all that is pure in between,
too: what the request means for the job, each decision, and the check of each event against its model.

    PYTHONPATH=. python bench/messages.py [--requests 5000] [--rounds 7] [--json]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import itertools
import json
import pstats
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from bench import memory, stage

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import envelope, events, requests

TOPIC: Final = "mrs.requests"
NOW_MS: Final = 1_795_420_800_000
DISTINCT: Final = 500
FORMS: Final = ("plain", "structured", "binary")


def sql(number: int) -> bytes:
    """Return a request for Spark SQL, as a service would send it."""
    message = json.loads(stage.request(number))
    message["type"] = "mrs.sql.submit"
    message["data"] = {
        "cluster": stage.CLUSTER,
        "engine": "spark",
        "statement": f"select region, sum(price * (1 - discount)) from sales where run = {number} group by region",  # noqa: S608 - bench
        "database": "reporting",
        "labels": {"team": "reporting"},
    }
    return json.dumps(message).encode()


TYPES: Final[Mapping[str, Callable[[int], bytes]]] = {"job": stage.request, "sql": sql}


def record(kind: str, form: str, number: int) -> records.Record:
    """Return a request of a type in one of the forms."""
    raw = TYPES[kind](number)
    headers: records.Headers = (("traceparent", b"00-%032x-%016x-01" % (number + 1, number + 1)),)
    if form == "structured":
        headers = (("content-type", envelope.STRUCTURED.encode()), *headers)
    elif form == "binary":
        message = json.loads(raw)
        raw = json.dumps(message.pop("data")).encode()
        shown = tuple((f"ce_{name}", str(value).encode()) for name, value in message.items())
        headers = (("content-type", b"application/json"), *shown, *headers)
    return records.Record(TOPIC, 0, number, NOW_MS, b"key", raw, headers)


def decode(record: records.Record) -> object:
    """Return the bytes to a checked request."""
    return requests.parse(envelope.read(record.topic, record.value, record.headers))


def story(record: records.Record) -> list[events.Event]:
    """Return the events of a request that succeeds, the way the engine comes to them."""
    meaning = reader.read(record, frozenset(), 500_000)
    assert isinstance(meaning, tuple)

    running = jobs.MrsStatus("d1d0c7e3-86ba-4ef9-9b0e-000000000001", "RUNNING", "UNDEFINED", 45.0, "application_1_0001")
    ended = msgspec.structs.replace(running, job_state="FINISHED", job_result="SUCCEEDED", progress=100.0)
    happened: list[facts.Fact] = [meaning[1], facts.Admitted(), facts.SubmissionAccepted(running.job_id)]
    happened += [facts.JobObserved(running), facts.JobObserved(ended)]
    published: list[events.Event] = []
    job: jobs.Job | None = None

    for fact in happened:
        decision = transitions.decide(job, fact, NOW_MS, memory.RULES)
        assert decision is not None
        job = decision.job
        published += decision.events

    assert [event.data.state for event in published] == ["accepted", "submitted", "running", "succeeded"]
    return published


def encode(published: Sequence[events.Event]) -> None:
    """Encode the four events as keys, values and headers of records."""
    for event in published:
        events.write(event, "/mrs-relay")


def per_s(work: Callable[[], object], count: int, rounds: int) -> float:
    """Return the median of rounds, garbage of earlier ones taken away before each."""
    rates = []
    for _ in range(rounds):
        gc.collect()
        started_s = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - started_s))
    return statistics.median(rates)


def measure(count: int, rounds: int) -> dict[str, Any]:
    """Measure all forms of all types."""
    measured: dict[str, dict[str, int]] = {"decoded": {}, "with_events": {}, "decided": {}}
    for kind, form in itertools.product(TYPES, FORMS):
        given = [record(kind, form, number % DISTINCT) for number in range(count)]
        reported = [story(one) for one in given]
        for name, work in works(given, reported).items():
            measured[name][f"{kind}, {form}"] = round(per_s(work, count, rounds))
    slowest = {f"{name}_per_s": min(rates.values()) for name, rates in measured.items()}
    return {"requests": count, "rounds": rounds, **measured, **slowest}


def works(
    given: Sequence[records.Record], published: Sequence[Sequence[events.Event]]
) -> dict[str, Callable[[], None]]:
    """Return what is timed, by name."""

    def decoded() -> None:
        for one in given:
            decode(one)

    def with_events() -> None:
        for one, its in zip(given, published, strict=True):
            decode(one)
            encode(its)

    def decided() -> None:
        for one in given:
            encode(story(one))

    return {"decoded": decoded, "with_events": with_events, "decided": decided}


def profile(count: int) -> None:
    """Show where the time of decoding goes."""
    given = [record("job", "structured", number % DISTINCT) for number in range(count)]
    profiler = cProfile.Profile()
    profiler.enable()
    for one in given:
        decode(one)
        encode(story(one))
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    if given.profile:
        profile(given.requests)
        return
    figures = measure(given.requests, given.rounds)
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
