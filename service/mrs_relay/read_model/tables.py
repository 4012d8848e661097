"""
The tables of the read model. Their names begin with `mrs_relay_`, so they may share a PostgreSQL schema with others.

A log is one partition of one topic, as long as the topic exists: a topic that is deleted and created again has other
logs. The offsets of the logs are written in the transaction of the rows that they stand for.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

VERSION: Final = 4
"""Version of these tables. A database of another version is emptied and built again from the topics."""

METADATA: Final = sa.MetaData()

VERSIONS: Final = sa.Table(
    "mrs_relay_version", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False)
)

WRITER: Final = sa.Table(
    "mrs_relay_writer",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
)
"""
One row: the process that writes at present, until when it need not be asked, and whether it has once written all that
the topics held.
"""

LOGS: Final = sa.Table(
    "mrs_relay_logs",
    METADATA,
    sa.Column("log", sa.Integer, primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("topic_id", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("next", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("current", sa.Boolean, nullable=False),
    sa.UniqueConstraint("topic", "topic_id", "partition"),
)
"""
`first`: from this offset on no event is missing. `next`: offset of the first record that has not been read. `epoch`
counts how often the log was read again from the beginning. `current`: the topic is still the one that it was read from.
"""

REQUESTS: Final = sa.Table(
    "mrs_relay_requests",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("key", sa.LargeBinary(16), nullable=False, unique=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("cluster", sa.Text),
    sa.Column("labels", sa.Text),
    sa.Column("reason_class", sa.Text),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason_message", sa.Text),
    sa.Column("job_id", sa.Text),
    sa.Column("job_name", sa.Text),
    sa.Column("app_id", sa.Text),
    sa.Column("progress", sa.Float),
    sa.Column("tracking_url", sa.Text),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("kafka_key", sa.LargeBinary, nullable=False),
    sa.Column("log", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
)
"""
The present state of each request; `number` is this database's own, `log` and `offset` name the event that brought it,
`words` is searched, a line each, and messages about the request are sent with its `kafka_key`.
"""

WORDS: Final = sa.table("mrs_relay_words", sa.column("rowid", sa.Integer), sa.column("words", sa.Text))
"""SQLite's index of the words, a virtual table; see `text_index`."""

WORDS_INDEX: Final = "mrs_relay_requests_words"
"""PostgreSQL's."""

LABELS: Final = sa.Table(
    "mrs_relay_labels",
    METADATA,
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("started_ms", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Index("mrs_relay_labels_of", "key"),
    sqlite_with_rowid=False,
)
"""`name=value` of each label of each request."""

EVENTS: Final = sa.Table(
    "mrs_relay_events",
    METADATA,
    sa.Column("log", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary(16), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Index("mrs_relay_events_of", "key", "sequence", "time_ms", unique=True),
)
"""
Each event as CloudEvents JSON, once: copies have the same request, sequence and time. The time belongs to it because a
request whose id was forgotten may be sent again and counts from 1 again.
"""

DEAD_LETTERS: Final = sa.Table(
    "mrs_relay_dead_letters",
    METADATA,
    sa.Column("log", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
    sa.Column("sent_ms", sa.BigInteger, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
)
"""What is known about each dead letter; its bytes are the sender's own data and stay in Kafka."""

SENT: Final = sa.Table(
    "mrs_relay_sent",
    METADATA,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("sent_ms", sa.BigInteger, nullable=False),
    sa.Index("mrs_relay_sent_at", "sent_ms"),
)
"""Digests of the payloads that were sent over HTTP."""

CONTROLS: Final = sa.Table(
    "mrs_relay_controls",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)
"""The control of each scope; `until_ms` is 0 for one that does not end by itself. Written again at each start."""

DECISIONS: Final = sa.Table(
    "mrs_relay_decisions",
    METADATA,
    sa.Column("log", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("offset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("tenant", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("by", sa.Text),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Index("mrs_relay_decisions_time", "time_ms", "log", "offset"),
)
"""Each record of the audit as CloudEvents JSON. People decide seldom, so one index serves all filters."""

FILTERED: Final = ("tenant", "state", "kind", "cluster", "reason_class")
"""Columns of requests with an index of their own: what is in it comes newest first."""

for _name in FILTERED:
    sa.Index(f"mrs_relay_requests_{_name}", REQUESTS.c[_name], REQUESTS.c.started_ms, REQUESTS.c.key)
sa.Index("mrs_relay_requests_started", REQUESTS.c.started_ms, REQUESTS.c.key)
sa.Index("mrs_relay_requests_id", REQUESTS.c.id)
HAS_ENDED: Final = REQUESTS.c.ended.is_(True)
IS_UNDER_WAY: Final = REQUESTS.c.ended.is_(False)
"""Conditions with an index of their own, which SQLite uses only for queries that write them in the same way."""

sa.Index(
    "mrs_relay_requests_ended",
    REQUESTS.c.updated_ms,
    REQUESTS.c.state,
    REQUESTS.c.ended,
    sqlite_where=HAS_ENDED,
    postgresql_where=HAS_ENDED,
)
sa.Index(
    "mrs_relay_requests_under_way",
    REQUESTS.c.state,
    REQUESTS.c.tenant,
    REQUESTS.c.cluster,
    REQUESTS.c.started_ms,
    REQUESTS.c.ended,
    sqlite_where=IS_UNDER_WAY,
    postgresql_where=IS_UNDER_WAY,
)
sa.Index("mrs_relay_dead_letters_written", DEAD_LETTERS.c.written_ms, DEAD_LETTERS.c.log, DEAD_LETTERS.c.offset)
