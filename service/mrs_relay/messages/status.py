"""
What relays publish on the topic of their status: what only they know, and nothing that a request depends on. Pure.

A record's key says what it is about, and its value is an envelope with the content as JSON:

    replica/<replica>                           a replica: its tenants, its connections and their budgets
    partition/<topic>/<number>                  a partition, as its owner sees it
    cluster/<replica>/<connection>/<cluster>    slots, pauses and queues of a cluster in one replica

Lists are cut to their first items, and a count says how many there are. A replica writes each record again from time to
time, so that one that is too old, or whose replica is gone, is known to be stale.
"""

from __future__ import annotations

from typing import Final

import msgspec

FIRST: Final = 20
"""Items of a list that a record keeps."""

MOST_BYTES: Final = 64_000
"""Longest value of a record."""

AGAIN_S: Final = 10.0
"""Seconds after which a record is written again although nothing has changed."""

STALE_MS: Final = 30_000
"""A record that is older is stale: its replica has missed two times to write it again."""


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of a record; members are only ever added."""


class Ref(_Part, frozen=True, gc=False):
    """A request."""

    source: str
    id: str


class Timed(_Part, frozen=True, gc=False):
    """A request that waits for a moment, epoch milliseconds; 0: it is not known."""

    source: str
    id: str
    until_ms: int = 0


class Waiting(_Part, frozen=True):
    """
    Requests that wait for something of their own.

    Attributes:
        count: number of them.
        first: some of them.
    """

    count: int = 0
    first: list[Timed] = []


NOTHING_WAITS: Final = Waiting()


class Partition(_Part, frozen=True, tag="partition", kw_only=True):
    """
    A partition of a topic of requests.

    Attributes:
        tenant: name of the tenant; "" without tenants.
        topic: the topic.
        partition: its number.
        state: restoring, running, parked, waiting, unreadable, leaderless or ended.
        next_offset: of the first request that is not committed; None: not known.
        lag: requests that are not committed yet; None: not known.
        restored: part of the ledger that has been read, from 0 to 1; only while restoring.
        error: why it does not work.
        not_before: requests that wait for their own time, or for the backoff of a retry.
        choosing: requests for which a cluster is being chosen.
        in_doubt: requests whose submission is being looked up; until the moment at which the look-up gives up.
    """

    tenant: str = ""
    topic: str
    partition: int
    state: str
    next_offset: int | None = None
    lag: int | None = None
    restored: float | None = None
    error: str | None = None
    not_before: Waiting = NOTHING_WAITS
    choosing: Waiting = NOTHING_WAITS
    in_doubt: Waiting = NOTHING_WAITS


class Cause(_Part, frozen=True, gc=False):
    """What holds the first request of a queue, and until when at least where time alone decides it."""

    cause: str
    until_ms: int = 0


class InLine(_Part, frozen=True, gc=False):
    """A request in its queue."""

    source: str
    id: str
    priority: int
    since_ms: int


class Queue(_Part, frozen=True, kw_only=True):
    """
    The requests of one tenant that wait for one operation on a cluster.

    Attributes:
        tenant: name of the tenant.
        operation: of MRS.
        waiting: number of requests.
        oldest_ms: since when the oldest one of `line` waits.
        causes: what holds the first of them, in order; never empty.
        line: the first ones, in the order in which they will go.
    """

    tenant: str = ""
    operation: str
    waiting: int
    oldest_ms: int = 0
    causes: list[Cause] = []
    line: list[InLine] = []


class Pause(_Part, frozen=True, kw_only=True):
    """
    An operation on a cluster that is paused, or tried by one call at a time.

    Attributes:
        operation: of MRS.
        state: full, refusing, failing or closed.
        code: of MRS's last answer.
        text: its meaning.
        since_ms: when the state began.
        until_ms: end of the pause; 0: it is over, and the next call is a trial.
    """

    operation: str
    state: str
    code: str = ""
    text: str = ""
    since_ms: int = 0
    until_ms: int = 0


class Cluster(_Part, frozen=True, tag="cluster", kw_only=True):
    """
    A cluster in one replica.

    Attributes:
        connection: name of the connection to MRS.
        cluster: id on MRS; "" for calls without one.
        slots_used: jobs that hold a slot.
        slots_limit: slots that this replica gives; 0: no limit.
        holders: some of those jobs.
        pauses: paused operations.
        queues: the waiting requests.
    """

    connection: str
    cluster: str
    slots_used: int = 0
    slots_limit: int = 0
    holders: list[Ref] = []
    pauses: list[Pause] = []
    queues: list[Queue] = []


class Tenant(_Part, frozen=True, kw_only=True):
    """
    A tenant in one replica. A limit is this replica's part of it; None: there is none.

    Attributes:
        name: of the tenant; "" without tenants.
        topic: where its requests are read.
        connection: name of its connection.
        partitions: that this replica owns.
        total: partitions of the topic.
        waiting: requests that wait for their submission.
        running: requests submitted and not ended; 0 without tenants.
    """

    name: str = ""
    topic: str
    connection: str
    partitions: list[int] = []
    total: int = 0
    waiting: int = 0
    running: int = 0
    most_running: int | None = None
    most_queued: int | None = None
    most_per_minute: int | None = None


class Budget(_Part, frozen=True, kw_only=True):
    """
    The budget of one operation in one replica.

    Attributes:
        operation: of MRS.
        per_minute: calls a minute that MRS allows all replicas together.
        granted: calls a minute that this replica may make of them.
        used: calls that it has made in the last minute.
        needed: it has more calls to make than it may.
    """

    operation: str
    per_minute: int
    granted: int
    used: int = 0
    needed: bool = False


class Connection(_Part, frozen=True, kw_only=True):
    """
    A connection to MRS in one replica.

    Attributes:
        name: in the settings.
        paused_until_ms: until then no submission is sent; 0: they are.
        paused_for: throttled or unreachable.
        in_flight: calls whose reply is awaited.
        clusters: number of clusters with a slot taken, a pause or a queue; no more than some hundred have a record.
        budgeted: whether budgets are kept.
        budgets: of the operations in use.
    """

    name: str
    paused_until_ms: int = 0
    paused_for: str = ""
    in_flight: int = 0
    clusters: int = 0
    budgeted: bool = True
    budgets: list[Budget] = []


class Replica(_Part, frozen=True, tag="replica", kw_only=True):
    """A replica: its version, tenants and connections."""

    version: str
    tenants: list[Tenant] = []
    connections: list[Connection] = []


Content = Replica | Partition | Cluster


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """
    The value of a record.

    Attributes:
        at_ms: when it was written, epoch milliseconds.
        replica: name of the replica that wrote it.
        epoch_ms: when that replica started.
        content: of the kind that the key names.
    """

    at_ms: int
    replica: str
    epoch_ms: int
    content: msgspec.Raw


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """See `Envelope`; the content is read."""

    at_ms: int
    replica: str
    epoch_ms: int
    content: Content


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Record)


def replica_key(replica: str) -> str:
    """Return the key of a replica."""
    return f"replica/{replica}"


def partition_key(topic: str, partition: int) -> str:
    """Return the key of a partition."""
    return f"partition/{topic}/{partition}"


def cluster_key(replica: str, connection: str, cluster: str) -> str:
    """Return the key of a cluster in a replica."""
    return f"cluster/{replica}/{connection}/{cluster}"


def is_shared(key: str) -> bool:
    """Return whether several replicas write records of this key, one after the other: those of partitions."""
    return key.startswith("partition/")


def encode_content(content: Content) -> bytes:
    """Write a content; one that is too long loses the ends of its lists."""
    made = _encoder.encode(content)
    most = FIRST
    while len(made) > MOST_BYTES and most:
        most //= 4
        made = _encoder.encode(_cut(content, most))
    return made if len(made) <= MOST_BYTES else _encoder.encode(_bare(_cut(content, 0)))


def encode(content: bytes, *, at_ms: int, replica: str, epoch_ms: int) -> bytes:
    """Write the value of a record around an encoded content."""
    made = Envelope(at_ms=at_ms, replica=replica, epoch_ms=epoch_ms, content=msgspec.Raw(content))
    return _encoder.encode(made)


def decode(value: bytes) -> Record | None:
    """Read the value of a record; None: it is none that this version knows."""
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _cut(content: Content, most: int) -> Content:
    """Return a content whose lists of requests have `most` items at most."""
    replace = msgspec.structs.replace
    match content:
        case Cluster():
            queues = [replace(one, line=one.line[:most]) for one in content.queues]
            return replace(content, holders=content.holders[:most], queues=queues)
        case Partition():
            kept = {name: getattr(content, name) for name in ("not_before", "choosing", "in_doubt")}
            return replace(content, **{name: replace(one, first=one.first[:most]) for name, one in kept.items()})
        case Replica():
            return content


def _bare(content: Content) -> Content:
    """Return a content with few items in each list: thousands of tenants, or ids of a kilobyte."""
    replace = msgspec.structs.replace
    match content:
        case Cluster():
            return replace(content, holders=[], pauses=content.pauses[:FIRST], queues=content.queues[:FIRST])
        case Replica():
            tenants = [replace(one, partitions=one.partitions[:FIRST]) for one in content.tenants[:FIRST]]
            connections = [replace(one, budgets=one.budgets[:FIRST]) for one in content.connections[:FIRST]]
            return replace(content, tenants=tenants, connections=connections)
        case Partition():
            return replace(content, error=(content.error or "")[:1000] or None)
