"""Connect every client of this process, and map the library's errors to ours."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import client as kafka_client
from aiokafka import errors as kafka_errors

from mrs_relay import errors
from mrs_relay.common import tls
from mrs_relay.kafka import security as security_settings
from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import failover, login, missing_rights, probe

log = structlog.get_logger(__name__)

_CANCELS = 3
_CANCEL_S = 0.2
"""A task that is cancelled ends in the same round of the loop, unless it has lost the cancellation."""

_UNREACHABLE = (
    kafka_errors.KafkaConnectionError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.RequestTimedOutError,
    kafka_errors.KafkaTimeoutError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class Connection:
    """
    The one factory of client options, so that no client lacks a security setting.

    Attributes:
        kafka: the settings of this package.
        tls: the context, or None without TLS.
        tokens: the source of tokens, or None if they are not used.
        brokers: the brokers as all clients together know them.
    """

    kafka: settings.KafkaSettings
    tls: ssl.SSLContext | None
    tokens: login.Tokens | None = None
    brokers: failover.Brokers = field(default_factory=failover.Brokers)

    def options(self, role: str) -> dict[str, Any]:
        """Return the keyword arguments that all of aiokafka's clients share; `role` shows in the broker's logs."""
        security = self.kafka.security
        try:
            papers = login.options(security, self.tokens)
        except login.CannotLogIn as error:
            raise self.down("log in", error, str(error)) from error
        return {
            "bootstrap_servers": self.kafka.bootstrap_servers,
            "client_id": f"{self.kafka.app_id}-{role}",
            "security_protocol": security.protocol,
            "ssl_context": self.tls,
            **papers,
        }

    def attend(self, client: kafka_client.AIOKafkaClient) -> failover.Failover:
        """Make a client, not yet started, log in with the present secrets and leave brokers that are gone."""
        attended = failover.Failover(client, self.kafka, self.brokers)
        login.attend(client, self.kafka.security)
        return attended

    @asynccontextmanager
    async def asking(self, what: str, timeout_s: float) -> AsyncIterator[None]:
        """
        Limit the time of requests to Kafka, and raise their errors as StreamDown.

        Args:
            what: the action, for the message: "cannot {what}: …".
            timeout_s: the limit in seconds.
        """
        asked_to_end = _asked_to_end()
        try:
            async with asyncio.timeout(timeout_s):
                yield
            _raise_lost_cancel(asked_to_end)
        except (kafka_errors.KafkaError, OSError, TimeoutError, AssertionError) as error:
            _raise_lost_cancel(asked_to_end)
            # NB: the library asserts that it knows a node, and a broker that is just starting may list none.
            found = await probe.examine(self.options("probe")) if isinstance(error, _UNREACHABLE) else None
            raise self.down(what, error, found) from error

    def down(self, what: str, error: BaseException, found: str | None = None) -> errors.StreamDown:
        """
        Return the error with the address, the setting to check and the library's reason.

        Args:
            what: the action that failed.
            error: the library's.
            found: the result of `probe.examine` for the address.
        """
        kind = errors.StreamDown
        if found is not None:
            reason = found
        elif isinstance(error, _UNREACHABLE) and self.brokers.known:
            reason = f"no answer ({type(error).__name__}), although it has answered before; {probe.REPLICAS}"
        elif isinstance(error, _UNREACHABLE):
            reason = f"no answer ({type(error).__name__}); is the address right, and kafka.security?"
        elif right := missing_rights.describe(self.kafka, what, error):
            kind, reason = errors.NotAllowed, right
        else:
            reason = repr(error)

        return kind(
            f"cannot {what}: Kafka at {self.kafka.bootstrap_servers} (setting kafka.bootstrap_servers, "
            f"MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS): {reason}"
        )


def connect(kafka: settings.KafkaSettings) -> Connection:
    """
    Read the certificates and return the factory.

    Raises:
        SettingsError: a certificate or key cannot be used; the message names the settings.
    """
    security = kafka.security
    tokens = login.tokens_for(security)
    if not security.protocol.endswith("SSL"):
        return Connection(kafka, None, tokens)
    if not security.verify_host:
        log.warning("kafka_hosts_not_verified", setting="kafka.security.verify_host")
    try:
        files = [path for path in (security.ca_file, security.cert_file, security.key_file) if path is not None]
        return Connection(kafka, tls.rotating(files, functools.partial(_context, security)), tokens)
    except (OSError, ssl.SSLError) as error:
        raise errors.SettingsError(
            f"kafka.security.ca_file, cert_file, key_file or key_password cannot be used: {error}"
        ) from error


def _context(security: security_settings.Security) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.ca_file)
    context.check_hostname = security.verify_host
    if security.cert_file is not None:
        password = security.key_password.get_secret_value() if security.key_password is not None else None
        context.load_cert_chain(security.cert_file, security.key_file, password)
    return context


async def stopped(client: failover.Failover, stop: Awaitable[None], timeout_s: float) -> BaseException | None:
    """
    Await a client's own way to stop, at most `timeout_s` seconds; returns its error instead of raising it.

    Its connections are closed then, also if it has failed, has not ended in time, or we are cancelled.

    NB: a task of the library that has been cancelled may raise CancelledError here though we are not cancelled.
    """
    asked_to_end = _asked_to_end()
    found: BaseException | None = None
    try:
        async with asyncio.timeout(timeout_s):
            await stop
    except asyncio.CancelledError as error:
        found = error
    except Exception as error:  # noqa: BLE001 - the client is dropped; the caller decides whether to log
        found = error
    finally:
        client.cut()
    _raise_lost_cancel(asked_to_end)
    return found


def _asked_to_end() -> int:
    """Count how often the running task has been asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _raise_lost_cancel(before: int) -> None:
    """
    Raise CancelledError if the running task has been asked to end since `before` was counted.

    NB: the library loses a cancellation of its caller while it awaits a task of its own that it has cancelled; the
    caller would go on for ever. Source: aiokafka 0.14, client.py, `close`; consumer/fetcher.py, `close`.
    """
    if _asked_to_end() > before:
        raise asyncio.CancelledError


async def stop_consumer(client: AIOKafkaConsumer) -> None:
    """
    Stop a consumer, with all its tasks that fetch; for `stopped`.

    NB: the library's own way awaits each task, and ends at the first that was cancelled in its pause after a failed
    fetch; and the task that starts them loses a cancellation while it awaits another one.
    Source: aiokafka 0.14, consumer/fetcher.py, `close`, `_fetch_requests_routine` and `_proc_fetch_request`.
    """
    try:
        for running in _fetching(client):
            for _ in range(_CANCELS):
                if left := {task for task in running if not task.done()}:
                    _cancel(left)
                    await asyncio.wait(left, timeout=_CANCEL_S)
            running.clear()
        await client.stop()
    except BaseException:  # the library has not come to its other tasks
        resetting = getattr(client._coordinator, "_reset_committed_task", None)  # noqa: SLF001 - the same
        _cancel({task for running in _fetching(client) for task in running} | ({resetting} if resetting else set()))
        client._closed = True  # noqa: SLF001 - `stopped` cuts it; the library would warn of an open one
        raise


def _fetching(client: AIOKafkaConsumer) -> list[set[asyncio.Task[Any]]]:
    """Return the task that starts others to fetch, and the library's own set of those; none before the start."""
    fetcher = client._fetcher  # noqa: SLF001 - the library offers no other way
    return [] if fetcher is None else [{fetcher._fetch_task}, fetcher._pending_tasks]  # noqa: SLF001 - the same


def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()


async def silence(*_args: object, **_options: object) -> None:
    """
    Replace the sending of a client that is given up.

    It cancels the library's task that sends, which ends that task without a log line; after an error the library would
    log a stack, or repeat the request.
    """
    raise asyncio.CancelledError
