"""Folders that play OBS and the warehouse, small pieces of text, and settings that are refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pydantic
import pytest

from mrs_emulator.core import core, failures, settings
from mrs_emulator.jobs import job_json, rules
from mrs_emulator.sql import first_words, obs, sql, tables, values


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("obs://b/k", "b/k"),
        (" obs://b/a/b/c.csv ", "b/a/b/c.csv"),
        ("obs://b//a///b/", "b/a/b"),
        ("obs://b", "b"),
        ("obs://my.bucket-1/x y", "my.bucket-1/x y"),
    ],
)
def test_obs_path_is_a_file_in_the_folder(tmp_path: Path, url: str, path: str) -> None:
    """Bucket and key are folders and file."""
    assert obs.Obs(tmp_path).path(url) == tmp_path / path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "obs://",
        "obs:///k",
        "/etc/passwd",
        "s3a://b/k",
        "obs://../k",
        "obs://b/..",
        "obs://b/a/../../x",
        "obs://b/./x",
        "obs://b/a\\b",
        "obs://b/a\0b",
        "obs://.hidden/x",
    ],
)
def test_obs_path_that_is_malformed_or_leads_out_is_refused(tmp_path: Path, url: str) -> None:
    """Nothing outside of the folder is ever named."""
    with pytest.raises(failures.BadObsPath):
        obs.Obs(tmp_path).path(url)


def test_symbolic_link_out_of_a_bucket_is_refused(tmp_path: Path) -> None:
    """Statements read the files of buckets alone, wherever a link points."""
    (tmp_path / "root" / "b").mkdir(parents=True)
    (tmp_path / "root" / "b" / "out").symlink_to(tmp_path)
    with pytest.raises(failures.BadObsPath):
        obs.Obs(tmp_path / "root").path("obs://b/out/x")


def test_obs_text_must_be_a_readable_object(tmp_path: Path) -> None:
    """Missing objects, folders and binary data are no SQL."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "binary").write_bytes(b"\xff\xfe")
    for url in ("obs://b/none", "obs://b", "obs://b/binary"):
        with pytest.raises(failures.BadObsPath):
            obs.Obs(tmp_path).read_text(url)


def test_object_cannot_be_made_below_another_object(tmp_path: Path) -> None:
    """A file is no folder."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").write_text("x", encoding="utf-8")
    with pytest.raises(failures.BadObsPath):
        obs.Obs(tmp_path).new_file("obs://b/file/below")


def test_temporary_obs_folder_goes_away() -> None:
    """Without a folder OBS lives in a temporary one, made when first needed."""
    folder = obs.Obs(None)
    made = folder.new_file("obs://b/a/x")
    made.write_text("x", encoding="utf-8")
    folder.close()
    assert not made.exists()
    assert not folder.root.exists()


def test_data_folder_has_a_table_per_file_and_per_folder(tmp_path: Path) -> None:
    """Only files directly there count; other endings, hidden files and odd names are passed over."""
    for name in ("a.parquet", "B.CSV", "notes.txt", ".hidden.csv", "two-words.csv", "many/1.csv", "many/2.csv",
                 "deep/er/x.csv", "empty/readme.txt", "obs/bucket/x.csv"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n1\n", encoding="utf-8")
    found = tables.find(tmp_path)
    assert [table.name for table in found] == ["B", "a", "many"]
    assert found[2].source.startswith("read_csv([")
    assert found[2].source.count(".csv'") == 2


@pytest.mark.parametrize("names", [("t.csv", "t.parquet"), ("t.csv", "T/1.csv"), ("t/1.csv", "t/2.parquet")])
def test_data_folder_with_an_ambiguous_table_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """Which file is meant must be clear."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(failures.CannotStart):
        tables.find(tmp_path)


async def test_start_with_a_bad_data_folder_says_what_is_wrong(tmp_path: Path) -> None:
    """A missing folder or an unreadable file stops the start."""
    with pytest.raises(failures.CannotStart, match="does not exist"):
        async with core.Emulator(settings.EmulatorSettings(data=tmp_path / "none")):
            pass
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(failures.CannotStart, match=r"broken\.parquet"):
        async with core.Emulator(settings.EmulatorSettings(data=tmp_path)):
            pass


async def test_start_with_data_but_without_duckdb_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the command."""
    monkeypatch.setattr(sql, "AVAILABLE", False)
    with pytest.raises(failures.SqlMissing, match=r"pip install 'mrs-relay\[emulator\]'"):
        async with core.Emulator(settings.EmulatorSettings(data=tmp_path)):
            pass


@pytest.mark.parametrize(
    ("value", "text", "plain"),
    [
        (None, None, None),
        (True, "true", True),
        (7, "7", 7),
        (2**70, str(2**70), Decimal(2**70)),
        (1.5, "1.5", 1.5),
        (float("inf"), "inf", "inf"),
        (Decimal("1.50"), "1.50", Decimal("1.50")),
        (Decimal("1E+3"), "1000", Decimal("1E+3")),
        ("a", "a", "a"),
        (dt.date(2026, 11, 23), "2026-11-23", "2026-11-23"),
        (dt.datetime(2026, 11, 23, 7, 30), "2026-11-23 07:30:00.000", "2026-11-23 07:30:00.000"),  # noqa: DTZ001 - as DuckDB gives it
        (dt.datetime(2026, 1, 1, 0, 0, 0, 1), "2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000001"),  # noqa: DTZ001
        (b"\x01\xff", "01ff", "01ff"),
        ([1, None], "[1,null]", [1, None]),
        ({"a": dt.date(2026, 1, 1)}, '{"a":"2026-01-01"}', {"a": "2026-01-01"}),
    ],
)
def test_values_are_printed_for_json_and_csv(value: object, text: str | None, plain: object) -> None:
    """Exact numbers, dates as text, NULL as nothing."""
    assert values.text(value) == text
    assert values.plain(value) == plain


def test_arguments_and_properties_are_rendered_as_java_does() -> None:
    """Not JSON: brackets, equal signs, comma and space."""
    assert job_json.java_list(["a", "b c", ""]) == "[a, b c, ]"
    assert job_json.java_list([]) == "[]"
    assert job_json.java_map({"k": "v", "k2": "v2"}) == "{k=v, k2=v2}"
    assert job_json.java_map({}) == "{}"


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("select 1", "SELECT"),
        ("  -- note\n/* more */ ((With x", "WITH"),
        ("", ""),
        ("-- only a comment", ""),
        ("123", ""),
    ],
)
def test_first_word_is_found_behind_comments_and_parentheses(statement: str, word: str) -> None:
    """It decides whether a statement has an id."""
    assert first_words.first_word(statement) == word


def test_rules_name_every_order_and_outcome() -> None:
    """The help text knows what the code knows."""
    for outcome in rules.Outcome:
        assert outcome in rules.RULES
    for name in ("emulator.duration_s", "emulator.outcome", "emulator.submit", "slow", "quick", "speed"):
        assert name in rules.RULES


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"port": 70_000}, "port"),
        ({"project_id": "not-hex!"}, "project_id"),
        ({"clusters": [{}, {}]}, "clusters"),
        ({"credentials": []}, "credentials"),
        ({"credentials": [{}, {}]}, "credentials"),
        ({"pace": {"speed": 0}}, "pace.speed"),
        ({"quirk": {}}, "quirk"),
    ],
)
def test_wrong_setting_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    """Refuse to start; say which setting."""
    with pytest.raises(pydantic.ValidationError) as caught:
        settings.EmulatorSettings.model_validate(changes)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])).startswith(named)


def test_every_setting_is_described() -> None:
    """Each field says what it means."""
    groups: tuple[type[pydantic.BaseModel], ...] = (
        settings.EmulatorSettings,
        settings.Credential,
        settings.Cluster,
        settings.Pace,
        settings.Quirks,
        settings.Limits,
        settings.Sql,
    )
    for group in groups:
        for name, field in group.model_fields.items():
            assert field.description, f"{group.__name__}.{name}"
