"""Files of a submission: where their paths stand in the job, what is sent first, and what a person sees of it."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import AsyncGenerator

import pydantic
import pytest
import typer
from tests.unit.cli import fakes
from typer import testing

from mrs_relay import errors
from mrs_relay.cli import connect, main, run, uploading
from mrs_relay.messages import envelope, events
from mrs_relay.obs import paths, transport, upload_settings, uploads

_KEYS = transport.OwnKeys("AK", pydantic.SecretStr("the-secret"))
_MEBIBYTE = 1 << 20


class _Obs:
    """Objects in memory; refuses if told so."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refuses = False

    async def size(self, place: paths.Place, keys: transport.Keys) -> int:
        assert keys is _KEYS
        if str(place) not in self.objects:
            raise errors.ObsMissing(f"OBS has no object {place}")
        return len(self.objects[str(place)])

    async def put(
        self, place: paths.Place, keys: transport.Keys, pieces: AsyncGenerator[bytes], part_bytes: int
    ) -> None:
        assert (keys, part_bytes) == (_KEYS, uploads.PART_BYTES)
        if self.refuses:
            raise errors.ObsRefused(f"OBS does not let us write {place}: 403 AccessDenied")
        self.objects[str(place)] = b"".join([piece async for piece in pieces])


@pytest.fixture
def obs(monkeypatch: pytest.MonkeyPatch) -> _Obs:
    """What the settings would lead to."""
    door = _Obs()
    limits = upload_settings.UploadSettings(path="obs://lake/programs")
    made = uploads.Uploader(paths.folder("obs://lake/programs"), limits, door, _KEYS)
    monkeypatch.setattr(uploading, "_of_settings", lambda _config, _tenant: made)
    return door


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> fakes.Kafka:
    """Kafka, and a relay whose jobs succeed."""

    def answer(request: envelope.Envelope) -> list[events.EventData]:
        return fakes.reported(request, "accepted", "succeeded")

    made = fakes.Kafka(answer)
    monkeypatch.setattr(connect, "broker", lambda _settings: made)
    return made


def _file(folder: pathlib.Path, name: str, content: bytes = b"code") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def _submit(*words: str) -> tuple[int, str, str]:
    shown = testing.CliRunner().invoke(main.app, ["submit", "job", "--cluster", "c", "--type", "SparkSubmit", *words])
    return shown.exit_code, shown.stdout, shown.stderr


def _job(kafka: fakes.Kafka) -> dict[str, object]:
    value = kafka.logs["mrs.requests"][-1].value
    assert value is not None
    found: dict[str, object] = json.loads(value)["data"]["job"]
    return found


def test_file_is_sent_first_and_its_path_is_where_the_job_names_it(
    obs: _Obs, kafka: fakes.Kafka, tmp_path: pathlib.Path
) -> None:
    """In an argument, within one, in a property; what no text names comes first. The content stays out of Kafka."""
    app, lib, conf = _file(tmp_path, "app.jar"), _file(tmp_path, "lib.jar", b"more"), _file(tmp_path, "c.py", b"last")
    words = ["--upload", app, "--upload", lib, "--upload", conf, "-a", "--jars", "-a", "{lib.jar},obs://a/b.jar"]
    code, out, err = _submit(*words, "-a", "{other}", "-p", "spark.files={c.py}", "--json")
    assert (code, len(out.splitlines())) == (0, 1)
    by_name = {name.rpartition("/")[2]: name for name in obs.objects}
    assert _job(kafka) == {
        "job_type": "SparkSubmit",
        "job_name": "job",
        "arguments": [by_name["app.jar"], "--jars", f"{by_name['lib.jar']},obs://a/b.jar", "{other}"],
        "properties": {"spark.files": by_name["c.py"]},
    }
    assert err.count(" uploaded to obs://lake/programs/") == 3
    assert "the-secret" not in out + err

    assert _submit("--upload", app)[2].count("is there already: obs://lake/programs/") == 1


def test_nothing_is_sent_to_kafka_when_a_file_is_not_in_obs(
    obs: _Obs, kafka: fakes.Kafka, tmp_path: pathlib.Path
) -> None:
    """The job would not find it."""
    obs.refuses = True
    code, _, err = _submit("--upload", _file(tmp_path, "app.jar"))
    assert code == run.Code.FAILED
    assert "does not let us write" in err
    assert kafka.logs["mrs.requests"] == []


def test_nothing_is_uploaded_for_a_request_that_the_relay_would_reject(
    obs: _Obs, kafka: fakes.Kafka, tmp_path: pathlib.Path
) -> None:
    """It is checked before anything is sent, with the path that the file will have; so is each file."""
    app = _file(tmp_path, "app.jar")
    for words, expected in (
        (["--priority", "5", "--type", "Nonsense"], "job_type"),
        (["--upload", "gone.jar"], "gone"),
    ):
        code, _, err = _submit("--upload", app, *words)
        assert code == run.Code.USAGE
        assert expected in err
    assert obs.objects == {}
    assert kafka.logs["mrs.requests"] == []


def test_job_of_v11_says_where_a_file_belongs(obs: _Obs, kafka: fakes.Kafka, tmp_path: pathlib.Path) -> None:
    """Its arguments name no program, its fields do."""
    app = _file(tmp_path, "app.jar")
    code, _, err = _submit("--api", "v1.1", "--upload", app)
    assert code == run.Code.USAGE
    assert "jar_path={app.jar}" in re.sub(r"[^\w.={}]", "", err)
    assert _submit("--api", "v1.1", "--upload", app, "--field", "jar_path={app.jar}")[0] == 0
    assert _job(kafka)["jar_path"] in obs.objects


def test_progress_of_a_large_file_is_printed_by_quarters(obs: _Obs, kafka: fakes.Kafka, tmp_path: pathlib.Path) -> None:
    """Where there is no terminal; a small file has none."""
    _, _, err = _submit("--upload", _file(tmp_path, "big.jar", b"x" * 20 * _MEBIBYTE))
    assert re.findall(r"^big.jar: ([\d.]+) of 21.0 MB$", err, re.MULTILINE) == ["5.2", "10.5", "15.7", "21.0"]
    assert _job(kafka)["arguments"] == list(obs.objects)
    assert "MB" not in _submit("--upload", _file(tmp_path, "small.jar"))[2]


def test_two_files_of_one_name_are_refused(tmp_path: pathlib.Path) -> None:
    """A job could not tell them apart."""
    with pytest.raises(typer.BadParameter, match="two files are called"):
        uploading.looked_at([tmp_path / "a" / "x.jar", tmp_path / "b" / "x.jar"], None, None)
