"""
`mrs-relay retry`: send requests that ended badly again, each under a new id that names the old one.

The ledger keeps no content of ended requests, but the place of each message in its topic, where it is read again.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer

from mrs_relay import errors
from mrs_relay.cli import audit, bulk, complete, compose, connect, options
from mrs_relay.cli import where as filters
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import envelope

_RETRIED: Final = frozenset({jobs.State.FAILED, jobs.State.CANCELLED, jobs.State.REJECTED})

Messages = Mapping[tuple[str, int, int], envelope.Envelope]
"""Messages by topic, partition and offset."""


def retry(
    *,
    request_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Id of the request.", show_default=False, autocompletion=complete.ids),
    ] = None,
    where: bulk.WhereText = None,
    reason: Annotated[str, typer.Option("--reason", "--note", help="Why; it is on record.")] = "",
    source: Annotated[str | None, typer.Option("--source", help="Its source, if several requests have the id.")] = None,
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """
    Send a request that failed, was cancelled or was rejected again, as its message stands in the topic.

    The new id is the old one with -retry- and the number of its last event, so a repeated command starts nothing twice.
    --where does it to all that match; rejected requests keep no cluster and no labels to be found by.
    """
    options.require_one(request_id, where)
    tenancies = connect.meant(config, bootstrap, tenant)
    if where is None:
        one = filters.of_id(request_id or "", source)
        asked = bulk.Wanted(one, reason, tenancies, dry_run, yes=True, as_json=as_json, single=True)
    else:
        asked = bulk.wanted(where, reason, tenancies, dry_run=dry_run, yes=yes, as_json=as_json)
    bulk.carry_out(asked, "retry", lambda found: _prepared(found, reason))


async def _prepared(found: Sequence[bulk.Found], reason: str) -> bulk.Plan:
    """Read the messages of the requests that may be sent again."""
    messages: dict[tuple[str, int, int], envelope.Envelope] = {}
    for tenant in {one.tenant.name: one.tenant for one in found}.values():
        places: dict[int, set[int]] = collections.defaultdict(set)
        for one in found:
            if one.tenant is tenant and one.job.state in _RETRIED:
                places[one.partition].add(one.job.order)
        topic = tenant.kafka.topics.requests
        async for record in topic_io.read_at(connect.broker(tenant.kafka), topic, places):
            with contextlib.suppress(errors.BadMessage):
                read = envelope.read(topic, record.value, record.headers)
                messages[topic, record.partition, record.offset] = read
    return lambda one: plan(one, messages, reason)


def plan(one: bulk.Found, messages: Messages, reason: str) -> bulk.Step | str:
    """Return the message that sends a request again, or why it is passed over."""
    job = one.job
    if job.state not in _RETRIED:
        return f"it is {job.state.value}: expected one that has {', '.join(sorted(_RETRIED))}"
    topic = one.tenant.kafka.topics.requests
    original = messages.get((topic, one.partition, job.order))
    if original is None or (original.id, original.source) != (job.id, job.source):
        return f"its message has left topic {topic}: send the request under a new id"

    members = {
        "id": f"{job.id}-retry-{job.sequence}",
        "source": job.source,
        "type": original.type,
        "correlationid": original.text("correlationid") or job.id,
        "data": original.data,
    }
    try:  # the relay judges it, with the tenant's defaults
        made = compose.message(members, compose.Defaults(key=job.id, validate=False))
    except errors.BadMessage as error:
        return str(error)
    outgoing = records.Outgoing(topic, job.key, made.value, made.headers, one.partition)
    after = {"id": made.id, "source": made.source}
    before = {"state": job.state.value}
    decided = audit.data(
        "retry", reason, one.target, before=before, after=after, tenant=one.tenant.name, message=made.id
    )
    return bulk.Step(outgoing, decided, f"sent again as {made.id}")
