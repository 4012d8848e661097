"""What docs/uploads.md shows: settings, commands and programs."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.support import doc_code
from typer import testing

from mrs_relay import settings
from mrs_relay import tenants as all_tenants
from mrs_relay.cli import main, uploading
from mrs_relay.obs import paths, uploads
from mrs_relay.testing import scripted

_SETTINGS, _COMMANDS, _CLIENT, _UPLOAD = [block.text for block in doc_code.blocks("docs/uploads.md")]


def test_the_settings_give_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With keys from the environment they can be used as they stand."""
    path = tmp_path / "sender.toml"
    path.write_text(_SETTINGS)
    monkeypatch.setenv("MRS_RELAY_OBS__ACCESS_KEY", "a")
    monkeypatch.setenv("MRS_RELAY_OBS__SECRET_KEY", "s")
    found = settings.load_sender(path)
    limits = all_tenants.uploads_of(found.uploads, found.tenants, "")
    assert limits.path == "obs://lake/programs/"
    uploads.opened(found.obs, limits)


@pytest.mark.parametrize("command", _COMMANDS.replace("\\\n", " ").strip().splitlines())
def test_the_commands_are_complete(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each gets as far as the upload, which is not there."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    for name in (word for before, word in itertools.pairwise(words) if before == "--upload"):
        (tmp_path / name).write_bytes(b"code")

    class Door:
        async def size(self, place: paths.Place, _keys: object) -> int:
            raise NotImplementedError(f"asked for {place}")

    limits = settings.SenderSettings().uploads
    made = uploads.Uploader(paths.folder("obs://lake/programs"), limits, Door(), None)  # type: ignore[arg-type]  # its first call ends it
    monkeypatch.setattr(uploading, "_of_settings", lambda _config, _tenant: made)
    shown = testing.CliRunner().invoke(main.app, words[1:])
    assert isinstance(shown.exception, NotImplementedError), shown.output


async def test_the_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, the second with the client of the relay for tests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.jar").write_bytes(b"code")
    known: dict[str, Any] = {"access_key": "a", "secret_key": "s", "kafka": None, "cluster": "c-1"}
    exec(_CLIENT, known)  # noqa: S102 - our own page
    async with scripted.Relay() as relay, relay.client() as client:
        program = compile(_UPLOAD, "docs/uploads.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            await eval(program, {**known, "client": client})  # noqa: S307 - our own page
        assert printed.getvalue() == "4 of 4 bytes\n"
        assert list(relay.uploaded.values()) == [b"code"]
