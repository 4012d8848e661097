"""
The files of `mrs-relay submit job --upload`: looked at, named in the job, and sent before the request is.

The job is composed and checked before anything is sent. Neighbours: `obs.uploads` sends, `submit` has the options.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from rich import console, progress

from mrs_relay import settings, tenants
from mrs_relay.cli import connect, view
from mrs_relay.obs import uploads

_LONG_BYTES: Final = 2 * uploads.PART_BYTES
"""From this size on, progress is shown."""

_QUARTERS: Final = 4
_OPTION: Final = "--upload"


@dataclass(frozen=True, slots=True)
class Batch:
    """
    The files of one request.

    Attributes:
        files: as they were looked at.
        uploader: sends them; None where there are none.
    """

    files: tuple[uploads.LocalFile, ...] = ()
    uploader: uploads.Uploader | None = None

    @property
    def places(self) -> dict[str, str]:
        """The `obs://` path of each file, by the file's name."""
        if self.uploader is None:
            return {}
        return {file.name: str(self.uploader.place(file)) for file in self.files}

    async def send(self) -> None:
        """
        Send each file that is not there yet, and say on standard error what happened to it.

        Raises:
            BadFile: it has changed. ObsRefused, ObsDown: nothing of the request was sent.
        """
        if self.uploader is None:
            return
        for file in self.files:
            with _shown(file) as step:
                sent = await self.uploader.send(file, step)
            words = "uploaded to" if sent else "is there already:"
            view.err().print(view.plain(f"{file.name} {words} {self.uploader.place(file)}", "dim"), soft_wrap=True)


def looked_at(
    given: Sequence[pathlib.Path] | None,
    config: pathlib.Path | None,
    tenant: str | None,
    uploader: uploads.Uploader | None = None,
) -> Batch:
    """
    Look at the files of a request; nothing is sent.

    Args:
        given: the files.
        config: settings file with the sender's keys and folder.
        tenant: whose folder; None: the only tenant's.
        uploader: replaces the settings'.

    Raises:
        BadFile: one cannot be uploaded. SettingsError: a setting or the extra `obs` is missing; says which.
        typer.BadParameter: two have the same name.
    """
    if not given:
        return Batch()
    names = [path.name for path in given]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise typer.BadParameter(f"two files are called {twice}; a job tells them apart by name", param_hint=_OPTION)
    found = uploader or _of_settings(config, tenant)

    async def look() -> tuple[uploads.LocalFile, ...]:
        return tuple([await found.look_at(path) for path in given])

    return Batch(asyncio.run(look()), found)


def placed(job: Mapping[str, Any], batch: Batch, *, old: bool) -> dict[str, Any]:
    """
    Put the paths of a batch into the texts of a job; a file that no text names is the first argument.

    Args:
        job: the body of a job: `arguments`, `properties`, and fields of V1.1.
        batch: the files.
        old: whether it is a job of V1.1, whose arguments name no program.

    Raises:
        typer.BadParameter: a job of V1.1 does not say where a file belongs.
    """
    places = batch.places
    used: set[str] = set()

    def whole(text: str) -> str:
        for name, path in places.items():
            if (mark := f"{{{name}}}") in text:
                used.add(name)
                text = text.replace(mark, path)
        return text

    found: dict[str, Any] = {}
    for name, value in job.items():
        if isinstance(value, list):
            found[name] = [whole(one) for one in value]
        elif isinstance(value, dict):
            found[name] = {inner: whole(one) for inner, one in value.items()}
        else:
            found[name] = whole(value) if isinstance(value, str) else value

    left = [name for name in places if name not in used]
    if left and old:
        example = f"--field 'jar_path={{{left[0]}}}'"
        raise typer.BadParameter(f"say where {left[0]} belongs, as in {example}", param_hint=_OPTION)
    if left:
        found["arguments"] = [*(places[name] for name in left), *(found.get("arguments") or ())]
    return found


def _of_settings(config: pathlib.Path | None, tenant: str | None) -> uploads.Uploader:
    found = settings.load_sender(config)
    chosen = connect.chosen(found.tenancies, tenant)
    return uploads.opened(found.obs, tenants.uploads_of(found.uploads, found.tenants, chosen.name))


@contextlib.contextmanager
def _shown(file: uploads.LocalFile) -> Iterator[uploads.Progress]:
    """Show the progress of a large file: a bar on a terminal, a line for each quarter elsewhere."""
    screen = view.err()
    if file.size_bytes < _LONG_BYTES:
        yield _nothing
    elif screen.is_terminal:
        columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn())
        with progress.Progress(*columns, progress.TransferSpeedColumn(), console=screen, transient=True) as bars:
            task = bars.add_task(file.name, total=file.size_bytes)
            yield lambda given, _total: bars.update(task, completed=given)
    else:
        yield _Quarters(file.name, screen).step


class _Quarters:
    """Print a line whenever another quarter of a file has been handed over."""

    def __init__(self, name: str, screen: console.Console) -> None:
        self._name = name
        self._screen = screen
        self._printed = 0

    def step(self, given: int, total: int) -> None:
        """See `uploads.Progress`."""
        quarter = given * _QUARTERS // total
        if quarter > self._printed:
            self._printed = quarter
            words = f"{self._name}: {given / 1e6:.1f} of {total / 1e6:.1f} MB"
            self._screen.print(view.plain(words, "dim"), soft_wrap=True)


def _nothing(given: int, total: int) -> None:
    del given, total
