"""Open the traces that the settings ask for; the libraries of the extra are imported here, and only if they are on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from mrs_relay import errors
from mrs_relay.engine import tracing
from mrs_relay.traces import settings


@contextlib.asynccontextmanager
async def opened(chosen: settings.TracesSettings) -> AsyncIterator[tracing.Tracing]:
    """
    Open the traces for the length of the context; what waits then is sent at its end.

    Raises:
        SettingsError: a file of the settings cannot be read, or the extra is not installed.
    """
    if chosen.endpoint is None:
        yield tracing.OFF
        return

    try:
        from mrs_relay.traces import process, recorder  # noqa: PLC0415 - they need the extra
    except ImportError as error:
        raise errors.SettingsError(
            f"traces.endpoint needs {error.name}, which is not installed: install mrs-relay[traces]"
        ) from error

    record = recorder.Recorder(recorder.batches(chosen), chosen.service, chosen.ratio)
    try:
        yield process.ProcessTracing(record)
    finally:
        await record.close()
