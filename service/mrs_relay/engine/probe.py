"""
Check at the start, until MRS answers, that MRS can be used, so that wrong settings show before the first job.

A job waits by itself while MRS cannot be reached; the probe only reports to people, in the log and by the readiness.
"""

from __future__ import annotations

import asyncio

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import clusters as models
from mrs_relay.mrs.operations import clusters as calls

_log = structlog.get_logger(__name__)

_UNAUTHORISED = 401


class Probe:
    """
    Ask MRS for its clusters until it answers.

    Args:
        client: the MRS client.
        address: of MRS, for the log.
        group: the connection's settings group, for the log.
    """

    def __init__(self, client: clients.Client, address: str, group: str = "mrs") -> None:
        self._client = client
        self._address = address
        self._group = group
        self._pause = backoff.Backoff(first_s=1.0, most_s=30.0)
        self.problem: str | None = f"MRS at {address} has not been asked yet"

    async def run(self) -> None:
        """Return once MRS has answered; `problem` describes the obstacle until then."""
        failures = 0
        while (problem := await self._ask()) is not None:
            failures += 1
            self.problem = problem
            wait_s = self._pause.delay_s(failures)
            _log.warning("mrs_unusable", problem=problem, retry_in_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)
        self.problem = None
        _log.info("mrs_reached", address=self._address)

    async def _ask(self) -> str | None:
        try:
            await self._client.call(calls.LIST_CLUSTERS, query=models.ClusterQuery(page_size=1, current_page=1))
        except errors.MrsRefused as error:
            if error.status == _UNAUTHORISED:
                return (
                    f"MRS at {self._address} does not accept the credentials: {error}; check "
                    f"{self._setting('access_key')} and {self._setting('secret_key')}"
                )
            return None  # MRS answers; a user without the right to list clusters may still submit jobs
        except errors.MrsError as error:
            return f"MRS at {self._address} does not answer: {error.message}; check {self._setting('endpoint')}"
        return None

    def _setting(self, name: str) -> str:
        setting = f"{self._group}.{name}"
        return f"{setting} (MRS_RELAY_{setting.replace('.', '__').upper()})"
