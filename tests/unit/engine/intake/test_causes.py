"""Requests that are to be repeated after causes, and the settings of logs."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.intake import causes, policy
from mrs_relay.engine.model import decisions, jobs

WITH_LOGS = policy.Policy(causes=policy.Causes(path="obs://lake/logs"))


@pytest.mark.parametrize("on", [("preempted",), ("job_failed", "disk")])
def test_retry_after_a_cause_needs_logs(on: tuple[str, ...]) -> None:
    """The reason names the field; a class of reasons needs none, and a statement leaves no log anywhere."""
    job = samples.request(retry=jobs.Retry(2, 1.0, on))
    reason = causes.rejection(job, policy.Policy())
    assert reason is not None
    assert (reason.kind, reason.code, reason.field) == ("not_allowed", "logs_not_read", "data.retry.on")
    assert causes.rejection(job, WITH_LOGS) is None
    assert causes.rejection(samples.request(retry=jobs.Retry(2, 1.0, ("job_failed",))), policy.Policy()) is None
    assert causes.rejection(samples.request(), policy.Policy()) is None
    assert causes.rejection(samples.request(samples.READ, retry=jobs.Retry(2, 1.0, on)), policy.Policy()) is None


def test_tenant_differs_from_all_where_it_says_so() -> None:
    """What it leaves out is as for all tenants."""
    shared = policy.Causes(path="obs://lake/logs", within_s=10, detail="none")
    own = policy.Causes(detail="full", max_detail=500).over(shared)
    assert own.rules == decisions.LogRules("obs://lake/logs/", within_ms=10_000, shows="full", max_detail=500)
    assert policy.Causes(detail="full").rules is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"path": "s3://lake/logs"}, "no path of OBS"),
        ({"path": "obs://lake/../logs"}, "step"),
        ({"files": ["{cluster}/stderr"]}, "all jobs would have one log"),
        ({"files": ["{job}/{user}"]}, "only places"),
        ({"files": ["../{job}/stderr"]}, "step"),
        ({"files": ["/{job}/stderr"]}, "step"),
        ({"files": []}, "at least 1"),
        ({"within_s": 0}, "greater than or equal to 1"),
        ({"within_s": 301}, "less than or equal to 300"),
        ({"max_detail": 5000}, "less than or equal to 4000"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], text: str) -> None:
    """Each with what is expected."""
    with pytest.raises(pydantic.ValidationError, match=text):
        policy.Causes.model_validate(given)
