"""Messages about another request: cancel it, or settle it by hand."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from mrs_relay.messages import envelope
from mrs_relay.messages.requests import base


class Target(base.Model):
    """The request that a message speaks of."""

    id: Annotated[str, pydantic.Field(min_length=1, max_length=envelope.MAX_ID, description="Its id.")]
    source: Annotated[
        str | None,
        pydantic.Field(
            min_length=1, max_length=envelope.MAX_ID, description="Its source; that of this message if missing."
        ),
    ] = None

    @pydantic.field_validator("id", "source")
    @classmethod
    def _is_text(cls, name: str | None, field: pydantic.ValidationInfo) -> str | None:
        if name is not None and (not envelope.is_text(name) or (field.field_name == "source" and " " in name)):
            raise ValueError("must be text without control characters, a source without spaces, as every request's are")
        return name


class JobCancel(base.Model):
    """
    Stop a request, whatever its state, also before it came.

    Send it with the Kafka key of the request. Answered by the request's own events: `cancelled` once MRS confirms, the
    job's own verdict if that came first, `unknown` if a reply was lost and the outcome cannot be known, or `rejected`
    under this message's id if no such request comes in time.
    """

    request: Annotated[Target, pydantic.Field(description="Which request.")]
    note: Annotated[str, pydantic.Field(max_length=500, description="Why; comes back in the reason.")] = ""


class JobResolve(base.Model):
    """
    Settle a request that is `unknown`, by hand.

    Send it with the Kafka key of the request, after a look at MRS. Answered by the request's own last event.
    """

    request: Annotated[Target, pydantic.Field(description="Which request.")]
    verdict: Annotated[
        Literal["succeeded", "failed", "cancelled"], pydantic.Field(description="How the request ended.")
    ]
    note: Annotated[str, pydantic.Field(min_length=1, max_length=500, description="Who says so and why.")]
