"""MRS's view of a job as the engine keeps it."""

from __future__ import annotations

import pytest

from mrs_relay.engine.work import observations
from mrs_relay.mrs.models import jobs as models


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://203.0.113.10:9022/mrsmanager/example?x=1#log", True),
        ("http://node-1:8088", True),
        ("javascript:alert(1)", False),
        ("https://user:secret@203.0.113.10/x", False),
        ("https://203.0.113.10/a b", False),
        ("https://203.0.113.10/" + "x" * 2048, False),
        ("//203.0.113.10/x", False),
        ("", False),
    ],
)
def test_address_of_a_jobs_page_is_one_that_people_may_open(given: str, kept: bool) -> None:
    """Any other is left out, rather than passed on to those who click on it."""
    detail = models.JobDetail.model_validate({"job_id": "j-1", "job_state": "RUNNING", "tracking_url": given})
    assert observations.of_job(detail).tracking_url == (given if kept else "")
