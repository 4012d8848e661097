"""Which files may be uploaded, where they belong, and what a sender's settings must say."""

from __future__ import annotations

import importlib.util
import os
import pathlib

import pydantic
import pytest

from mrs_relay import errors, settings, tenants
from mrs_relay.obs import settings as obs_settings
from mrs_relay.obs import upload_settings, uploads

_KEYS = {"region": "cn-north-4", "access_key": "AK", "secret_key": "the-secret"}
_MRS = {"region": "cn-north-4", "project_id": "p", "access_key": "A", "secret_key": "b"}


def _uploader(**limits: object) -> uploads.Uploader:
    chosen = upload_settings.UploadSettings.model_validate({"path": "obs://lake/programs", **limits})
    return uploads.opened(obs_settings.ObsSettings.model_validate(_KEYS), chosen)


@pytest.mark.parametrize("name", ["a b.jar", "a,b.jar", "-rf.jar", "$(x).jar", "a;b", "ä.jar", "a%2e", "x" * 201])
async def test_name_that_a_job_or_a_path_could_misread_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    """The error says which names are taken; the file is not even read."""
    with pytest.raises(errors.BadFile, match=r"rename it"):
        await _uploader().look_at(tmp_path / name)


async def test_what_is_no_readable_file_within_the_limit_is_refused(tmp_path: pathlib.Path) -> None:
    """A folder, a pipe, nothing at all, an empty file, too large a file."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.jar").touch()
    (tmp_path / "large.jar").write_bytes(b"x" * 11)
    expected = {"folder": "is no file", "pipe": "is no file", "none": "cannot be read", "empty.jar": "is empty"}
    for name, words in {**expected, "large.jar": r"11 bytes; at most 10 .*uploads\.max_bytes"}.items():
        with pytest.raises(errors.BadFile, match=words):
            await _uploader(max_bytes=10).look_at(tmp_path / name)


async def test_object_lies_below_the_folder_and_keeps_its_name(tmp_path: pathlib.Path) -> None:
    """Python imports modules by it, and Spark shows it."""
    (tmp_path / "job-1_2.py").write_bytes(b"print()")
    uploader = _uploader()
    place = uploader.place(await uploader.look_at(tmp_path / "job-1_2.py"))
    assert place.bucket == "lake"
    assert place.key.split("/")[::2] == ["programs", "job-1_2.py"]


def test_settings_that_are_missing_are_named() -> None:
    """Folder, keys, address: one line each."""
    folder = upload_settings.UploadSettings(path="obs://lake/programs")
    with pytest.raises(errors.SettingsError, match=r"set uploads\.path"):
        uploads.opened(obs_settings.ObsSettings.model_validate(_KEYS), upload_settings.UploadSettings())
    with pytest.raises(errors.SettingsError, match=r"set obs\.access_key and obs\.secret_key"):
        uploads.opened(obs_settings.ObsSettings(region="cn-north-4"), folder)
    bare = obs_settings.ObsSettings.model_validate({name: _KEYS[name] for name in ("access_key", "secret_key")})
    with pytest.raises(errors.SettingsError, match=r"set obs\.endpoint or obs\.region"):
        uploads.opened(bare, folder)
    assert "the-secret" not in repr(obs_settings.ObsSettings.model_validate(_KEYS))


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default install has no library for OBS."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "obstore" else found(name))
    with pytest.raises(errors.SettingsError, match=r"install mrs-relay\[obs\]"):
        _uploader()


@pytest.mark.parametrize("path", ["obs://lake/a/../b", "s3a://lake/a", "obs://lake/a//b", "/lake", "obs://L/a"])
def test_folder_that_could_lead_elsewhere_is_refused(path: str) -> None:
    """When the settings are read."""
    with pytest.raises(pydantic.ValidationError):
        upload_settings.UploadSettings(path=path)


def _settings(**groups: object) -> settings.Settings:
    return settings.Settings.model_validate({"mrs": _MRS, **groups})


def test_tenant_has_a_folder_of_its_name_or_its_own() -> None:
    """What a tenant leaves out is as for all."""
    shared = upload_settings.UploadSettings(path="obs://lake/programs", max_bytes=5)
    named = {
        "a": tenants.Tenant(requests="a.requests"),
        "b": tenants.Tenant.model_validate({"requests": "b.requests", "uploads": {"path": "obs://pond/b"}}),
    }
    assert tenants.uploads_of(shared, named, "a").path == "obs://lake/programs/a/"
    assert tenants.uploads_of(shared, named, "b").path == "obs://pond/b/"
    assert tenants.uploads_of(shared, named, "b").max_bytes == 5
    assert tenants.uploads_of(shared, {}, "") is shared


def test_folders_of_uploads_contain_neither_each_other_nor_results() -> None:
    """Who may read one could read the other's programs; what removes old rows would remove programs."""
    nested = {
        "a": {"requests": "a.requests", "uploads": {"path": "obs://lake/programs"}},
        "b": {"requests": "b.requests", "uploads": {"path": "obs://lake/programs/b"}},
    }
    with pytest.raises(pydantic.ValidationError, match="lies in that of tenant a"):
        _settings(tenants=nested)
    for path in ("obs://lake/results", "obs://lake/results/programs", "obs://lake"):
        with pytest.raises(pydantic.ValidationError, match="contain each other"):
            _settings(uploads={"path": path}, results={"path": "obs://lake/results"})
    _settings(uploads={"path": "obs://lake/programs"}, results={"path": "obs://lake/results"})
