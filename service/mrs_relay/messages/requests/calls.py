"""One call of any operation of the MRS API."""

from __future__ import annotations

import decimal
from typing import Annotated, Any

import pydantic

from mrs_relay.messages import operations
from mrs_relay.messages.requests import base


def _text_of_long(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges the outcome
    return str(number) if isinstance(number, decimal.Decimal) else number


class Call(base.Queued):
    """
    Call any one operation of the MRS API.

    Answered by `mrs.call.succeeded` with MRS's reply, or `mrs.call.failed` with MRS's reason. After a lost reply an
    operation that may be repeated is sent again, a few times; any other ends in `unknown`. Nothing is tracked: for work
    that continues after the reply use the type made for it; a tenant with limits of what runs must. Passwords in a body
    stand in the requests topic, as you sent them.
    """

    operation: Annotated[
        operations.Name, pydantic.Field(description="The API's name for it; docs/operations.md has them all.")
    ]
    path: Annotated[
        dict[str, str], pydantic.Field(max_length=8, description="Its path values, without project_id.")
    ] = pydantic.Field(default_factory=dict)
    query: Annotated[
        dict[str, Annotated[str | int | float | bool | list[str], pydantic.BeforeValidator(_text_of_long)]],
        pydantic.Field(max_length=64, description="Its query, by the API's names."),
    ] = pydantic.Field(default_factory=dict)
    body: Annotated[dict[str, Any] | None, pydantic.Field(description="Its body, by the API's names.")] = None
