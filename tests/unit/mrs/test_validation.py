"""What a call sends is what it was given: numbers keep their value; what cannot be written is refused before."""

from __future__ import annotations

import decimal
import json
from typing import Any

import pytest

from mrs_relay import errors
from mrs_relay.messages import examples
from mrs_relay.mrs import validation
from mrs_relay.mrs.operations import clusters, sources


def _sent(value: object) -> str:
    """Return how a value inside a body's free part is written."""
    body: dict[str, Any] = {**examples.DATA["mrs.cluster.create"]["body"], "component_configs": [{"any": value}]}
    sent = validation.body_bytes(clusters.CREATE_CLUSTER, body)
    assert json.loads(sent)["manager_admin_password"] == body["manager_admin_password"]
    return sent.decode().partition('"any":')[2].removesuffix("}]}")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (3600, "3600"),
        (10**25, "10000000000000000000000000"),
        (0.1, "0.1"),
        (None, "null"),
        (decimal.Decimal("3.14159265358979323846"), "3.14159265358979323846"),
        ([{"a": decimal.Decimal("1E-400")}], '[{"a":1E-400}]'),
    ],
)
def test_numbers_are_sent_with_their_value(value: object, written: str) -> None:
    """A number with more digits than a float holds is sent as a number, with all of them."""
    assert _sent(value) == written


def _nested(depth: int) -> Any:
    value: Any = "hunter2"
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("depth", [300, 5000])
def test_body_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    """Pydantic gives up from a few hundred levels on; which of its errors that is makes no difference."""
    body = {"cluster_name": "x", "component_configs": [{"a": _nested(depth)}]}
    with pytest.raises(errors.MrsRefused, match="was not sent") as caught:
        validation.body_bytes(clusters.CREATE_CLUSTER, body)
    assert "hunter2" not in str(caught.value)


def test_text_that_is_no_unicode_is_refused() -> None:
    """A lone surrogate has no bytes."""
    with pytest.raises(errors.MrsRefused, match="was not sent"):
        validation.body_bytes(sources.CREATE_DATA_SOURCE, {"data_source": {"source_name": "\ud800"}})
