"""
Read the settings again while the relay runs, and take over what may change.

These are limits and rules of tenants, slots, and the level of the log. A change is put on record before it takes
effect. Settings that cannot be read, or are not valid, change nothing. What needs a restart is named. `app` starts it;
`wiring.adopt` takes the new values over.
"""

from __future__ import annotations

import asyncio
import pathlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import pydantic
import structlog

from mrs_relay import errors
from mrs_relay import settings as all_settings
from mrs_relay.client import auditing
from mrs_relay.common import faults, tasks
from mrs_relay.messages import audit

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 5.0
"""Seconds between two looks at the file."""

_WRITTEN_S: Final = 1.0
"""Seconds for which a changed file must stay as it is: half of a file may be valid, too."""

_RULES: Final = re.compile(r"tenants\.(?P<tenant>[^.]+)\.(allow|limits|defaults)\..+")
_RELOADABLE: Final = frozenset({"engine.slots_per_cluster", "engine.queue_deadline_s", "log.level"})

Values = Mapping[str, Any]
"""Settings by their names, such as tenants.a.limits.running."""


class Changes(NamedTuple):
    """
    The differences between the settings of the process and those that were read.

    Attributes:
        before: reloadable settings that change, as they are.
        after: the same, as they become.
        fixed: names of changed settings that need a restart.
    """

    before: Values
    after: Values
    fixed: list[str]


def is_reloadable(name: str, tenants: frozenset[str]) -> bool:
    """Return whether a setting may change while these tenants are served."""
    rule = _RULES.fullmatch(name)
    return name in _RELOADABLE or (rule is not None and rule["tenant"] in tenants)


def values(settings: all_settings.Settings) -> dict[str, Any]:
    """Return all settings by their names; secrets stay hidden in their own type."""
    return dict(_values(settings, ""))


def _values(model: pydantic.BaseModel | Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    members = model if isinstance(model, Mapping) else dict(model)
    for name, value in members.items():
        if isinstance(value, pydantic.BaseModel) or _is_table(value):
            yield from _values(value, f"{path}{name}.")
        else:
            yield path + name, value


def _is_table(value: object) -> bool:
    """Return whether a value is a table of groups with names of their own, such as the tenants."""
    return isinstance(value, Mapping) and any(isinstance(one, pydantic.BaseModel) for one in value.values())


def differences(present: Values, read: Values) -> Changes:
    """Compare the settings of the process with those that were read."""
    tenants = _tenants(present) & _tenants(read)  # rules of one that was left out stay in force until a restart
    changed = [name for name in sorted({*present, *read}) if present.get(name) != read.get(name)]
    movable = [name for name in changed if is_reloadable(name, tenants)]
    return Changes(
        {name: _shown(present.get(name)) for name in movable},
        {name: _shown(read.get(name)) for name in movable},
        [name for name in changed if name not in movable],
    )


def _tenants(given: Values) -> frozenset[str]:
    """Return the names of the tenants among settings."""
    return frozenset(name.split(".")[1] for name in given if name.startswith("tenants."))


def _shown(value: Any) -> Any:  # noqa: ANN401 - of any setting
    """Return a value as JSON has it."""
    return list(value) if isinstance(value, tuple | frozenset) else value


class Reloader:
    """
    Reads the settings again when it is asked to, and when their file has changed.

    Args:
        present: the settings that the process was started with.
        load: reads them again.
        file: the file that is looked at; None: none is.
        adopt: takes the new ones over.
        note: puts a change on record, before it takes effect.
    """

    def __init__(
        self,
        present: all_settings.Settings,
        load: Callable[[], all_settings.Settings],
        file: pathlib.Path | None,
        adopt: Callable[[all_settings.Settings], None],
        note: Callable[[audit.Data], Awaitable[None]],
    ) -> None:
        self._present = values(present)
        self._load = load
        self._file = file
        self._adopt = adopt
        self._note = note
        self._asked = asyncio.Event()
        self._seen: object = None  # the first look reads the file: it may have changed while the relay started

    def ask(self) -> None:
        """Have the settings read again, soon."""
        self._asked.set()

    async def run(self) -> None:
        """Wait for a request or a change of the file, until cancelled."""
        is_left, before, wait_s = False, self._seen, _LOOK_S
        while True:
            await tasks.sleep_until(self._asked, wait_s)
            stamp = await asyncio.to_thread(self._stamp)
            is_asked, is_written, before = self._asked.is_set(), stamp == before, stamp

            # A change that could not be put on record is tried again at the next look.
            if is_asked or is_left or (is_written and stamp != self._seen):
                self._asked.clear()
                self._seen = stamp
                is_left = not await self.reload("signal" if is_asked else "file")
            wait_s = _LOOK_S if stamp == self._seen else _WRITTEN_S

    async def reload(self, via: str) -> bool:
        """
        Read the settings, and take over what has changed.

        Args:
            via: by what it was caused: signal or file.

        Returns:
            False if the change could not be put on record, and was left for later.
        """
        try:
            read = await asyncio.to_thread(self._load)
        except errors.SettingsError as error:
            _log.error("settings_not_reloaded", error=str(error), via=via)
            return True
        except Exception as error:  # noqa: BLE001 - a file that makes a library fail must not end the looks
            _log.exception("settings_not_reloaded", error=faults.name(error), via=via)
            return True

        changes = differences(self._present, values(read))
        if changes.fixed:
            _log.warning("settings_need_restart", settings=changes.fixed, via=via)
        if not changes.after:
            _log.info("settings_unchanged", via=via)
            return True

        try:
            await self._note(_decision(changes, via))
        except (errors.RelayError, TimeoutError) as error:
            _log.warning("settings_not_reloaded", error=f"the change cannot be put on record: {error}", via=via)
            return False
        self._adopt(read)
        fresh = values(read)
        self._present |= {name: fresh.get(name) for name in changes.after}
        _log.info("settings_reloaded", before=changes.before, after=changes.after, via=via)
        return True

    def _stamp(self) -> object:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _decision(changes: Changes, via: str) -> audit.Data:
    return audit.Data(
        action="settings.reload",
        via=via,
        place=auditing.host(),
        what={"settings": list(changes.after)},
        before=changes.before,
        after=changes.after,
    )
