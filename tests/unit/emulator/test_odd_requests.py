"""Bodies and numbers that no client should send are refused as the API refuses, never answered as a fault of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client

from mrs_emulator.core import core
from mrs_emulator.obs import buckets, errors, heads, multipart, own_signature, wire

_NOT_UTF_8 = b'{"job_name": "\xff"}'
_ENDLESS = "9" * 5_000
"""More digits than Python reads as a number."""


def _client(**changes: object) -> http_client.Client:
    clock = clocks.HandClock()
    return http_client.Client(core.Emulator(http_client.options(**changes), clock), clock)


@pytest.mark.parametrize("faults", [False, True])
async def test_body_that_is_not_utf_8_is_refused_as_one_that_is_no_json(faults: bool) -> None:
    """Also where a fault is in force, which looks into the body for the job's name."""
    client = _client()
    if faults:
        order = {"operation": "CreateExecuteJob", "action": "drop_after", "name": "other"}
        assert (await client.ask("POST", "/emulator/faults", order)).status == 201
    reply = await client.ask("POST", f"{client.base}/job-executions", _NOT_UTF_8)
    assert (reply.status, reply.json()["error_code"]) == (400, "12000002")


async def test_body_for_iam_that_is_not_utf_8_is_refused() -> None:
    """IAM has a shape of its own for it."""
    assert (await _client().ask("POST", "/v3/auth/tokens", _NOT_UTF_8)).status == 400


async def test_faults_that_are_not_utf_8_are_refused() -> None:
    """The emulator's own API says that the JSON is invalid."""
    reply = await _client().ask("POST", "/emulator/faults", _NOT_UTF_8)
    assert (reply.status, "Invalid JSON" in reply.json()["error"]) == (400, True)


async def test_number_with_endless_digits_is_refused_by_the_admin_api() -> None:
    """It would raise outside of what answers with an error."""
    reply = await _client().ask("GET", f"/emulator/effects?start={_ENDLESS}")
    assert (reply.status, "digits" in reply.json()["error"]) == (400, True)


def test_number_with_endless_digits_is_an_invalid_argument_of_obs() -> None:
    """In a list of objects and in one of parts."""
    with pytest.raises(errors.ObsError, match="InvalidArgument"):
        buckets._number(_ENDLESS, 1000)
    request = wire.request("GET", f"/lake/key?uploadId=u&max-parts={_ENDLESS}", {"host": "127.0.0.1"}, ())
    with pytest.raises(errors.ObsError, match="InvalidArgument"):
        multipart._number(request, "max-parts", 1000)


def test_presigned_url_that_ends_in_an_endless_time_is_refused() -> None:
    """Its Expires is no time."""
    query = {"AWSAccessKeyId": "AK", "Signature": "s", "Expires": _ENDLESS}
    with pytest.raises(errors.ObsError, match="AccessDenied"):
        own_signature._of_query("AWS", "AK", query)


def test_range_with_endless_digits_counts_as_none() -> None:
    """As other ranges that OBS does not understand: the whole object comes."""
    assert heads.stretch(f"bytes=0-{_ENDLESS}", 10) is None
    assert heads.stretch("bytes=0-99", 10) == (0, 10)


async def test_log_of_a_job_that_could_not_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for a moment: the log comes with the next look."""
    client = _client(obs_dir=tmp_path, obs_job_logs="obs://lake/logs")
    job_id = await client.submitted()
    client.clock.pass_s(3_600)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", _full)
        with pytest.raises(OSError, match="full"):
            await client.emulator.settle_objects()
    await client.emulator.settle_objects()

    assert _names(tmp_path, job_id) == ["stderr", "stdout"]


def _names(folder: Path, job_id: str) -> list[str]:
    return sorted(one.name for one in folder.glob(f"lake/logs/*/{job_id}/*"))


def _full(*_args: object, **_options: object) -> None:
    raise OSError("the disk is full")
