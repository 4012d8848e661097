"""Write what callers send to Kafka: refuse it where the settings say so, and answer once Kafka has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.api import problems, settings
from mrs_relay.client import sending
from mrs_relay.kafka import records

_SEND_S: Final = 30.0

_log = structlog.get_logger(__name__)


def require_writable(chosen: settings.ApiSettings, what: str) -> None:
    """Refuse to send anything, such as a message, if the settings say so. Raises ProblemError."""
    if chosen.read_only:
        raise problems.ProblemError(403, "read-only", f"api.read_only is set: send the {what} to Kafka")


async def send(sender: sending.Sender, outgoing: records.Outgoing, what: str, again: str = "send it again") -> None:
    """
    Write a record and wait until Kafka has it.

    Args:
        sender: writes it.
        outgoing: the record.
        what: its name, for people.
        again: what the caller should do if that is not known.

    Raises:
        ProblemError: it may have been written or not; or Kafka does not allow it, which the log explains.
    """
    unknown = f"Kafka has not acknowledged the {what}, which may have been written: {again}"
    with answered(what, unknown):
        async with asyncio.timeout(_SEND_S):
            await sender.send(outgoing)


@contextlib.contextmanager
def answered(what: str, unknown: str) -> Iterator[None]:
    """
    Turn a failure to write into the answer to the caller.

    Args:
        what: the name of what is written, for people.
        unknown: the answer, unless Kafka does not allow the writing: that stands in the log, with the right.

    Raises:
        ProblemError: it is perhaps not written.
    """
    try:
        yield
    except errors.NotAllowed as error:
        _log.warning("write_not_allowed", what=what, error=str(error))
        text = f"Kafka does not allow this service to write the {what}; its log names the right"
        raise problems.unavailable(text) from None
    except (errors.StreamError, TimeoutError):
        raise problems.unavailable(unknown) from None
