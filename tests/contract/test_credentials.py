"""Every way to log in, against the emulator's IAM, over hours of virtual time."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support import emulated

from mrs_emulator.core import faults
from mrs_relay import errors
from mrs_relay.mrs import credentials
from mrs_relay.mrs.operations import clusters, jobs

pytestmark = pytest.mark.looptime

_TOKENS = "/v3/auth/tokens"
_KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"
_PROJECTS = "/v3/projects"

_KEY_PAIR: dict[str, Any] = dict(emulated.KEYS)
_USER: dict[str, Any] = {"iam_user": "emulator", "iam_password": "emulator-password", "iam_domain": "emulator-account"}
_PARTNER: dict[str, Any] = {"iam_user": "partner", "iam_password": "partner-password", "iam_domain": "partner-account"}
_AGENCY: dict[str, Any] = {"agency_name": "mrs-agency", "agency_domain": "emulator-account"}
_PARTNER_KEYS: dict[str, Any] = {"access_key": "PARTNERACCESSKEY0001", "secret_key": "partner-secret-key"}
_KNOWN: dict[str, Any] = {
    "credentials": (
        {},
        {**_PARTNER_KEYS, "user": "partner", "domain": "partner-account"},
    )
}
_AT = {"cluster_id": emulated.CLUSTER}
_BODY = {"job_type": "Flink", "job_name": "one"}


@pytest.mark.parametrize(
    ("login", "asked"),
    [
        (_KEY_PAIR, {_PROJECTS: 1, _TOKENS: 0, _KEYS: 0}),
        ({**_KEY_PAIR, "temporary_keys": True}, {_PROJECTS: 1, _TOKENS: 0, _KEYS: 1}),
        (_USER, {_PROJECTS: 0, _TOKENS: 1, _KEYS: 0}),
        ({**_USER, "project_id": emulated.PROJECT}, {_PROJECTS: 0, _TOKENS: 1, _KEYS: 0}),
        ({**_USER, "temporary_keys": True}, {_PROJECTS: 0, _TOKENS: 1, _KEYS: 1}),
        ({**_PARTNER, **_AGENCY}, {_PROJECTS: 0, _TOKENS: 2, _KEYS: 0}),
        ({**_PARTNER, **_AGENCY, "temporary_keys": True}, {_PROJECTS: 1, _TOKENS: 1, _KEYS: 1}),
        ({**_PARTNER_KEYS, **_AGENCY}, {_PROJECTS: 1, _TOKENS: 0, _KEYS: 1}),
    ],
    ids=[
        "keys",
        "temporary keys",
        "password",
        "password and id",
        "password to keys",
        "agency",
        "agency to keys",
        "keys to agency",
    ],
)
async def test_each_way_in_opens_mrs(login: dict[str, Any], asked: dict[str, int]) -> None:
    """Reads and writes work, with as few calls to IAM as the way needs."""
    async with emulated.kept(emulated=_KNOWN, **login) as mrs:
        page = await mrs.client.call(clusters.LIST_CLUSTERS)
        assert [one.cluster_id for one in page.clusters] == [emulated.CLUSTER]
        await mrs.client.call(jobs.CREATE_EXECUTE_JOB, path=_AT, body=_BODY)
        assert {path: mrs.asked_iam(path) for path in asked} == asked


async def test_a_key_pair_of_a_stranger_cannot_assume_the_agency() -> None:
    """IAM refuses whom the agency does not trust, and the call says so."""
    stranger = {**_KNOWN["credentials"][1], "domain": "stranger-account"}
    async with emulated.kept(emulated={"credentials": (stranger,)}, **_PARTNER_KEYS, **_AGENCY) as mrs:
        with pytest.raises(errors.MrsRefused, match="not authorized"):
            await mrs.client.call(clusters.LIST_CLUSTERS)


async def test_a_hundred_calls_wait_for_one_token() -> None:
    """However many calls find no credentials, IAM is asked once."""
    async with emulated.kept(**_USER) as mrs, asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(mrs.client.call(clusters.LIST_CLUSTERS))
    assert mrs.asked_iam(_TOKENS) == 1


async def test_a_token_is_renewed_before_it_dies() -> None:
    """Over two days of calls a minute, none meets a dead token and IAM is asked a few times."""
    async with emulated.kept(emulated={"iam": {"token_lifetime_s": 7200}}, **_USER) as mrs:
        for _ in range(2 * 24 * 60):
            await mrs.client.call(clusters.LIST_CLUSTERS)
            await asyncio.sleep(60)
        refused = [one for one in mrs.door.sent if one.target.startswith("/v1.1")]
        assert len(refused) == 2 * 24 * 60
        assert 32 <= mrs.asked_iam(_TOKENS) <= 34


async def test_temporary_keys_are_renewed_before_they_die() -> None:
    """Keys for a quarter of an hour serve for a day."""
    login = {**_USER, "temporary_keys": True, "temporary_keys_s": 900}
    async with emulated.kept(**login) as mrs:
        for _ in range(24 * 60):
            await mrs.client.call(clusters.LIST_CLUSTERS)
            await asyncio.sleep(60)
        assert 125 <= mrs.asked_iam(_KEYS) <= 135


async def test_a_token_that_dies_early_is_replaced_in_the_middle_of_a_call() -> None:
    """A 401 was not executed: the call is sent again with a new token, and everybody gets the new one."""
    async with emulated.kept(**_USER) as mrs:
        await mrs.client.call(clusters.LIST_CLUSTERS)
        await asyncio.sleep(3600)
        body = {"error_code": "APIGW.0307", "error_msg": "The token must be updated"}
        refused = faults.Fault(
            action=faults.Action.STATUS, operation="CreateExecuteJob", status=401, body=body, count=10
        )
        mrs.mrs.add_faults(refused)
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                wanted = {**_BODY, "job_name": f"job-{number}"}
                group.create_task(mrs.client.call(jobs.CREATE_EXECUTE_JOB, path=_AT, body=wanted))
        assert mrs.asked_iam(_TOKENS) == 2
        assert sorted(one.name for one in mrs.mrs.effects()) == [f"job-{number}" for number in range(10)]


async def test_a_wrong_password_is_reported_and_not_tried_again_and_again() -> None:
    """IAM locks users who fail repeatedly: the refusal is remembered, and every call ends with it."""
    async with emulated.kept(**{**_USER, "iam_password": "wrong-word"}) as mrs:
        for _ in range(30):
            with pytest.raises(errors.MrsRefused) as caught:
                await mrs.client.call(clusters.LIST_CLUSTERS)
            await asyncio.sleep(1)
        assert mrs.asked_iam(_TOKENS) == 1
        assert "wrong-word" not in str(caught.value)
        await asyncio.sleep(credentials.REFUSED_S)
        with pytest.raises(errors.MrsRefused):
            await mrs.client.call(clusters.LIST_CLUSTERS)
        assert mrs.asked_iam(_TOKENS) in {2, 3}


async def test_calls_wait_while_iam_is_away_and_say_so_at_last() -> None:
    """IAM out of order is no refusal: the calls fail as untouched, and work as soon as it is back."""
    async with emulated.kept(call_timeout_s=10, **_USER) as mrs:
        mrs.mrs.add_faults(
            faults.Fault(action=faults.Action.STATUS, operation="KeystoneCreateToken", status=503, count=None)
        )
        with pytest.raises(errors.MrsUntouched):
            await mrs.client.call(clusters.LIST_CLUSTERS)
        mrs.mrs.clear_faults()
        assert (await mrs.client.call(clusters.LIST_CLUSTERS)).clusters


async def test_an_unknown_project_name_is_reported() -> None:
    """Nothing is guessed: the error names the setting to give."""
    async with emulated.kept(**_KEY_PAIR, project_name="cn-north-4_other") as mrs:
        with pytest.raises(errors.MrsRefused, match=r"no project of the name 'cn-north-4_other': set project_id"):
            await mrs.client.call(clusters.LIST_CLUSTERS)


@pytest.mark.parametrize("style", ["json", "toml"])
async def test_keys_in_a_file_are_taken_over_when_they_change(tmp_path: Path, style: str) -> None:
    """A rotated key is used within seconds, without a restart, and one that cannot be read changes nothing."""
    file = tmp_path / f"login.{style}"
    _write(file, style, access_key="OLDKEY0001", secret_key="old-secret")  # noqa: S106 - no real one
    known = [{"access_key": name, "secret_key": secret} for name, secret in (("OLDKEY0001", "old-secret"),)]

    new = {"access_key": "NEWKEY0002", "secret_key": "new-secret"}
    async with emulated.kept(
        emulated={"credentials": [*known, new]}, project_id=emulated.PROJECT, credentials_file=file
    ) as mrs:
        await mrs.client.call(clusters.LIST_CLUSTERS)
        _write(file, style, **new)
        await asyncio.sleep(10)
        await mrs.client.call(clusters.LIST_CLUSTERS)
        file.write_text("{ not finished")
        await asyncio.sleep(10)
        await mrs.client.call(clusters.LIST_CLUSTERS)

    used = [one.headers["Authorization"].split("Access=")[1][:10] for one in mrs.door.sent]
    assert used == ["OLDKEY0001", "NEWKEY0002", "NEWKEY0002"]


def _write(file: Path, style: str, **fields: str) -> None:
    beside = file.with_suffix(".new")
    text = json.dumps(fields) if style == "json" else "".join(f'{name} = "{value}"\n' for name, value in fields.items())
    beside.write_text(text)
    os.replace(beside, file)  # noqa: PTH105 - as mounted secrets are replaced


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "credentials are missing"),
        ("{}", "credentials are missing"),
        ('{"access_key": "A"}', "access_key and secret_key belong together"),
        ("[1, 2", "neither a JSON object nor TOML"),
        ('{"access_key": "A B", "secret_key": "secret-word"}', "access_key"),
        ('secret = "secret-word"', "secret: Extra inputs"),
        ('iam_user = "u"\niam_password = "secret-word"', "iam_domain: needed to log in by password"),
    ],
)
async def test_a_file_that_is_no_login_is_refused_at_the_start(tmp_path: Path, text: str, says: str) -> None:
    """The error names the file and the field and shows no value."""
    file = tmp_path / "login"
    file.write_text(text)
    with pytest.raises(errors.SettingsError, match=says) as caught:
        async with emulated.kept(project_id=emulated.PROJECT, credentials_file=file):
            pass
    assert str(file) in str(caught.value)
    assert "secret-word" not in str(caught.value)


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error names the missing file."""
    with pytest.raises(errors.SettingsError, match="absent cannot be read"):
        async with emulated.kept(project_id=emulated.PROJECT, credentials_file=tmp_path / "absent"):
            pass


@pytest.mark.parametrize("text", [None, "{ not finished"])
async def test_one_that_is_patient_begins_without_its_file_and_uses_it_once_it_is_there(
    tmp_path: Path, text: str | None
) -> None:
    """Calls fail meanwhile, unsent, and name the file; beside other connections that is no reason not to start."""
    file = tmp_path / "login"
    if text is not None:
        file.write_text(text)

    known = {"access_key": "NEWKEY0002", "secret_key": "new-secret"}
    async with emulated.kept(
        emulated={"credentials": [known]}, patient=True, project_id=emulated.PROJECT, credentials_file=file
    ) as mrs:
        for _ in range(2):
            with pytest.raises(errors.MrsUntouched, match=str(file)):
                await mrs.client.call(clusters.LIST_CLUSTERS)
            await asyncio.sleep(60)
        assert not mrs.door.sent
        _write(file, "json", **known)
        await asyncio.sleep(60)
        await mrs.client.call(clusters.LIST_CLUSTERS)
