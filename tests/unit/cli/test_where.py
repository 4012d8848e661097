"""The filter of bulk commands: what it takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine import samples

from mrs_relay.cli import where
from mrs_relay.engine.model import jobs

_S = jobs.State
_NOW_MS = samples.NOW_MS
_SEEN = jobs.MrsStatus("j-77", app_id="application_9_1")


def _job(state: jobs.State = _S.QUEUED, **changes: Any) -> jobs.Job:
    given = {"id": "nightly-7", "source": "/billing", "cluster": "c-1", "labels": {"team": "etl", "day": "a b"}}
    return samples.request(**{**given, "arrived_ms": _NOW_MS - 3_600_000, "state": state, **changes})


@pytest.mark.parametrize(
    ("text", "job", "takes"),
    [
        ("state=queued", _job(), True),
        ("state=accepted", _job(), True),  # as its last event says
        ("state=submitted", _job(), False),
        ("state=in_doubt", _job(_S.IN_DOUBT), True),
        ("state=doubtful", _job(_S.IN_DOUBT), True),
        ("state=in_doubt", _job(_S.UNKNOWN), False),
        ("state=retrying", _job(shown="retrying"), True),
        ("state=running", _job(_S.RUNNING, shown="progress"), True),
        ("type=job", _job(), True),
        ("type=sql", _job(), False),
        ("cluster=c-1 label.team=etl", _job(), True),
        ("cluster=c-1 label.team=ads", _job(), False),
        ("label=team=etl label.day='a b'", _job(), True),
        ("label.team=etl", _job(labels=None), False),
        ("reason=refused code=0167", _job(_S.FAILED, reason=samples.REFUSAL), True),
        ("reason=job_failed", _job(_S.FAILED, reason=samples.REFUSAL), False),
        ("id=nightly-7 source=/billing", _job(), True),
        ("id=nightly", _job(), False),
        ("text=NIGHT", _job(), True),
        ("text=application_9", _job(_S.RUNNING, seen=_SEEN), True),
        ("text=nothing", _job(), False),
        ("older=30m newer=2h", _job(), True),
        ("older=2h", _job(), False),
        ("newer=30m", _job(), False),
        ("since=2026-11-23T00:00:00Z until=2027-01-01T00:00:00+08:00", _job(), True),
        ("until=2026-11-20T00:00:00Z", _job(), False),
        ("text=r", samples.pending_cancel(), False),  # no request yet
    ],
)
def test_all_conditions_must_hold(text: str, job: jobs.Job, *, takes: bool) -> None:
    """A request is taken if every condition is true of it; states by the ledger's names and by those of events."""
    assert where.read(text, _NOW_MS).takes(job) is takes


def test_the_tenant_is_apart() -> None:
    """It says which ledger is read."""
    assert where.read("tenant=a state=queued", _NOW_MS).tenant == "a"
    assert where.read("state=queued", _NOW_MS).tenant is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one condition"),
        ("queued", "expected NAME=VALUE"),
        ("state=", "expected NAME=VALUE"),
        ("state=asleep", "in_doubt"),
        ("type=dance", "expected job, sql"),
        ("reason=boredom", "job_failed"),
        ("colour=red", "no name of a condition: expected tenant, state"),
        ("state=queued state=running", "given twice"),
        ("label.=x", "expected label.NAME=VALUE"),
        ("label=x", "expected label.NAME=VALUE"),
        ("older=soon", "expected a duration"),
        ("since=2h", "expected a time"),
        ("text='open", "quote a value"),
    ],
)
def test_what_is_no_filter_says_what_was_expected(text: str, said: str) -> None:
    """A filter that is misread would concern other requests than were meant."""
    with pytest.raises(where.BadFilter, match=said):
        where.read(text, _NOW_MS)
