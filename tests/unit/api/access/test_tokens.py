"""The file of bearer tokens: its form, and what happens when it changes."""

from __future__ import annotations

import os
import pathlib

import pytest
from tests.support import access, cells, web_role

from mrs_relay import errors
from mrs_relay.api.access import callers, tokens

_LINE = f"sha256:{'0' * 64} ann"


def test_a_token_is_found_by_its_hash_alone(tmp_path: pathlib.Path) -> None:
    """The file holds nothing that could be used as a token."""
    grants = callers.read_grants("operator@etl,viewer@*")
    token, line = tokens.make("ann", grants, web_role.NOW_MS)
    file = tmp_path / "tokens"
    file.write_text(f"# ann\n\n{line}\n")
    assert token not in line
    found = tokens.TokenFile(file).find(tokens.digest(token))
    assert found is not None
    assert (found.caller, found.until_ms) == (callers.Caller("api_key", "ann", grants), web_role.NOW_MS)
    assert tokens.TokenFile(file).find(tokens.digest(line.split()[0].removeprefix("sha256:"))) is None
    assert tokens.TokenFile(file).find(tokens.digest(token[:-1])) is None
    assert tokens.make("ann", grants, None)[0] != token


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{_LINE} ", "got 2 fields"),
        (f"{_LINE} admin@* 2027-01-01T00:00:00Z more", "got 5 fields"),
        (f"{_LINE} owner@*", "expected ROLE@TENANT"),
        (f"{_LINE} admin", "expected ROLE@TENANT"),
        (f"{_LINE} viewer@a,admin@a", "two roles"),
        (f"{_LINE} admin@* tomorrow", "tomorrow"),
        ("mrsr_secret ann admin@*", "expected sha256: and 64 hexadecimal digits"),
    ],
)
def test_a_file_of_another_form_is_refused_at_the_start(tmp_path: pathlib.Path, line: str, words: str) -> None:
    """With the number of the line, and without its content, which may be a token."""
    file = tmp_path / "tokens"
    file.write_text(f"# tokens\n{line}\n")
    with pytest.raises(errors.SettingsError, match=words) as raised:
        tokens.TokenFile(file)
    assert "line 2" in str(raised.value)
    assert "mrsr_secret" not in str(raised.value)


def test_a_file_that_is_not_there_is_refused_at_the_start(tmp_path: pathlib.Path) -> None:
    """A service without it would refuse everybody."""
    with pytest.raises(errors.SettingsError, match=r"api\.access\.tokens_file"):
        tokens.TokenFile(tmp_path / "none")


async def test_a_change_of_the_file_is_in_effect_at_once_and_a_broken_file_changes_nothing(
    tmp_path: pathlib.Path,
) -> None:
    """A token is taken back without a restart; a file that is half written locks nobody out."""
    known = access.Callers(tmp_path)
    async with web_role.role(access.stage(), known.chosen()) as client:
        headers = known.headers("viewer")
        await client.get("/v1/requests", headers=headers)
        _replace(known.file, "not a line\n")
        await client.get("/v1/requests", headers=headers)
        token, line = tokens.make("bob", callers.read_grants("viewer@*"), None)
        _replace(known.file, line)
        await client.get("/v1/requests", 401, headers)
        await client.get("/v1/requests", headers={"Authorization": f"bearer {token}"})


def _replace(file: pathlib.Path, text: str) -> None:
    """Write another file in its place, as editors and mounted secrets do."""
    other = file.with_suffix(".new")
    other.write_text(text)
    os.replace(other, file)  # noqa: PTH105 - as a mount does


def test_grants_are_written_as_they_are_read() -> None:
    """One form for the file, the settings and the claims."""
    for text in ("viewer@*", "admin@a-b_c,viewer@*"):
        with cells.cell(text):
            assert callers.write_grants(callers.read_grants(text)) == text
