"""The names that `mrs.call` takes."""

from __future__ import annotations

import typing

from mrs_relay.messages import operations
from mrs_relay.mrs.operations import registry


def test_every_operation_of_the_client_has_its_name_here() -> None:
    """The list stands apart, because messages know nothing of the client; both must be the same."""
    assert set(typing.get_args(operations.Name)) == set(registry.OPERATIONS)
