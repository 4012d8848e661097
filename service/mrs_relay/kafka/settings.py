"""
The settings of this package: one frozen group.

Names ending in `_ms` are Kafka's own and are passed on to it; all other times are in seconds. In the
environment the field `kafka.bootstrap_servers` is MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS, and so on.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mrs_relay.kafka import group
from mrs_relay.kafka import security as security_settings

Guarantee = Literal["exactly-once", "at-least-once"]

_TOPIC_NAME = r"^[a-zA-Z0-9._-]{1,249}$"

ANY_APP_ID: Final = "mrs-relay"
"""The `app_id` of a deployment without a name of its own."""

LEAST_COMPACTION_LAG_MS: Final = 3_600_000
"""Without transactions the ledger is not compacted sooner: a restore tells an old owner's records from the new's."""

_BATCH = r"^\d{1,9}@\d{1,18}$"

TopicName = Annotated[str, Field(pattern=_TOPIC_NAME)]
"""A name that Kafka takes for a topic."""


class Topics(group.Group):
    """Names of the topics of one deployment."""

    requests: str = Field(default="mrs.requests", pattern=_TOPIC_NAME)
    """Where requests are read from. Its partitions are the units of ownership."""

    events: str = Field(default="mrs.events", pattern=_TOPIC_NAME)
    """Where events are published."""

    dead_letters: str = Field(default="mrs.dead-letters", pattern=_TOPIC_NAME)
    """Where messages go that cannot even be rejected; takes larger records than `requests`."""

    latest: str | None = Field(default=None, pattern=_TOPIC_NAME)
    """
    Where the latest status of each request is kept, for those who only want to look it up: a compacted topic, such as
    mrs.latest, under the key `<source> <id>`. None writes none. It costs one more record for each commit of a request.
    """

    lineage: str | None = Field(default=None, pattern=_TOPIC_NAME)
    """
    Where OpenLineage run events of jobs and SQL are written, such as mrs.lineage; see the group `lineage`. None writes
    none. It costs two records for each attempt of a job.
    """

    results: str | None = Field(default=None, pattern=_TOPIC_NAME)
    """
    Where rows of SQL are written in chunks for requests that want them so, such as mrs.results. None writes none, and
    such requests are rejected. Its retention is for how long the rows can be read.
    """

    control: str = Field(default="mrs.control", pattern=_TOPIC_NAME)
    """
    Where controls, such as holds, are read from: a compacted topic of one partition that all tenants share. Deployments
    on one Kafka need different names, or they hold each other. While it is missing there are no controls, and readiness
    and `mrs-relay check` say so.
    """

    audit: str = Field(default="mrs.audit", pattern=_TOPIC_NAME)
    """
    Where decisions of people and programs are kept, such as cancels: a topic of one partition that all tenants share.
    While it is missing they are carried out and not kept, and `mrs-relay check` says so.
    """

    status: Annotated[str | None, BeforeValidator(lambda name: name or None)] = Field(
        default="mrs.status", pattern=_TOPIC_NAME
    )
    """
    Where relays publish what only they know: queues, slots, budgets, pauses and the state of partitions, for `mrs-relay
    why`, `status` and `web`. A compacted topic of one partition, for all tenants. "", or a topic that is missing,
    publishes nothing; requests do not need it.
    """

    @property
    def ledger(self) -> str:
        """The compacted topic of our own state: `<requests>.ledger`, with as many partitions as `requests`."""
        return f"{self.requests}.ledger"


class KafkaSettings(group.Group):
    """All about Kafka; the part receives this group and nothing else."""

    bootstrap_servers: str = Field(default="localhost:9092", min_length=1)
    """Addresses of some brokers, host:port separated by commas. If all brokers move, the process must be restarted."""

    security: security_settings.Security = security_settings.Security()
    """Encryption and login; see the group."""

    app_id: str = Field(default=ANY_APP_ID, pattern=_TOPIC_NAME)
    """
    Name of this deployment; begins every transactional id. Two deployments that share it together with `group_id` and
    the input topic fence each other for ever, and one of them exits with a message that says so. Deployments that use
    one MRS project, also with a Kafka of their own each, need different names: every name but the default is part of
    their jobs' names and tokens on MRS, so that none adopts, keeps or stops a job of another. Change it only while no
    replica runs; jobs under way keep the name that they have.
    """

    group_id: str = Field(default="mrs-relay", min_length=1)
    """Consumer group of all replicas. A new name begins at `first_start` only where the ledger is empty as well."""

    guarantee: Guarantee = "exactly-once"
    """
    "exactly-once" needs transactions; "at-least-once" is for brokers without them, such as the embedded one: after a
    crash some events come twice with the same id. A broker that cannot keep it makes the process refuse to start.
    """

    topics: Topics = Topics()
    """The topics' names; see the group."""

    ledger_format: int = Field(default=2, ge=1, le=2)
    """
    The format of the records that are written to the ledger; both are read. 1 while versions of the relay that read
    only 1 may still take partitions over, as in an upgrade from 0.1 or on the way back to it; 2 has smaller records.
    """

    first_start: Literal["earliest", "latest"] = "earliest"
    """
    Where to begin on a partition that no member of this group has ever read. "latest" skips what is already there, but
    not on partitions that the topic gets while we run.
    """

    commit_interval_s: float = Field(default=0.05, ge=0.0, le=5.0)
    """
    Seconds between two commits of a busy partition; an idle one commits at once. A transaction costs the broker 20
    ms or more for its markers, so a much smaller value gains nothing; a bigger one adds to the delay of everything.
    """

    commit_timeout_s: float = Field(default=12.0, gt=0.0)
    """Longest wait for a commit, in seconds; past it the outcome is unknown and the partition is restored. Must be
    shorter than `transaction_timeout_ms`."""

    commit_bytes: int = Field(default=2 * 1024 * 1024, ge=16 * 1024)
    """
    Most bytes that one commit writes, ledger and outgoing records together; a larger record is written alone. A Kafka
    that takes 1 MB/s from us needs two seconds for it. After a commit that failed, or took half of `commit_timeout_s`,
    a partition halves it for itself, and grows again after quick ones. Bigger gains nothing: 500 usual requests have
    about 1 MB. Much smaller makes more commits.
    """

    transaction_timeout_ms: int = Field(default=15_000, ge=1_000)
    """After a crash in mid-transaction, readers of the events wait this long at most (plus up to 10 s until the broker
    looks). Too small and a slow broker aborts healthy commits."""

    request_timeout_ms: int = Field(default=8_000, ge=500)
    """Wait for one reply of Kafka, except those to a member that joins. Shorter than `commit_timeout_s`, so that one
    lost reply is survived."""

    connect_timeout_ms: int = Field(default=3_000, ge=500)
    """
    Wait for a new connection, its login included, and for what any broker answers from memory: metadata, who
    coordinates. A broker that hangs takes connections and says nothing; each of these waits delays the search for its
    successor. Too small and a distant Kafka behind TLS is never reached. Never more than `request_timeout_ms` counts.
    """

    instance_id: Annotated[str | None, BeforeValidator(lambda name: name or None)] = Field(
        default=None, pattern=_TOPIC_NAME
    )
    """
    Name of this replica within its group, different for each and the same after a restart (Kafka's group.instance.id):
    then a replica that is back within its session takes its partitions up again, and no other is disturbed. Two
    processes with one id cannot both work: the earlier one ends with exit code 2. Unset, it is the pod's name in a
    StatefulSet of Kubernetes (POD_NAME, or the host's name), and none elsewhere; "" is none everywhere.
    """

    restart_hold_ms: int = Field(default=0, ge=0, le=1_800_000)
    """
    How long the group keeps the partitions of a replica with an `instance_id` that was asked to end, for its return.
    0 gives them to the others at once. More moves no partition in a restart, but they stand still until it is back;
    set 0 again before replicas are taken away. Kafka takes 1,800,000 at most (group.max.session.timeout.ms).
    """

    session_timeout_ms: int = Field(default=8_000, ge=1_000)
    """
    Without a heartbeat for so long a replica is given up and its partitions move. Also the longest silence of Kafka
    after which we still act outside. Smaller moves sooner after a crash and more often without reason, which costs a
    restore of the ledger each time; Kafka takes 6,000 at least (group.min.session.timeout.ms). The embedded broker
    holds every rebalance for half of it.
    """

    heartbeat_interval_ms: int = Field(default=1_000, ge=100)
    """Time between heartbeats, at most a third of `session_timeout_ms`; also how soon a rebalance is noticed."""

    stall_timeout_ms: int = Field(default=30_000, ge=0)
    """
    A thread sends the heartbeats while the event loop is late with them, for so long at most: then a loop that hangs
    loses its partitions. 0 leaves it to the loop, and a busy one loses them after `session_timeout_ms`.
    """

    rebalance_timeout_ms: int = Field(default=30_000, ge=1_000)
    """The time for which the group waits for a member to rejoin; a replica that is slower loses its partitions."""

    join_request_timeout_ms: int = Field(default=40_000, ge=1_000)
    """Wait for the reply to a member that joins the group; must exceed `rebalance_timeout_ms`, since it comes only when
    all have joined. A coordinator that is gone is left sooner."""

    max_poll_interval_ms: int = Field(default=300_000, ge=10_000)
    """A process that has not asked for records for so long leaves the group, although its event loop turns."""

    max_partition_fetch_bytes: int = Field(default=512 * 1024, ge=16 * 1024)
    """Most bytes per partition and fetch. Checked on the event loop where they are not compressed: bigger blocks it
    longer. What is compressed is unpacked in a thread, see `unpacked_bytes`."""

    unpacked_bytes: int = Field(default=32 * 1024 * 1024, ge=1024 * 1024)
    """
    Most bytes that one compressed batch may unpack to; a larger one is not read, and its partition waits for a person.
    32 times Kafka's own limit of a compressed batch, and 60 of the largest requests: senders fill batches by their
    compressed size, and JSON shrinks to a tenth or so. Bounds memory, for each partition in the worst case; batches are
    unpacked outside the event loop, which copies of this size hold up for some 20 ms.
    """

    skip_unreadable: tuple[Annotated[str, Field(pattern=_BATCH)], ...] = ()
    """
    Batches of requests that cannot be read and have been given up, as `<partition>@<first offset>` (the log event
    `partition_unreadable` names both). Each becomes one dead letter without content; any other stops its partition.
    """

    feed_records: int = Field(default=2_000, ge=1)
    """Records that may wait for a partition's handler before reading pauses. Bounds memory; too small starves it."""

    feed_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """Bytes of records that may wait for a partition's handler before reading pauses; of 2,000 of 8 kB each. What one
    fetch brings comes on top, see `unpacked_bytes`."""

    batch_bytes: int = Field(default=512 * 1024, ge=16 * 1024)
    """Most bytes of records sent to one partition at once; must not exceed any topic's max.message.bytes."""

    record_bytes: int = Field(default=1_000_000, ge=1_024)
    """Largest record to write where the broker does not tell a topic's own limit. Kafka's own default is 1,048,588."""

    restore_timeout_s: float = Field(default=60.0, gt=0.0)
    """A restore that makes no progress for so long is begun again; so is a partition that cannot read what its ledger
    remembers of a request."""

    revoke_drain_s: float = Field(default=5.0, ge=0.0)
    """Longest that a partition waits for another owner while this one finishes commits and calls, and longest that a
    rebalance is held up for it; also capped at a third of `rebalance_timeout_ms`."""

    shutdown_s: float = Field(default=20.0, gt=0.0)
    """Seconds for the whole shutdown. Handlers that have not finished 8 s before its end (for short times: after 60 %
    of it) are cancelled; the rest is for closing when Kafka does not answer. Keep it below the pod's grace period."""

    mirror_interval_s: float = Field(default=5.0, gt=0.0)
    """Seconds between two commits of the group's offsets, which only lag tools read; ours are in the ledger."""

    retry_first_s: float = Field(default=0.5, gt=0.0)
    """Wait before the second try of whatever failed; doubles up to `retry_most_s`."""

    retry_most_s: float = Field(default=30.0, gt=0.0)
    """Longest wait between two tries; after an outage all comes back within about this time."""

    accept_loss: bool = False
    """
    Go on where a ledger was deleted, cut or set back, where requests were deleted before they were read, or where the
    requests topic was deleted and created again: then from the new one's beginning. Without it
    such a partition stays put and says so, because jobs would be forgotten, or started twice, without a word. Set it
    for one start, after looking what MRS still runs (`mrs-relay orphans`); it is kept among the decisions (`mrs-relay
    audit`).
    """

    fenced_limit: int = Field(default=5, ge=2)
    """So many foreign owners in a row of a partition that is ours all the time make the process exit: two deployments
    share `app_id`."""

    partitions: int = Field(default=4, ge=1)
    """Partitions of topics that `topics create` makes. More allow more replicas; they cannot be lowered later."""

    replication_factor: int = Field(default=-1, ge=-1)
    """Replicas of topics that `topics create` makes; -1 is the broker's default. Production wants 3."""

    audit_days: float = Field(default=400, gt=0, le=36_500)
    """
    Days for which the topic of decisions keeps them: its retention.ms, for a topic that `topics create` makes. Other
    topics need not be kept so long.
    """

    max_compaction_lag_ms: int = Field(default=86_400_000, ge=0)
    """
    How long an overwritten record may stay in the ledger, and in `topics.latest`, before Kafka compacts it away: their
    max.compaction.lag.ms, for topics that `topics create` makes; one with a longer limit is warned about. A job's
    record holds its SQL and arguments until MRS has the job, and without a limit (Kafka's default) Kafka may keep the
    overwritten record for ever. A day costs one pass over the ledger a day; much less makes brokers copy the live
    records more often. At least 3,600,000 (an hour); 0 sets no limit and warns of none, for Kafka before 2.3.
    """

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rules = {
            "kafka.commit_timeout_s must be below kafka.transaction_timeout_ms": (
                self.commit_timeout_s * 1000 < self.transaction_timeout_ms
            ),
            "kafka.request_timeout_ms must be below kafka.commit_timeout_s": (
                self.request_timeout_ms < self.commit_timeout_s * 1000
            ),
            "kafka.heartbeat_interval_ms must be at most a third of kafka.session_timeout_ms": (
                3 * self.heartbeat_interval_ms <= self.session_timeout_ms
            ),
            "kafka.join_request_timeout_ms must exceed kafka.rebalance_timeout_ms": (
                self.join_request_timeout_ms > self.rebalance_timeout_ms
            ),
            "kafka.replication_factor must be -1 or at least 1": self.replication_factor != 0,
            "kafka.max_compaction_lag_ms must be 0 or at least 3,600,000": (
                self.max_compaction_lag_ms == 0 or self.max_compaction_lag_ms >= LEAST_COMPACTION_LAG_MS
            ),
            "kafka.topics must be different names": self._topics_differ(),
        }

        if broken := [rule for rule, kept in rules.items() if not kept]:
            raise ValueError("; ".join(broken))

        return self

    def _topics_differ(self) -> bool:
        topics = self.topics
        optional = [name for name in (topics.latest, topics.lineage, topics.results, topics.status) if name is not None]
        names = [topics.requests, topics.ledger, topics.events, topics.dead_letters, *optional]
        names += [topics.control, topics.audit]
        return len(set(names)) == len(names)

    @property
    def deployment(self) -> str:
        """The deployment's own name; "" under the default, which many may have."""
        return "" if self.app_id == ANY_APP_ID else self.app_id

    @property
    def longest_drain_s(self) -> float:
        """Longest that a partition which moves to another replica may take to finish what it holds."""
        return min(self.revoke_drain_s, self.rebalance_timeout_ms / 3000)

    @property
    def transactional(self) -> bool:
        """Whether commits are transactions."""
        return self.guarantee == "exactly-once"

    def transactional_id(self, partition: int) -> str:
        """Return the transactional.id of an input partition: one for all replicas, so a new owner fences the old."""
        return f"{self.app_id}.{self.group_id}.{self.topics.requests}.{partition}"
