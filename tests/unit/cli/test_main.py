"""The command line as others rely on it: commands, options, exit codes, one line for each error."""

from __future__ import annotations

import asyncio
import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer import testing

from mrs_relay import errors
from mrs_relay.cli import main, run, summaries

_CONNECTION = ["--config", "--bootstrap", "--tenant"]
_MESSAGE = ["--id", "--source", "--key", "--priority", "--label", "--not-before", "--no-validate"]
_MANY = ["--dry-run", "--yes"]
_HERE = ["--json", "--config", "--bootstrap"]
_DELIVERY = ["--wait", "--timeout", "--json", *_CONNECTION]

OPTIONS = {
    "serve": ["--config"],
    "demo": [
        *("--keep", "--scale", "--speed", "--timeout"),
        *("--kafka-port", "--mrs-port", "--obs-port", "--web-port", "--dashboard-port", "--open"),
    ],
    "emulate": [
        *(
            "--host",
            "--port",
            "--data",
            "--obs",
            "--obs-port",
            "--state",
            "--faults",
            "--cluster",
            "--slots",
            "--speed",
        ),
        *(
            "--run-s",
            "--no-limits",
            "--no-auth",
            "--access-key",
            "--secret-key",
            "--project",
            "--config",
            "--log-level",
        ),
    ],
    "submit job": [
        *("--cluster", "--type", "--name", "--arg", "--property", "--upload", "--api", "--field"),
        *_MESSAGE,
        *_DELIVERY,
    ],
    "submit sql": [
        *("--cluster", "--engine", "--statement", "--file", "--database", "--archive-path"),
        *("--deliver", "--format", "--max-rows", "--max-bytes", "--name"),
        *_MESSAGE,
        *_DELIVERY,
    ],
    "submit file": ["path", "--source", "--key", "--no-validate", *_DELIVERY],
    "wait": ["request_ids", "--source", "--since", "--timeout", "--json", *_CONNECTION],
    "web": ["--config"],
    "lineage forward": ["--config"],
    "web token": ["name", "--role", "--tenant", "--days", "--file", "--json"],
    "events": [
        *("--follow", "--id", "--state", "--type", "--cluster", "--label", "--source", "--since", "--after"),
        *("--until-done", "--json"),
        *_CONNECTION,
    ],
    "watch": ["--id", "--source", "--cluster", "--from", "--until-done", "--json", *_CONNECTION],
    "jobs": ["--state", "--cluster", "--id", "--limit", "--json", *_CONNECTION],
    "why": ["request_id", "--source", "--json", *_CONNECTION],
    "status": ["--watch", "--json", "--config", "--bootstrap"],
    "cancel": ["request_id", "--where", "--note", "--source", "--key", *_MANY, "--json", *_CONNECTION],
    "retry": ["request_id", "--where", "--reason", "--source", *_MANY, "--json", *_CONNECTION],
    "resolve": [
        *(
            "request_ids",
            "verdict",
            "--note",
            "--where",
            "--file",
            "--source",
            "--key",
            "--cluster",
            "--reason-code",
            "--since",
        ),
        *("--all", *_MANY, "--json"),
        *_CONNECTION,
    ],
    "hold": ["scope", "--where", "--reason", "--until", "--by", *_MANY, *_HERE],
    "drain": ["scope", "--reason", "--until", "--by", "--wait", *_HERE],
    "quarantine": ["scope", "--where", "--reason", "--until", "--by", "--reject", *_MANY, *_HERE],
    "skip": ["message", "--reason", "--by", *_HERE],
    "release": ["scope", "--where", "--reason", "--by", *_MANY, *_HERE],
    "controls": _HERE,
    "orphans": [
        *("--cluster", "--all", "--adopt", "--kill", "--kill-all", "--reason", "--yes", "--json"),
        *("--config", "--tenant"),
    ],
    "call": ["name", "--path", "--query", "--body", "--list", "--help", "--json", "--config", "--tenant"],
    "audit": ["--since", "--action", "--by", "--id", "--json", *_CONNECTION],
    "dead-letters list": ["--reason", "--since", "--until", "--limit", "--json", *_CONNECTION],
    "dead-letters show": ["position", "--raw", "--json", *_CONNECTION],
    "dead-letters replay": [
        *("position", "--reason", "--since", "--until", "--all", "--note", "--dry-run", "--json"),
        *_CONNECTION,
    ],
    "topics create": ["--partitions", "--replication", "--json", *_CONNECTION],
    "topics acls": ["--role", "--principal", "--strimzi", *_CONNECTION],
    "topics check": ["--json", *_CONNECTION],
    "ledger export": ["file", "--json", *_CONNECTION],
    "ledger verify": ["file", "--live", "--json", *_CONNECTION],
    "ledger import": [
        "file",
        "--start",
        "--final",
        "--merge",
        "--forgotten",
        "--dry-run",
        "--reason",
        "--json",
        *_CONNECTION,
    ],
    "check": ["--json", "--config", "--tenant"],
    "settings": ["words", "--json"],
    "schemas export": ["folder", "--breaking"],
    "schemas check": ["folder", "--baseline"],
    "schemas baseline": [],
    "schemas show": ["kind", "--example"],
    "schemas list": [],
    "schemas validate": ["file", "--json"],
    "schemas register": ["--registry", "--requests-topic", "--events-topic", "--user", "--password", "--dry-run"],
}
"""Commands and their options. People and scripts rely on them: change this on purpose only, and tell the changelog."""


def _commands(command: Any, path: tuple[str, ...] = ()) -> dict[str, list[str]]:
    if hasattr(command, "commands"):
        found: dict[str, list[str]] = _own(command, path) if command.invoke_without_command else {}
        for name, inner in command.commands.items():
            found |= _commands(inner, (*path, name))
        return found
    return _own(command, path)


def _own(command: Any, path: tuple[str, ...]) -> dict[str, list[str]]:
    return {" ".join(path): [parameter.opts[0] for parameter in command.params]}


@pytest.fixture
def cli() -> testing.CliRunner:
    """Runs commands in this process."""
    return testing.CliRunner()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """No setting of the developer's shell gets in."""
    for name in ("MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS", "MRS_RELAY_MRS__ENDPOINT", "MRS_RELAY_MRS__PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_commands_and_options_are_pinned() -> None:
    """Names of commands and options are a contract."""
    assert _commands(typer.main.get_command(main.app)) == OPTIONS


def test_a_command_starts_without_what_only_other_commands_need() -> None:
    """Each import takes a share of a second: the clients of Kafka and MRS are for the commands that use them."""
    program = (
        "import sys; from mrs_relay.cli import main;"
        "main.app(['emulate', '--help'], standalone_mode=False);"
        "assert not {'aiokafka', 'mrs_relay.settings', 'mrs_relay.engine', 'mrs_relay.demo'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200, stdout=subprocess.DEVNULL)


def test_list_of_commands_imports_none_of_them() -> None:
    """Its lines are the beginnings of the commands' own helps."""
    program = (
        "import sys; from mrs_relay.cli import main;"
        "main.app(['--help'], standalone_mode=False);"
        "assert not {'pydantic', 'aiokafka', 'mrs_relay.settings', 'mrs_relay.cli.submit'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200, stdout=subprocess.DEVNULL)
    commands: dict[str, Any] = vars(typer.main.get_command(main.app))["commands"]
    begins = {name: " ".join(one.help.partition("\n\n")[0].split()) for name, one in commands.items()}
    assert begins == summaries.SUMMARIES


@pytest.mark.parametrize("command", [[], *(name.split() for name in OPTIONS)])
def test_every_command_has_help_with_an_example(cli: testing.CliRunner, command: list[str]) -> None:
    """Help says what it does and shows how."""
    shown = cli.invoke(main.app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "mrs-relay" in shown.output.partition("Example")[2]


def test_version_is_reported(cli: testing.CliRunner) -> None:
    """`--version` is one line."""
    shown = cli.invoke(main.app, ["--version"])
    assert shown.output.startswith("mrs-relay ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError("x"), 2),
        (errors.BadMessage("bad_value", "x"), 2),
        (errors.StreamDown("x"), 3),
        (errors.MrsUntouched("x"), 3),
        (errors.MrsRefused("x"), 1),
        (errors.Fenced("x"), 1),
    ],
)
def test_an_error_becomes_its_exit_code_and_one_line(
    cli: testing.CliRunner, monkeypatch: pytest.MonkeyPatch, error: errors.RelayError, code: int
) -> None:
    """Scripts read the code, people the line; no stack is shown."""

    def fail(work: Any) -> None:
        work.close()
        raise error

    monkeypatch.setattr(run, "loop", fail)
    shown = cli.invoke(main.app, ["topics", "check"])
    assert (shown.exit_code, shown.stderr.strip(), shown.stdout) == (code, "x", "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["submit", "job", "--cluster", "c", "--type", "Nonsense"], "data.job.job_type"),
        (["submit", "job", "--cluster", "c", "--type", "Flink", "--property", "x"], "name=value"),
        (["submit", "sql", "--cluster", "c", "--engine", "spark"], "--statement TEXT or --file"),
        (["submit", "sql", "--cluster", "c", "--engine", "spork", "-s", "SELECT 1"], "data.engine"),
        (
            ["submit", "sql", "--cluster", "c", "--engine", "spark", "-s", "SELECT 1", "--timeout", "soon"],
            "no duration",
        ),
        (
            ["submit", "sql", "--cluster", "c", "--engine", "spark", "-s", "SELECT 1", "--not-before", "soon"],
            "not_before",
        ),
        (["submit", "sql", "--cluster", "c", "--engine", "presto", "-s", "x", "--deliver", "by-post"], "data.result"),
        (["submit", "file", "no-such-file"], "no-such-file cannot be read"),
        (["submit", "job", "--cluster", "c", "--type", "Flink", "--upload", "a.jar"], "set uploads.path"),
        (
            ["submit", "job", "--cluster", "c", "--type", "Flink", *["--upload", "a.jar"] * 2],
            "two files are called a.jar",
        ),
        (["wait", "a", "--since", "soon"], "--since"),
        (["watch", "--from", "yesterday"], "yesterday"),
        (["jobs", "--state", "asleep"], "asleep"),
        (["schemas", "show", "mrs.nothing"], "schemas list"),
        (["settings", "--nonsense"], "--nonsense"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(
    cli: testing.CliRunner, arguments: list[str], expected: str
) -> None:
    """Nothing is sent, and the message names the option or the field."""
    shown = cli.invoke(main.app, arguments, env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == run.Code.USAGE
    assert expected in shown.stderr


def test_all_messages_of_a_file_are_checked_before_the_first_is_sent(cli: testing.CliRunner) -> None:
    """One wrong message and none goes out; the message is counted."""
    good = {"type": "mrs.sql.submit", "data": {"cluster": "c", "engine": "spark", "statement": "SELECT 1"}}
    bad = {"type": "mrs.sql.submit", "data": {"cluster": "c"}}
    shown = cli.invoke(main.app, ["submit", "file", "-"], input=json.dumps([good, bad]))
    assert shown.exit_code == run.Code.USAGE
    assert "message 2" in shown.stderr


def test_an_empty_list_of_messages_is_wrong_use(cli: testing.CliRunner) -> None:
    """Sending nothing is no success."""
    assert cli.invoke(main.app, ["submit", "file", "-"], input="[]").exit_code == run.Code.USAGE


def test_a_wrong_setting_is_named_without_a_stack(cli: testing.CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` refuses to start: exit 2, the setting and its variable, no traceback."""
    monkeypatch.setenv("MRS_RELAY_KAFKA__GUARANTEE", "maybe")
    shown = cli.invoke(main.app, ["serve"])
    assert shown.exit_code == run.Code.USAGE
    assert "MRS_RELAY_KAFKA__GUARANTEE" in shown.stderr
    assert "Traceback" not in shown.output


def test_schemas_are_exported_and_then_found_equal(cli: testing.CliRunner, tmp_path: pathlib.Path) -> None:
    """What export writes, check accepts; a changed file is named and exit is 1."""
    folder = str(tmp_path / "schemas")
    written = cli.invoke(main.app, ["schemas", "export", folder]).stdout.splitlines()
    assert cli.invoke(main.app, ["schemas", "check", folder]).exit_code == 0
    pathlib.Path(written[0]).write_text("{}")
    shown = cli.invoke(main.app, ["schemas", "check", folder])
    assert shown.exit_code == run.Code.FAILED
    assert "differs from the models" in shown.stdout


def test_a_schema_is_shown_as_json(cli: testing.CliRunner) -> None:
    """`schemas show` prints a schema and nothing else."""
    shown = cli.invoke(main.app, ["schemas", "show", "mrs.sql.submit"])
    assert json.loads(shown.stdout)["title"] == "mrs.sql.submit"


def test_settings_can_be_searched_and_read_by_programs(cli: testing.CliRunner) -> None:
    """Words narrow the list; `--json` gives a line for each setting."""
    lines = cli.invoke(main.app, ["settings", "bootstrap", "--json"]).stdout.splitlines()
    assert "MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS" in [json.loads(line)["variable"] for line in lines]
    assert len(lines) < len(cli.invoke(main.app, ["settings", "--json"]).stdout.splitlines())


def test_no_setting_shows_a_secret(cli: testing.CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list shows defaults, never what is set."""
    monkeypatch.setenv("MRS_RELAY_MRS__SECRET_KEY", "do-not-show-me")
    assert "do-not-show-me" not in cli.invoke(main.app, ["settings"]).output


def test_interrupting_a_command_ends_it_with_130(cli: testing.CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no error of ours and shows no stack."""

    def interrupted(work: Any) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "loop", interrupted)
    assert cli.invoke(main.app, ["topics", "check"]).exit_code == run.Code.INTERRUPTED
    assert cli.invoke(main.app, ["watch"]).exit_code == run.Code.OK


def test_interrupting_a_submission_says_how_to_follow_it(
    cli: testing.CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent continues: the reader gets the command that shows it."""

    def interrupted(work: Any) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "loop", interrupted)
    shown = cli.invoke(main.app, ["submit", "job", "--cluster", "c", "--type", "Flink", "--id", "mine 1", "--wait"])
    assert shown.exit_code == run.Code.INTERRUPTED
    assert "mrs-relay watch --from 1h --id 'mine 1'" in shown.stderr


def test_an_event_loop_runs_to_the_end_of_its_work() -> None:
    """The one helper that starts loops returns what the work returns."""

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert run.loop(work()) == 7
