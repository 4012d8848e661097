"""Write what callers send to Kafka: refuse it where the settings say so, and answer once Kafka has it."""

from __future__ import annotations

import asyncio
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
    try:
        async with asyncio.timeout(_SEND_S):
            await sender.send(outgoing)
    except errors.NotAllowed as error:
        raise not_allowed(what, error) from None
    except (errors.StreamError, TimeoutError):
        text = f"Kafka has not acknowledged the {what}, which may have been written: {again}"
        raise problems.unavailable(text) from None


def not_allowed(what: str, error: errors.NotAllowed) -> problems.ProblemError:
    """Return the answer to a caller whose message Kafka does not allow us to write; the log has the right."""
    _log.warning("write_not_allowed", what=what, error=str(error))
    return problems.unavailable(f"Kafka does not allow this service to write the {what}; its log names the right")
