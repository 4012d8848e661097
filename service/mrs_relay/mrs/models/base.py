"""The two parents of every model: what we ask (strict about itself) and what MRS answers (forgiving)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pydantic

from mrs_relay.common import described

Word = Annotated[str, pydantic.StringConstraints(strip_whitespace=True, to_upper=True)]
"""A state or outcome. English pages print 'New' where all others print 'NEW', so it is read in upper case."""


def empty_for_null(value: object) -> object:
    """Return the empty text in place of null; any other value as it is."""
    return "" if value is None else value


Text = Annotated[str, pydantic.BeforeValidator(empty_for_null)]
"""Text that may be null in a reply and is "" then."""

Trimmed = Annotated[str, pydantic.StringConstraints(strip_whitespace=True)]
"""Text that the samples of 2021 print with a leading space."""


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A failure reported by a reply whose HTTP status says success.

    Attributes:
        message: what MRS said, or what is missing.
        code: the MRS error code, or None.
        certain: False when the reply cannot be understood, so that the outcome stays open.
    """

    message: str
    code: str | None = None
    certain: bool = True


class Asked(described.Described):
    """
    A request body or query. Fields are named as in Python or as in the API; unknown ones are refused.

    Errors name the field and the limit and never show the value, which may hold a password.
    """

    model_config = pydantic.ConfigDict(
        frozen=True,
        defer_build=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        hide_input_in_errors=True,
    )


class Part(described.Described):
    """
    A piece of a reply. Fields that this model does not know are kept; numbers may arrive as text.

    Source: v2 reference, conventions: pages of 2021 print numbers as JSON strings, later ones as numbers.
    """

    model_config = pydantic.ConfigDict(
        frozen=True,
        defer_build=True,
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        hide_input_in_errors=True,
    )


class Reply(Part):
    """The whole body of a successful reply."""

    # A slot costs nothing while a reply is read; a private attribute of pydantic's doubles the time.
    __slots__ = ("_request_id",)

    @property
    def request_id(self) -> str | None:
        """X-Request-Id of the reply, which MRS support asks for; None when the reply had none."""
        return getattr(self, "_request_id", None)

    def keep_request_id(self, request_id: str | None) -> None:
        """Remember the X-Request-Id; for the client, once, before any other code reads the reply."""
        object.__setattr__(self, "_request_id", request_id)

    def failure(self) -> Failure | None:
        """
        Return the failure that this reply reports in spite of its HTTP status; None in the normal case.

        Source: CreateExecuteJob, pages of 2021 and OTC: error_code and error_msg may stand in the body of a 200.
        """
        extra = self.model_extra
        if not extra:
            return None
        code = extra.get("error_code") or extra.get("errorCode")
        if not code:
            return None
        message = extra.get("error_msg") or extra.get("errorMsg") or extra.get("message") or ""
        return Failure(message=str(message), code=str(code))


class Empty(Reply):
    """
    A reply without content.

    Source: StopJob, BatchDeleteJobs: the body is empty; a how-to page shows {"result": "succeeded"} instead.
    """
