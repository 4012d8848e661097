"""Files that senders upload, against the emulator's OBS over a socket: once by content, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydantic
import pytest

from mrs_emulator.core import faults, settings
from mrs_emulator.http import server
from mrs_relay import errors
from mrs_relay.obs import settings as obs_settings
from mrs_relay.obs import upload_settings, uploads

KEY = settings.Credential()
MEBIBYTE = 1 << 20


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[server.Running]:
    """Yield an emulator that serves OBS, with a bucket."""
    folder = tmp_path / "obs"
    (folder / "lake").mkdir(parents=True)
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "obs_port": 0, "obs_dir": folder})
    async with server.running(chosen) as live:
        yield live


def opened(live: server.Running, limits: dict[str, object] | None = None, **changes: object) -> uploads.Uploader:
    """Return what uploads into the folder `programs`."""
    given = {
        "endpoint": live.obs_url,
        "region": "cn-north-4",
        "path_style": True,
        "access_key": KEY.access_key,
        "secret_key": KEY.secret_key,
        **changes,
    }
    chosen = upload_settings.UploadSettings.model_validate({"path": "obs://lake/programs", **(limits or {})})
    return uploads.opened(obs_settings.ObsSettings.model_validate(given), chosen)


def local(tmp_path: Path, content: bytes, name: str = "app.jar") -> Path:
    """Return a file of this machine."""
    path = tmp_path / name
    path.write_bytes(content)
    return path


def objects(tmp_path: Path) -> list[str]:
    """Return all objects of the bucket, and what is left of uploads that did not end."""
    bucket = tmp_path / "obs" / "lake"
    parts = [f"part of {path.parent.name}" for path in (tmp_path / "obs" / ".obs" / "uploads").rglob("*.part")]
    return sorted([str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()] + parts)


async def test_file_is_put_once_by_its_content_and_named_by_it(tmp_path: Path) -> None:
    """The second time nothing is sent; another content under the same name is another object."""
    first, second = os.urandom(300), os.urandom(300)
    async with serving(tmp_path) as live:
        uploader = opened(live)
        path = await uploader.upload(local(tmp_path, first))
        assert path == f"obs://lake/programs/{hashlib.sha256(first).hexdigest()}/app.jar"
        assert (tmp_path / "obs" / path.removeprefix("obs://")).read_bytes() == first

        live.emulator.add_faults(faults.Fault(action="status", operation="OBS.InitiateMultipartUpload", status=403))
        assert await uploader.send(await uploader.look_at(tmp_path / "app.jar")) is False
        assert await uploader.upload(tmp_path / "app.jar") == path

        live.emulator.clear_faults()
        assert await uploader.upload(local(tmp_path, second)) != path
    assert len(objects(tmp_path)) == 2


async def test_object_of_another_size_under_that_name_is_written_again(tmp_path: Path) -> None:
    """It was cut off by hand; a job must not run it."""
    async with serving(tmp_path) as live:
        uploader = opened(live)
        file = await uploader.look_at(local(tmp_path, b"whole"))
        place = tmp_path / "obs" / str(uploader.place(file)).removeprefix("obs://")
        place.parent.mkdir(parents=True)
        place.write_bytes(b"who")
        assert await uploader.send(file) is True
        assert place.read_bytes() == b"whole"


async def test_large_file_is_sent_in_parts_with_progress(tmp_path: Path) -> None:
    """Three parts, put together in order; progress grows to the whole."""
    content = os.urandom(2 * uploads.PART_BYTES + 5)
    shown: list[tuple[int, int]] = []
    async with serving(tmp_path) as live:
        live.emulator.add_faults(faults.Fault(action="latency", operation="OBS.UploadPart", seconds=0, count=None))
        path = await opened(live).upload(local(tmp_path, content), lambda given, total: shown.append((given, total)))
        [counted] = live.emulator._faults.listed()
        assert (tmp_path / "obs" / path.removeprefix("obs://")).read_bytes() == content
    assert counted["matched"] == 3
    assert [given for given, _ in shown] == sorted({given for given, _ in shown})
    assert shown[-1] == (len(content), len(content))
    assert objects(tmp_path) == [path.removeprefix("obs://lake/")]


async def test_part_that_fails_is_sent_again_and_the_rest_is_not_lost(tmp_path: Path) -> None:
    """A busy OBS and a lost reply end nothing."""
    content = os.urandom(2 * uploads.PART_BYTES)
    async with serving(tmp_path) as live:
        for action in ("busy", "drop_after"):
            live.emulator.add_faults(faults.Fault(action=action, operation="OBS.UploadPart"))
        path = await opened(live).upload(local(tmp_path, content))
        assert (tmp_path / "obs" / path.removeprefix("obs://")).read_bytes() == content


async def test_file_that_changes_meanwhile_leaves_no_object_and_no_parts(tmp_path: Path) -> None:
    """Its name would promise another content than it has."""
    async with serving(tmp_path) as live:
        uploader = opened(live)
        file = await uploader.look_at(local(tmp_path, b"a" * 12 * MEBIBYTE))
        local(tmp_path, b"b" * 12 * MEBIBYTE)
        with pytest.raises(errors.BadFile, match="changed while"):
            await uploader.send(file)
    assert objects(tmp_path) == []


async def test_upload_that_is_cancelled_leaves_no_parts(tmp_path: Path) -> None:
    """Ctrl-C in the middle: the parts that OBS has are removed."""
    async with serving(tmp_path) as live:
        uploader = opened(live)
        path = local(tmp_path, b"a" * 60 * MEBIBYTE)
        begun = asyncio.Event()
        sending = asyncio.create_task(
            uploader.upload(path, lambda given, _total: begun.set() if given > 4 * uploads.PART_BYTES else None)
        )
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert objects(tmp_path) == []


async def test_refusals_and_silence_are_told_apart_and_show_no_keys(tmp_path: Path) -> None:
    """Wrong keys are final; an OBS that is away may be tried again."""
    path = local(tmp_path, b"x")
    async with serving(tmp_path) as live:
        with pytest.raises(errors.ObsRefused) as refused:
            await opened(live, secret_key=pydantic.SecretStr("s3cret-wrong")).upload(path)
        uploader = opened(live, connect_timeout_s=0.5)
    with pytest.raises(errors.ObsDown) as away:
        await uploader.upload(path)
    for text in (str(refused.value), str(away.value), repr(uploader)):
        assert not any(word in text for word in (KEY.access_key, "s3cret", "http://"))
    assert objects(tmp_path) == []
