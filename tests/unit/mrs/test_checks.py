"""A call that cannot be written is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from mrs_relay import errors
from mrs_relay.mrs import checks
from mrs_relay.mrs.operations import clusters, sources


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
        checks.body_bytes(clusters.CREATE_CLUSTER, body)
    assert "hunter2" not in str(caught.value)


def test_text_that_is_no_unicode_is_refused() -> None:
    """A lone surrogate has no bytes."""
    with pytest.raises(errors.MrsRefused, match="was not sent"):
        checks.body_bytes(sources.CREATE_DATA_SOURCE, {"data_source": {"source_name": "\ud800"}})
