"""
Call MRS over one connection: `call` performs any operation in five steps: build, limit, sign, send, read.

Each step has its module. The client repeats a call only if MRS refused it, unexecuted, for credentials that the signer
could renew. Any other repetition is the caller's decision, based on the error's class.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.mrs import (
    auth,
    counts,
    credentials,
    iam,
    limits,
    operation,
    paging,
    replies,
    session_transport,
    settings,
    transport,
    validation,
)
from mrs_relay.mrs.models import base

Q = TypeVar("Q", bound=base.Asked | None)
R = TypeVar("R", bound=base.Reply)
T = TypeVar("T")

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

Sent = tuple[transport.Response, Mapping[str, str]]
"""The reply of a call, and the headers that the call had."""


class Client:
    """
    Call MRS over one connection: one endpoint, one project, one set of credentials.

    Args:
        group: the connection's settings.
        door: the transport; the caller opens and closes it, see `connected`.
        now: the clock.
        signer: the caller's identity; when absent, the key pair of the settings, which must name the project too.

    Attributes:
        limits: the budgets of this connection. The write budget is the caller's to spend, before it commits an
            intention.
        counts: of the calls, for metrics.

    Raises:
        SettingsError: without a signer, and the settings need IAM or a file: use `connected`.
    """

    def __init__(
        self,
        group: settings.MrsSettings,
        door: transport.Transport,
        now: clock.Clock,
        signer: auth.Signer | None = None,
    ) -> None:
        self.limits = limits.Limits(now, enabled=group.budgets)
        self.counts = counts.CallCounts()
        self._group = group
        self._door = door
        self._clock = now
        self._signer = signer or _lasting(group, now)
        self._reader = replies.Reader(now, group.throttled_wait_s)

    @property
    def keys(self) -> auth.Keys | None:
        """The key pair of the moment, for other services of the cloud; None when there is none, or not yet."""
        return self._signer.keys

    async def call(
        self,
        wanted: operation.Operation[Q, R],
        *,
        path: Mapping[str, str] = _NOTHING,
        query: base.Asked | Mapping[str, Any] | None = None,
        body: Q | Mapping[str, Any] | bytes | None = None,
        timeout_s: float | None = None,
        spend_budget: bool | None = None,
    ) -> R:
        """
        Perform one operation, once.

        A 429 holds the whole connection (see `limits`) before it is raised.

        Args:
            wanted: the operation.
            path: its path values, without project_id.
            query: its query, as a model or by the API's names.
            body: its body, as a model, by the API's names, or as its models have written it.
            timeout_s: longest time in seconds, the wait for the budget included; by default the setting call_timeout_s.
            spend_budget: whether to wait for a call from the budget first. By default reads do and writes do not,
                because the caller of a write spends the write budget itself, before it commits the intention.

        Raises:
            MrsRefused: final, or the call is not well formed and nothing was sent. MrsBusy: repeat later.
            MrsThrottled: wait. MrsUntouched: try again. MrsAmbiguous: look it up, never repeat blindly.
        """
        # Build: nothing is sent unless all parts are well formed.
        text = validation.query_text(wanted, query)
        data = validation.body_bytes(wanted, body)
        left_s = self._group.call_timeout_s if timeout_s is None else timeout_s
        started_s = self._clock.monotonic_s()
        where = wanted.at(self._signer.project_id or await self._signer.prepare(left_s), path)
        ends_s = started_s + left_s

        if (wanted.safety is operation.Safety.READ) if spend_budget is None else spend_budget:
            await self.limits.acquire(wanted, ends_s - self._clock.monotonic_s())

        begun_s = self._clock.monotonic_s()
        try:
            # Sign and send; once more only if MRS refused the credentials and there are newer ones.
            response, headers = await self._send(wanted, where, text, data, ends_s - begun_s)
            if replies.wants_new_credentials(response) and await self._signer.renew():
                response, headers = await self._send(wanted, where, text, data, ends_s - self._clock.monotonic_s())
            reply = self._reader.read(wanted, where, response, auth.secrets_of(headers))
        except errors.MrsError as error:
            self.counts.note(wanted.name, error, self._clock.monotonic_s() - begun_s)
            if isinstance(error, errors.MrsThrottled):
                self.limits.hold(error.retry_after_s)
            raise
        self.counts.note(wanted.name, None, self._clock.monotonic_s() - begun_s)
        return reply

    def iterate(
        self,
        listing: paging.Listing[R, T],
        *,
        path: Mapping[str, str] = _NOTHING,
        query: base.Asked | Mapping[str, Any] | None = None,
        size: int | None = None,
    ) -> AsyncIterator[T]:
        """
        Read a whole list, a page at a time; correct even if the list shifts meanwhile, see `paging`.

        Each page is a call of its own, which waits for the budget and may fail like any other.

        Args:
            listing: one of `operations.lists`.
            path: its path values, without project_id.
            query: its filters, as a model or by the API's names, without the fields that choose a page.
            size: items a page, by default what suits the list.

        Raises:
            MrsRefused: the query chooses a page; nothing was sent. Others while iterating, as `call`.
        """
        return paging.read(listing, self.call, path, query, size)

    async def _send(self, wanted: operation.AnyOperation, path: str, query: str, body: bytes, timeout_s: float) -> Sent:
        """Sign and send a call, once; returns the reply and the headers of the request."""
        headers = self._signer.headers(wanted.verb, path, query, body)
        request = transport.Request(wanted.verb, f"{path}?{query}" if query else path, headers, body)
        # Calls that begin together are all built before the first is sent: each step's code stays in the processor's
        # caches, which saves more than the turn of the loop costs.
        await asyncio.sleep(0)
        try:
            return await self._door.send(request, timeout_s), headers
        except transport.NotSent as error:
            unsent = errors.MrsUnreachable if isinstance(error, transport.NoConnection) else errors.MrsUntouched
            raise unsent(str(error), method=wanted.verb, path=path) from error
        except transport.Lost as error:
            kind = _kind_of_loss(wanted, error)
            raise kind(str(error), method=wanted.verb, path=path) from error


@contextlib.asynccontextmanager
async def connected(
    group: settings.MrsSettings,
    now: clock.Clock | None = None,
    *,
    patient: bool = False,
    make: Callable[..., Client] = Client,
) -> AsyncIterator[Client]:
    """
    Open a client over sockets, which renews its credentials; closes its connections at the end.

    Args:
        group: the connection's settings.
        now: the clock; the machine's when absent.
        patient: begin also with a `credentials_file` that cannot be used yet.
        make: makes the client of its four arguments.

    Raises:
        SettingsError: `credentials_file` cannot be used, and `patient` is false.
    """
    time = now or clock.SystemClock()
    async with (
        credentials.opened(group, time, patient=patient) as signer,
        session_transport.open_transport(group) as door,
    ):
        yield make(group, door, time, signer)


def _lasting(group: settings.MrsSettings, now: clock.Clock) -> auth.Signer:
    signer = iam.lasting(group, now)
    if signer is None:
        raise errors.SettingsError("these settings need IAM or a file for their credentials: use `client.connected`")
    return signer


def _kind_of_loss(wanted: operation.AnyOperation, error: transport.Lost) -> type[errors.MrsError]:
    if wanted.safety is not operation.Safety.READ:
        return errors.MrsAmbiguous
    # The next reply to this read would be as large.
    return errors.MrsRefused if isinstance(error, transport.TooLarge) else errors.MrsUntouched
