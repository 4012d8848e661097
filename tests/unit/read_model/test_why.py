"""What holds a request is told in order, from the status of the relays: one test for each cause."""

from __future__ import annotations

from typing import Any, Final

import pytest

from mrs_relay.kafka import records
from mrs_relay.messages import controls, status
from mrs_relay.read_model import holds, status_board, why

NOW_MS: Final = 1_800_000_000_000
_ME: Final = status.Ref("/s", "r-1")
_OPERATION: Final = "CreateExecuteJob"


def board(*contents: status.Content, at_ms: int = NOW_MS - 1000, replica: str = "relay-1") -> status_board.StatusBoard:
    """Return a board on which one relay has published these."""
    made = status_board.StatusBoard()
    for content in contents:
        put(made, content, at_ms=at_ms, replica=replica)
    return made


def put(made: status_board.StatusBoard, content: status.Content, *, at_ms: int, replica: str = "relay-1") -> None:
    """Publish one more."""
    match content:
        case status.Replica():
            key = status.replica_key(replica)
        case status.Partition():
            key = status.partition_key(content.topic, content.partition)
        case status.Cluster():
            key = status.cluster_key(replica, content.connection, content.cluster)
    value = status.encode(status.encode_content(content), at_ms=at_ms, replica=replica, epoch_ms=1)
    made.apply(records.Record("mrs.status", 0, 0, at_ms, key.encode(), value, ()))


def replica(**connection: Any) -> status.Replica:
    """Return a relay with two partitions of one topic."""
    tenant = status.Tenant(
        topic="in", connection="mrs", partitions=[0, 1], total=2, running=3, most_running=3, most_per_minute=7
    )
    return status.Replica(version="1", tenants=[tenant], connections=[status.Connection(name="mrs", **connection)])


def cluster(*causes: status.Cause, before: int = 0, named: bool = True, **changes: Any) -> status.Cluster:
    """Return a cluster with a queue in which the request stands behind some others."""
    line = [status.InLine("/s", f"o-{number}", 5, NOW_MS) for number in range(before)]
    line += [status.InLine(_ME.source, _ME.id, 4, NOW_MS - 5000)] if named else []
    queue = status.Queue(operation=_OPERATION, waiting=before + 10, causes=list(causes), line=line)
    return status.Cluster(connection="mrs", cluster="c-1", queues=[queue], **changes)


def asked(**changes: Any) -> holds.Asked:
    """Return the request, accepted a minute ago."""
    given = {"tenant": "", "source": "/s", "id": "r-1", "state": "accepted", "updated_ms": NOW_MS - 60_000}
    return holds.Asked(**{**given, "cluster": "c-1", **changes})


def explained(on: status_board.StatusBoard, **changes: Any) -> list[holds.Hold]:
    """Return what holds it."""
    return why.explain(asked(**changes), holds.Known(on), NOW_MS)


@pytest.mark.parametrize(
    ("cause", "changes", "connection", "expected"),
    [
        ("mrs_paused", {}, {"paused_until_ms": NOW_MS + 9000, "paused_for": "throttled"}, "throttles (429)"),
        ("mrs_paused", {}, {"paused_until_ms": NOW_MS + 9000, "paused_for": "unreachable"}, "cannot be reached"),
        (
            "cluster_paused",
            {"pauses": [status.Pause(operation=_OPERATION, state="refusing", code="12000062", text="its state")]},
            {},
            "circuit open: cluster c-1 takes no jobs in its state, says MRS (CreateExecuteJob), last answer 12000062",
        ),
        ("cluster_paused", {}, {}, "left alone"),
        ("slots_taken", {"slots_used": 10, "slots_limit": 10}, {}, "10 of 10 slots taken"),
        ("cluster_probed", {}, {}, "one request at a time"),
        ("limit_running", {}, {}, "limits.running, 3 of 3"),
        ("limit_per_minute", {}, {}, "limits.per_minute, 7"),
        ("in_flight", {}, {"in_flight": 64}, "64 now"),
        (
            "quota",
            {},
            {"budgets": [status.Budget(operation=_OPERATION, per_minute=60, granted=30, used=30)]},
            "30 of 30 calls used, of 60 for all relays",
        ),
        ("turn", {}, {}, "others have their turn first"),
        ("something_new", {}, {}, "it waits for something_new"),
    ],
)
def test_each_cause_of_a_queue_has_its_numbers(
    cause: str, changes: dict[str, Any], connection: dict[str, Any], expected: str
) -> None:
    """What the scheduler names becomes a sentence, with the moment that it knows."""
    held = explained(board(replica(**connection), cluster(status.Cause(cause, NOW_MS + 4000), **changes)))
    assert [(one.code, one.earliest_ms, one.replica) for one in held] == [(cause, NOW_MS + 4000, "relay-1")]
    assert expected in held[0].text
    assert held[0].clears


def test_slots_name_the_jobs_that_hold_them() -> None:
    """As far as the relay names them."""
    held = explained(board(cluster(status.Cause("slots_taken"), slots_used=1, slots_limit=1, holders=[_ME])))
    assert held[0].jobs == (_ME,)


def test_causes_come_in_order_and_the_place_in_line_is_last() -> None:
    """The first one has to end first; the requests before it are named."""
    held = explained(board(replica(), cluster(status.Cause("mrs_paused"), status.Cause("slots_taken"), before=2)))
    assert [one.code for one in held] == ["mrs_paused", "slots_taken", "in_line"]
    assert "2 requests go before it, of 12 that wait in its queue; its priority is 4" in held[2].text
    assert [one.id for one in held[2].jobs] == ["o-0", "o-1"]


def test_a_place_in_line_is_later_than_what_the_quota_allows() -> None:
    """25 go before it, 20 of them at once; 5 more take a quarter of a minute at 20 a minute."""
    budget = status.Budget(operation=_OPERATION, per_minute=60, granted=20, used=0)
    held = explained(board(replica(budgets=[budget]), cluster(status.Cause("turn"), before=25)))
    assert [one.code for one in held] == ["in_line"]
    assert held[0].earliest_ms == NOW_MS + 15_000


def test_a_request_behind_those_that_are_named_says_so() -> None:
    """A queue names its first ones only."""
    held = explained(board(cluster(status.Cause("slots_taken"), before=20, named=False)))
    assert [one.code for one in held] == ["slots_taken", "in_line"]
    assert held[1].text == (
        "perhaps, as it is not among the first 20 of the 30 that wait in its queue: else it is being submitted"
    )


def test_a_request_that_waits_elsewhere_is_told_to_be_in_no_queue() -> None:
    """What a control holds, or what waits for its moment, has no entry there; a queue that names it is believed."""
    queue = cluster(status.Cause("slots_taken"), before=20, named=False)
    waiting = status.Waiting(1, [status.Timed("/s", "r-1", NOW_MS + 7000)])
    there = status.Partition(topic="in", partition=0, state="running", not_before=waiting)
    assert [one.code for one in explained(board(replica(), there, queue))] == ["not_before"]
    assert [one.code for one in explained(board(replica(), queue), not_before_ms=NOW_MS + 7000)] == ["not_before"]

    known = holds.Known(board(replica(), queue), (), [_control("all")])
    assert [one.code for one in why.explain(asked(), known, NOW_MS)] == ["control"]


def test_a_moment_that_has_passed_is_not_told() -> None:
    """The relay looks once a second, and the answer may be later."""
    assert explained(board(cluster(status.Cause("quota", NOW_MS - 1))))[0].earliest_ms == 0


@pytest.mark.parametrize(
    ("name", "code"), [("not_before", "not_before"), ("choosing", "cluster_choice"), ("in_doubt", "in_doubt")]
)
def test_waits_of_its_own_are_told_with_their_moment(name: str, code: str) -> None:
    """By the partition that has the request; where it names only some, they are possible."""
    waiting: Any = status.Waiting(30, [status.Timed("/s", "r-1", NOW_MS + 7000)])
    there = status.Partition(topic="in", partition=0, state="running", **{name: waiting})
    held = explained(board(replica(), there))
    assert [(one.code, one.earliest_ms) for one in held] == [(code, NOW_MS + 7000)]
    perhaps = explained(board(replica(), there), id="r-2")
    assert [one.code for one in perhaps] == [code]
    assert perhaps[0].text.startswith("perhaps, as of 30 requests of in-0 that wait for it not all are named")


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"state": "restoring", "restored": 0.42}, "partition_restoring", "is being restored, 42% of its ledger read"),
        ({"state": "unreadable", "next_offset": 7, "error": "bad"}, "partition_not_served", "at offset 7: bad"),
        ({"state": "parked"}, "partition_not_served", "is parked"),
    ],
)
def test_a_partition_that_does_not_work_is_named(changes: dict[str, Any], code: str, text: str) -> None:
    """Where the key of the request belongs, or each one if it has none."""
    made = board(replica(), status.Partition(topic="in", partition=1, **changes))
    put(made, status.Partition(topic="in", partition=0, state="running"), at_ms=NOW_MS)
    (held,) = explained(made)
    assert held.code == code
    assert text in held.text
    assert "if it is there" in held.text
    assert [one.code for one in explained(made, kafka_key=b"k-0")] == [code]
    assert [one.code for one in explained(made, kafka_key=b"k-1")] == ["not_seen"]


def test_what_a_silent_relay_has_said_is_stale_and_its_partitions_come_first() -> None:
    """It may no longer be true, and a new owner is what is missing."""
    there = status.Partition(topic="in", partition=0, state="running")
    held = explained(board(replica(), there, cluster(status.Cause("slots_taken")), at_ms=NOW_MS - 31_000))
    assert [(one.code, one.stale) for one in held] == [("partition_not_served", True), ("slots_taken", True)]


def test_of_two_relays_that_name_it_the_living_one_counts() -> None:
    """The other one had its partition before."""
    made = board(replica(), cluster(status.Cause("quota")), at_ms=NOW_MS - 60_000)
    put(made, replica(), at_ms=NOW_MS, replica="relay-2")
    put(made, cluster(status.Cause("slots_taken")), at_ms=NOW_MS, replica="relay-2")
    assert [(one.code, one.replica, one.stale) for one in explained(made)] == [("slots_taken", "relay-2", False)]


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"state": "submitted", "job_id": "j-1"}, "on_mrs", "MRS has it as job j-1 since"),
        ({"state": "running", "progress": 40.0}, "on_mrs", "MRS runs it, 40 % done"),
        ({"state": "failed", "ended": True, "reason": "job_result: no"}, "ended", "it has ended: failed at"),
        ({"state": "unknown", "ended": True}, "unknown", "how it ended is unknown since"),
        ({}, "not_seen", "no relay reports it as waiting: it is accepted since"),
    ],
)
def test_a_request_that_does_not_wait_says_what_it_does(changes: dict[str, Any], code: str, text: str) -> None:
    """On MRS, at its end, or on its way."""
    (held,) = explained(board(replica()), **changes)
    assert held.code == code
    assert text in held.text


def test_a_request_with_a_slot_is_being_submitted() -> None:
    """It waits in no queue any more."""
    held = explained(board(replica(), cluster(status.Cause("slots_taken"), before=20, named=False, holders=[_ME])))
    assert [one.code for one in held] == ["submitting"]


def test_other_tenants_and_clusters_do_not_matter() -> None:
    """The same source and id may be used by two tenants."""
    made = board(replica(), cluster(status.Cause("slots_taken")))
    assert [one.code for one in explained(made, tenant="other")] == ["not_seen"]
    assert [one.code for one in explained(made, cluster="c-2")] == ["not_seen"]


def _control(scope: str, mode: controls.Mode = "hold", until_ms: int = 0) -> controls.Control:
    return controls.Control(
        scope=controls.scope(scope), mode=mode, reason="maintenance", by="ann", at_ms=1, until_ms=until_ms
    )


def test_problems_of_the_answer_and_controls_come_first() -> None:
    """An answer that is behind says so; what people have ordered holds before anything else."""
    known = holds.Known(board(cluster(status.Cause("quota"))), ["5000 records behind"], [_control("cluster/c-1")])
    assert [one.code for one in why.explain(asked(), known, NOW_MS)] == ["answer_behind", "control", "quota"]
    assert [one.code for one in why.explain(asked(ended=True), known, NOW_MS)] == ["answer_behind", "ended"]


def test_controls_that_concern_the_request_are_named_the_widest_first() -> None:
    """By whom, why, until when, and how each is lifted; a request that is held is in no queue."""
    present = [
        _control("label/team=a"),
        _control("all", "drain", NOW_MS + 5000),
        _control("tenant/other"),
        _control("type/sql"),
        _control("request/r-1", until_ms=NOW_MS - 1),
    ]
    request = asked(kind="job", labels={"team": "a"})
    held = why.explain(request, holds.Known(board(replica()), (), present), NOW_MS)
    assert [(one.code, one.earliest_ms) for one in held] == [("control", NOW_MS + 5000), ("control", 0)]
    assert held[1].text == "hold of label/team=a by ann: maintenance"
    assert "`mrs-relay release label/team=a`" in held[1].clears
