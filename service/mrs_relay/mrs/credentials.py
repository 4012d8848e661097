"""
Renew credentials: one task renews them before they expire, for any number of waiting calls, and checks their file.

`Keeper` is a signer (see `auth`) that signs with the last credentials of `iam`. After MRS has refused credentials,
`renew` makes the task get others at once. A refusal by IAM is remembered for a while, because wrong passwords lock the
user.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import tomllib
from collections.abc import AsyncIterator
from typing import Any, Final

import pydantic
import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock, tasks
from mrs_relay.mrs import auth, iam, login, replies, session_transport, settings, transport

LEAD_PART: Final = 0.25
"""Part of their lifetime that credentials have left when they are renewed."""

MOST_LEAD_S: Final = 2400.0
"""Longest time before their end at which they are renewed, in seconds. Source: SDK core 3.1.219, 40 minutes."""

FRESH_S: Final = 10.0
"""Credentials younger than this are not replaced when MRS refuses them: the refused call had older ones."""

REFUSED_S: Final = 60.0
"""Seconds for which a refusal by IAM is remembered, unless the file changes. IAM locks users who fail repeatedly."""

_MOST_BYTES: Final = 1024 * 1024
_BACKOFF: Final = backoff.Backoff(first_s=1.0, most_s=30.0)
_NEVER_S: Final = float("inf")

_log = structlog.get_logger(__name__)


class File:
    """
    A file with the caller's identity; read again when it changes.

    Args:
        path: of the file. It is safe to replace it by renaming at any time; so is a mounted secret.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    async def changed(self) -> bool:
        """Return whether the file differs, by time and size, from the last one read; False when it does not exist."""
        return await asyncio.to_thread(self._differs)

    async def read(self) -> login.Login:
        """
        Read the file.

        Raises:
            SettingsError: the file cannot be read; the text names the file and the field, never a value.
        """
        return await asyncio.to_thread(self._read)

    def _differs(self) -> bool:
        try:
            return self._stamp() != self._seen
        except OSError:
            return False

    def _stamp(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> login.Login:
        try:
            stamp = self._stamp()
            if stamp[2] > _MOST_BYTES:
                raise errors.SettingsError(f"credentials_file {self._path} is larger than {_MOST_BYTES} bytes")
            text = self._path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise errors.SettingsError(f"credentials_file {self._path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise errors.SettingsError(f"credentials_file {self._path} is not UTF-8 text") from None

        # Taken before the text was read: a change in between is noticed by the next check.
        self._seen = stamp
        try:
            return login.Login.model_validate(_parsed(text))
        except pydantic.ValidationError as error:
            problems = replies.problems(error)
            raise errors.SettingsError(f"credentials_file {self._path}: {problems}") from None  # it holds secrets
        except ValueError:
            raise errors.SettingsError(f"credentials_file {self._path} is neither a JSON object nor TOML") from None


def _parsed(text: str) -> Any:  # noqa: ANN401 - pydantic judges it
    return json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)


class Keeper:
    """
    A signer whose credentials come from IAM, a file, or both.

    Args:
        group: the connection's settings.
        door: the transport to IAM.
        now: the clock.
    """

    def __init__(self, group: settings.MrsSettings, door: transport.Transport, now: clock.Clock) -> None:
        self._group = group
        self._iam = iam.Iam(group, door, now)
        self._clock = now
        self._file = File(group.credentials_file) if group.credentials_file else None
        self._who: login.Login = group
        self._signer: auth.Signer | None = None
        self._got_s = -_NEVER_S
        self._due_s = -_NEVER_S
        self._end_s = _NEVER_S
        self._failures = 0
        self._not_before_s = -_NEVER_S
        self._refusal: errors.RelayError | None = None
        self._unusable: str | None = None
        self._asked = asyncio.Event()
        self._attempt: asyncio.Future[errors.RelayError | None] = asyncio.get_running_loop().create_future()

    @property
    def project_id(self) -> str | None:
        """Id of the project; None when there are no credentials that are still good."""
        if self._signer is None or self._clock.monotonic_s() >= self._end_s:
            return None
        return self._signer.project_id

    @property
    def keys(self) -> auth.Keys | None:
        """The key pair of the moment; None when there is none, or none that is still good."""
        return None if self._signer is None or self.project_id is None else self._signer.keys

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """Return the headers by the present credentials."""
        if self._signer is None:
            raise errors.MrsUnreachable("there are no credentials yet", method=verb, path=path)
        return self._signer.headers(verb, path, query, body)

    async def prepare(self, timeout_s: float) -> str:
        """Return the project id, after the next attempt to get credentials where there are none."""
        if (project_id := self.project_id) is not None:
            return project_id
        error = await self._next_attempt(timeout_s)
        if isinstance(error, errors.MrsUntouched):
            raise errors.MrsUnreachable(f"no credentials: {error.message}", path=error.path, status=error.status)
        if error is not None:
            raise error.with_traceback(None)
        return self.project_id or ""

    async def renew(self) -> bool:
        """Get other credentials now; returns True when there are newer ones than those that were refused."""
        if self._clock.monotonic_s() - self._got_s < FRESH_S:
            return True
        if self._end_s == _NEVER_S and not (self._file is not None and await self._file.changed()):
            return False  # a lasting pair stays what it is
        try:
            return await self._next_attempt(self._group.call_timeout_s) is None
        except errors.MrsError:
            return False

    async def load(self) -> None:
        """
        Read the file, if there is one, and check that the login is complete.

        Raises:
            SettingsError: the file cannot be used, or the login is not complete.
        """
        if self._file is None:
            return

        who = login.of(self._group, await self._file.read())
        if (problem := login.problem(who) or self._group.iam_problem(who)) is not None:
            raise errors.SettingsError(f"credentials_file {self._group.credentials_file}: {problem}")
        self._who, self._unusable = who, None

    async def load_or_wait(self) -> None:
        """Read the file as `load` does; while it cannot be used, every call fails with the reason."""
        try:
            await self.load()
        except errors.SettingsError as error:
            _log.error("credentials_file_unusable", error=str(error))
            self._unusable = str(error)

    async def run(self) -> None:
        """Get and renew credentials until cancelled; runs in one task only."""
        while True:
            await self._until_wanted()
            outcome = await self._try_once()
            # Calls that asked meanwhile have waited for this very attempt.
            self._asked.clear()
            ended, self._attempt = self._attempt, asyncio.get_running_loop().create_future()
            ended.set_result(outcome)

    async def _next_attempt(self, timeout_s: float) -> errors.RelayError | None:
        """Return how the next attempt of the task ends, or the refusal that is still remembered."""
        if self._refusal is not None and self._clock.monotonic_s() < self._not_before_s:
            return self._refusal
        self._asked.set()
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._attempt)
        except TimeoutError:
            raise errors.MrsUnreachable(f"no credentials within {timeout_s:.3g} s; nothing was sent") from None

    async def _until_wanted(self) -> None:
        """Sleep until credentials are due, a call asks for new ones, or their file changes."""
        while True:
            if self._file is not None and await self._reloaded():
                return

            now_s = self._clock.monotonic_s()
            next_s = max(self._not_before_s, now_s if self._asked.is_set() else self._due_s)
            if next_s <= now_s:
                return

            # A file is checked at its own interval; after a failure even calls that ask must wait.
            wait_s = min(next_s - now_s, self._group.credentials_check_s if self._file else 3600.0)
            if self._asked.is_set():
                await asyncio.sleep(wait_s)
            else:
                await tasks.sleep_until(self._asked, wait_s)

    async def _reloaded(self) -> bool:
        """Read the file again if it has changed; an unusable one changes nothing. Returns whether it was read."""
        if self._file is None or not await self._file.changed():
            return False

        try:
            await self.load()
        except errors.SettingsError as error:
            _log.warning("credentials_file_unusable", error=str(error))
            return False

        _log.info("credentials_file_read", path=str(self._group.credentials_file))
        self._failures, self._refusal, self._not_before_s = 0, None, -_NEVER_S
        return True

    async def _try_once(self) -> errors.RelayError | None:
        began_s = self._clock.monotonic_s()
        try:
            if self._unusable is not None:
                raise errors.MrsUntouched(self._unusable)
            grant = await self._iam.grant(self._who)
        except errors.MrsError as error:
            self._failed(error)
            return error

        ends_s = _NEVER_S if grant.lifetime_s is None else began_s + grant.lifetime_s
        lead_s = 0.0 if grant.lifetime_s is None else min(grant.lifetime_s * LEAD_PART, MOST_LEAD_S)
        self._signer, self._got_s = grant.signer, self._clock.monotonic_s()
        self._end_s, self._due_s = ends_s, ends_s - lead_s
        self._failures, self._refusal, self._not_before_s = 0, None, -_NEVER_S
        return None

    def _failed(self, error: errors.MrsError) -> None:
        self._failures += 1
        refused = isinstance(error, errors.MrsRefused)
        wait_s = REFUSED_S if refused else _BACKOFF.delay_s(self._failures)
        if isinstance(error, errors.MrsThrottled):
            wait_s = max(wait_s, error.retry_after_s)
        self._refusal = error if refused else None
        self._not_before_s = self._clock.monotonic_s() + wait_s
        _log.warning("credentials_not_renewed", error=str(error), next_try_s=round(wait_s, 1))


@contextlib.asynccontextmanager
async def opened(group: settings.MrsSettings, now: clock.Clock, *, patient: bool = False) -> AsyncIterator[auth.Signer]:
    """
    Open the signer of a connection, and renew its credentials while the block runs.

    Args:
        group: the connection's settings.
        now: the clock.
        patient: begin also with a credentials_file that cannot be used; calls fail, unsent, until it can be.

    Raises:
        SettingsError: credentials_file cannot be used, and `patient` is false.
    """
    lasting = iam.lasting(group, now)
    if lasting is not None:
        yield lasting
        return

    async with contextlib.AsyncExitStack() as stack:
        door = await stack.enter_async_context(session_transport.open_transport(group, group.iam_url or None))
        keeper = Keeper(group, door, now)
        await (keeper.load_or_wait() if patient else keeper.load())
        task_supervisor = await stack.enter_async_context(tasks.TaskSupervisor(_report))
        task_supervisor.start(keeper.run(), name="credentials")
        yield keeper


def _report(task: str, error: BaseException) -> None:
    _log.error("task_failed", task=task, exc_info=error)
