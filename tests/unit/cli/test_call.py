"""`mrs-relay call`: lists, explains and performs every operation, and never shows a body in an error."""

from __future__ import annotations

import json
import pathlib

import pytest
from tests.support import overview
from typer import testing

from mrs_relay.cli import main, reference, run

_ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> testing.CliRunner:
    """Runs commands in this process; MRS is at a closed port."""
    for name, value in (
        ("ENDPOINT", "http://127.0.0.1:9"),
        ("PROJECT_ID", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
        ("ACCESS_KEY", "EXAMPLEACCESSKEY0001"),
        ("SECRET_KEY", "example-secret"),
    ):
        monkeypatch.setenv(f"MRS_RELAY_MRS__{name}", value)
    monkeypatch.chdir(tmp_path)
    return testing.CliRunner()


def test_the_list_has_every_operation(cli: testing.CliRunner) -> None:
    """A line each, with what it does."""
    found = cli.invoke(main.app, ["call", "--list", "--json"])
    rows = [json.loads(line) for line in found.output.splitlines()]
    assert {row["name"]: (row["verb"], row["path"]) for row in rows} == overview.OVERVIEW
    assert all(len(row["summary"]) > 10 for row in rows)
    table = cli.invoke(main.app, ["call", "--list"]).output
    assert all(name in table for name in overview.OVERVIEW)


def test_every_operation_explains_itself(cli: testing.CliRunner) -> None:
    """Help tells how it is sent, which path values it wants, what may be repeated, and where that was read."""
    for name, (verb, path) in overview.OVERVIEW.items():
        found = cli.invoke(main.app, ["call", name, "--help"])
        wanted = [f"{verb} {path}", "Safety", "Budget", "Source"]
        wanted += [f"--path {field.split('}')[0]}=…" for field in path.split("{")[2:]]
        missing = [text for text in wanted if text not in found.output]
        assert (found.exit_code, missing) == (run.Code.OK, []), name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CreateExecuteJob", ["job_name", "^[A-Za-z0-9_-]{1,64}$", "MapReduce | SparkSubmit"]),
        ("ShowJobExeListNew", ["submitted_time_begin", "≥ 1", "asc | desc"]),
        ("RunJobFlow", ["steps[].job_execution.job_name", "node_groups[].node_num", "≥ 0, ≤ 500", "secret text"]),
        ("UpdateClusterScaling", ["parameters.instances", "scale_out | scale_in"]),
    ],
)
def test_help_shows_fields_and_limits(cli: testing.CliRunner, name: str, words: list[str]) -> None:
    """Fields inside others have dotted names."""
    found = cli.invoke(main.app, ["call", name, "-h"], env={"COLUMNS": "300"}).output
    together = "".join(found.split())
    assert all("".join(word.split()) in together for word in words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["StopJb"], "did you mean StopJob"),
        (["Nothing like it"], "--list"),
        (["StopJob", "--path", "cluster_id"], "not of the form name=value"),
        (["CreateExecuteJob", "--body", '{"secret": "secret-word"'], "not valid JSON"),
        (["CreateExecuteJob", "--body", '["secret-word"]'], "must be a JSON object"),
        (["CreateExecuteJob", "--body", '{"secret-word": NaN}'], "not valid JSON: it has no NaN"),
        (["CreateExecuteJob", "--body", '{"secret-word": 1e400}'], "too large"),
        (["CreateExecuteJob", "--body", "9" * 5000], "too large"),
        (["CreateExecuteJob", "--body", "@absent.json"], "absent.json cannot be read"),
    ],
)
def test_wrong_usage_is_reported(cli: testing.CliRunner, words: list[str], says: str) -> None:
    """Exit code 2, with a hint, and without the body."""
    found = cli.invoke(main.app, ["call", *words])
    assert found.exit_code == run.Code.USAGE
    assert "".join(says.split()) in "".join(found.output.replace("│", "").split())
    assert "secret-word" not in found.output


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["ListClusters"], run.Code.UNREACHABLE, "cannot reach http://127.0.0.1:9"),
        (["StopJob"], run.Code.FAILED, "path value 'cluster_id' is missing"),
        (["ListClusters", "--query", "pageSize=none"], run.Code.FAILED, "pageSize"),
        (["CreateExecuteJob", "--path", "cluster_id=c", "--body", "-"], run.Code.FAILED, "job_name"),
    ],
)
def test_a_call_that_fails_says_why(cli: testing.CliRunner, words: list[str], code: run.Code, says: str) -> None:
    """One line on standard error that names the field, and no value."""
    found = cli.invoke(main.app, ["call", *words], input='{"job_type": "Flink", "job_name": "secret word"}')
    assert found.exit_code == code
    assert says in found.output
    assert "secret word" not in found.output


def test_without_a_name_the_help_is_shown(cli: testing.CliRunner) -> None:
    """Usage, options and examples."""
    found = cli.invoke(main.app, ["call"])
    assert found.exit_code == run.Code.USAGE
    assert "mrs-relay call --list" in found.output


def test_the_reference_page_is_up_to_date() -> None:
    """docs/operations.md is what `make operations` would write."""
    assert (_ROOT / "docs" / "operations.md").read_text() == reference.markdown(_ROOT)


def test_the_reference_page_has_a_row_for_each_operation() -> None:
    """All of the overview, each played by the emulator and called by a foreign client's test."""
    rows = [line.split(" | ") for line in reference.markdown(_ROOT).splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == _in_groups()
    assert all(row[8] == "yes" for row in rows)
    assert [row[0] for row in rows if row[9] == "-"] == []


def _in_groups() -> list[str]:
    from mrs_relay.mrs import reference as operations  # noqa: PLC0415 - its name is taken above

    found = [one.name for _, members in operations.operations() for one in members]
    assert sorted(found) == sorted(overview.OVERVIEW)
    return found


def test_an_outdated_page_fails_the_check(cli: testing.CliRunner, tmp_path: pathlib.Path) -> None:
    """Writing and checking agree; a changed page is found."""
    assert cli.invoke(reference.app, ["check", str(tmp_path)]).exit_code == run.Code.FAILED
    assert cli.invoke(reference.app, ["write", str(tmp_path)]).exit_code == run.Code.OK
    assert cli.invoke(reference.app, ["check", str(tmp_path)]).exit_code == run.Code.OK
    page = tmp_path / "docs" / "operations.md"
    page.write_text(page.read_text() + "more\n")
    assert cli.invoke(reference.app, ["check", str(tmp_path)]).exit_code == run.Code.FAILED


def test_a_byte_order_mark_before_the_body_is_passed_over(cli: testing.CliRunner, tmp_path: pathlib.Path) -> None:
    """Some editors put one there; what is wrong with the body is reported, not that."""
    place = tmp_path / "body.json"
    place.write_text('{"job_type": "Flink"}', encoding="utf-8-sig")
    words = ["call", "CreateExecuteJob", "--path", "cluster_id=c", "--body", f"@{place}"]
    assert "job_name" in cli.invoke(main.app, words).output
