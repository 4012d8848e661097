"""Parse one message for a test, and expect a request or a fault."""

from __future__ import annotations

import pytest
from tests.unit.messages import samples

from mrs_relay import errors
from mrs_relay.messages import envelope, reasons, requests


def parse(data: object, kind: str = "mrs.job.submit", **changes: object) -> requests.Request:
    return requests.parse(envelope.read(samples.TOPIC, samples.raw(samples.message(data, kind, **changes)), ()))


def fault(data: object, kind: str = "mrs.job.submit", **changes: object) -> errors.BadMessage:
    with pytest.raises(errors.BadMessage) as caught:
        parse(data, kind, **changes)
    assert caught.value.code in reasons.CODES
    return caught.value


JOB = {"job_type": "SparkSubmit"}
