"""The judgement of the kill loop: what was sent, all events, the ledgers, the chunks, and the list of MRS's effects."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support import cause_history, chaos_report, chaos_sites, chunk_history, history, service


async def faults(
    sites: Sequence[chaos_sites.Site], mrs: service.Emulator, count: Counter[str], workdir: Path
) -> list[str]:
    """Have the history judged; returns what is wrong, a line each, and counts what there was."""
    effects = await asyncio.to_thread(mrs.effects)
    found: list[str] = []
    sent: list[str] = []
    events: list[history.Seen] = []
    kept: list[history.Kept] = []

    for site in sites:
        await site.reader.read_on()
        of_ledger, behind = await site.reader.ledger()
        found += [f"{site.plan.name}: {what}" for what in behind] + site.fleet.faults
        sent += site.sender.sent
        found += await _of_obs(site, count)
        # cancels and malformed messages have stories of their own
        events += [event for event in site.reader.events if event.request_id.startswith("r-")]
        kept += [job for job in of_ledger if job.request_id.startswith("r-")]

    count["events"] = len(events)
    if sites[0].here.guarantee == "at-least-once":
        before = len(events)
        events, doubles = history.once(events)
        count["events reported again"] = before - len(events)
        found += doubles

    shown = [(event.request_id, rows) for event in events if (rows := event.data.get("rows")) is not None]
    count["events with rows"] = len(shown)
    found += [f"{request_id}: its rows are {rows}" for request_id, rows in shown if rows != [request_id]]
    results = {effect["name"]: effect.get("result", "") for effect in effects}
    created = [effect["name"] for effect in effects]
    found += history.faults(sent, events, created, kept=kept, results=results)
    workdir.joinpath("ledger.txt").write_text("\n".join(map(str, kept)))
    workdir.joinpath("jobs.jsonl").write_text("\n".join(map(json.dumps, effects)))
    numbers = {"requests": len(sent), "jobs on MRS": len(created), **chaos_report.counts(sent, events, created)}
    count.update(numbers)

    return found


async def _of_obs(site: chaos_sites.Site, count: Counter[str]) -> list[str]:
    """Have the rows in chunks and the causes of failures of a site judged."""
    reader, sender = site.reader, site.sender
    stored = await reader.chunks()
    count["events with chunks"] += len(reader.named)
    count["events with chunks of Arrow"] += sum(one.chunks.get("format") == "arrow" for one in reader.named)
    count["chunks stored"] += len(stored)
    count["chunks stored again"] += len(stored) - len({one.chunk_id for one in stored})
    events, _ = history.once(reader.events)
    reasons = [event.data["reason"] or {} for event in events if event.request_id in sender.jobs]
    count["failures with their cause"] += sum("cause" in reason for reason in reasons)
    count["failures without their log"] += sum("detail_unavailable" in reason for reason in reasons)
    found = [*chunk_history.faults(reader.named, stored, sender.chunked)]
    found += _unnamed(events, sender.chunked.keys() - {one.request_id for one in reader.named})
    return [*found, *cause_history.faults(events, sender.jobs, sender.cancelled)]


def _unnamed(events: Sequence[history.Seen], wanted: set[str]) -> list[str]:
    """Return successes whose chunks no event names, although no event says that they have not come."""
    done = {event.request_id for event in events if event.state == "succeeded"}
    late = {event.request_id for event in events if event.state == "result"}
    return [f"{one}: has succeeded, and no event names its chunks" for one in sorted(done & wanted - late)]
