"""Messages in each form of CloudEvents, and readers of them for tests."""

from __future__ import annotations

import pytest
from tests.unit.messages import samples

from mrs_relay import errors
from mrs_relay.messages import envelope

STRUCTURED = (("content-type", b"application/cloudevents+json; charset=utf-8"),)

BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"order-1"),
    ("ce_source", b"/billing"),
    ("ce_type", b"mrs.job.submit"),
    ("content-type", b"application/json"),
)


def read(value: object, headers: tuple[tuple[str, bytes | None], ...] = ()) -> envelope.Envelope:
    return envelope.read(samples.TOPIC, value if isinstance(value, bytes | None) else samples.raw(value), headers)


def refusal(value: object, headers: tuple[tuple[str, bytes | None], ...] = ()) -> errors.BadMessage:
    with pytest.raises(errors.BadMessage) as caught:
        read(value, headers)
    return caught.value
