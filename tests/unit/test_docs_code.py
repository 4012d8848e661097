"""Every block of code on the pages is run by a test or says why not; every command on them exists."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
from tests.support import doc_code

from mrs_relay import settings
from mrs_relay.messages import checking, registry

_ROOT = doc_code.ROOT

_RUN: dict[str, dict[tuple[int, ...], str]] = {
    "docs/access.md": {(4, 5, 6): "tests/unit/api/access/test_settings.py"},
    "README.md": {(1, 2): "tests/e2e/test_docs_examples.py"},
    "docs/causes.md": {(1, 2, 3): "tests/unit/test_causes_page.py"},
    "docs/client.md": {tuple(range(1, 11)): "tests/contract/test_client_examples.py"},
    "docs/contract.md": {(1,): "tests/unit/test_docs_code.py", (2, 3): "tests/e2e/test_docs_examples.py"},
    "docs/controls.md": {(3,): "tests/unit/messages/test_controls.py"},
    "docs/disaster-recovery.md": {(1, 2, 3, 4, 5): "tests/e2e/test_other_kafka.py"},
    "docs/emulator.md": {(2, 4): "tests/contract/test_client_examples.py"},
    "docs/first-job.md": {(1, 2, 3, 4, 5, 7): "tests/e2e/test_docs_examples.py"},
    "docs/from-other-tools.md": {(1, 2, 3, 4): "tests/e2e/test_from_other_tools.py"},
    "docs/huawei-kafka.md": {(1, 2, 3, 4): "tests/e2e/test_huawei_kafka.py"},
    "docs/move-kafka.md": {(1, 2, 3, 4, 5): "tests/e2e/test_other_kafka.py"},
    "docs/old-clusters.md": {(1,): "tests/e2e/test_v11_clusters.py"},
    "docs/plain-host.md": {(2, 3): "tests/e2e/test_plain_host.py"},
    "docs/reference.md": {tuple(range(1, 11)): "tests/unit/test_docs_code.py"},
    "docs/relay-client.md": {tuple(range(1, 9)): "tests/unit/client/test_examples.py"},
    "docs/results.md": {(1, 3, 4, 6, 7, 8): "tests/unit/test_results_page.py"},
    "docs/uploads.md": {(1, 2, 3, 4): "tests/unit/test_uploads_page.py"},
    "docs/security.md": {(1,): "tests/unit/test_security_page.py"},
    "docs/subscribe.md": {(1, 2, 3, 4): "tests/e2e/test_docs_examples.py"},
    "docs/tenants.md": {(1,): "tests/unit/test_tenant_settings.py"},
    "docs/traces.md": {(2,): "tests/e2e/test_traces.py"},
}
"""Which blocks of a page are run, and by which test."""

_NOT_RUN: dict[str, dict[int, str]] = {
    "docs/access.md": {
        **dict.fromkeys((1, 2, 3), "placeholders for paths and an address; the commands are checked here"),
        8: "a placeholder for a request; tests/unit/cli/test_audit.py and tests/unit/api/test_audit.py ask the same",
        7: "needs nginx; tests/unit/api/test_guards.py sends what such a proxy passes on, and what it must not",
    },
    "README.md": {
        3: "kcat with a placeholder for the cluster; its message is checked here, the same line runs on first-job.md",
        4: "installs from a package registry and needs an account of MRS; its commands and variables are checked here",
        5: "needs Docker; the Dockerfile's commands are those of the block before",
    },
    "ARCHITECTURE.md": {1: "a drawing", 2: "a drawing"},
    "docs/commands.md": {
        **dict.fromkeys((1, 2), "placeholders for clusters; the commands are checked here and run in tests/unit/cli"),
        3: "writes files of the reader's shell; tests/unit/cli/test_complete.py reads these scripts",
    },
    "CONTRIBUTING.md": {1: "make targets, which exist; CI runs most of them"},
    "docs/dashboard.md": {
        1: "opens a browser; tests/e2e/test_demo.py runs the demo, tests/e2e/test_dashboard.py the pages"
    },
    "docs/controls.md": dict.fromkeys(
        (1, 2), "placeholders for clusters; the commands are checked here and run in tests/unit/cli/test_holds.py"
    ),
    "docs/kafka-security.md": {1: "a line of the log; tests/e2e/test_rights.py reads it from the relay"},
    "docs/data-at-rest.md": {
        1: "runs a test itself, tests/e2e/test_compaction.py",
        **dict.fromkeys(range(2, 6), "Kafka's own programs, at an operator's brokers"),
    },
    "docs/emulator.md": {
        1: "installs from a package registry; the command is checked here",
        3: "runs until it is ended; the command is checked here",
    },
    "docs/first-job.md": {6: "an event with its rows left out"},
    "docs/guarantees.md": {1: "runs the tests themselves, for ten minutes and more"},
    "docs/http-api.md": {
        1: "a placeholder for Kafka's address; the commands are checked here, and run in tests/e2e/test_web_role.py",
        2: "a placeholder for a request; tests/contract/test_openapi.py asks these paths",
        3: "a placeholder for the cluster; tests/e2e/test_web_role.py sends such requests",
        4: "runs in a browser; tests/e2e/test_web_role.py reads such a stream",
    },
    "docs/plain-host.md": dict.fromkeys(
        (1, 4, 5), "need root and systemd; tests/e2e/test_plain_host.py starts what the units start"
    ),
    "docs/replicas.md": {1: "settings; tests/e2e/test_restarts.py starts relays with them"},
    "docs/kubernetes.md": {
        **dict.fromkeys((1, 2, 3), "needs Docker, or a cluster; tests/contract/test_chart.py renders the chart"),
        4: "the commands are checked here; tests/e2e/test_rights.py plays the rights",
    },
    "docs/requests.md": {
        1: "kcat with a placeholder for the cluster; its message is checked here",
        2: "placeholders for clusters; the commands are checked here and run in tests/e2e/test_cli.py",
    },
    "docs/results.md": {
        2: "settings; tests/e2e/test_results.py starts relays with them",
        5: "a setting; tests/e2e/test_chunks.py makes the topic with it",
    },
    "docs/running.md": {1: "as in README.md"},
    "docs/tenants.md": {2: "a message of the relay"},
    "docs/lineage.md": {
        1: "installs from a package registry; its variable is checked here",
        2: "runs until it is stopped; tests/contract/test_lineage_forwarding.py plays it, its variable is checked here",
        3: "shortened; tests/unit/engine/lineage/test_spark_parent.py has it whole",
    },
    "docs/traces.md": {1: "installs from a package registry; its variable is checked here"},
    "docs/why.md": dict.fromkeys(
        range(1, 5),
        "a placeholder for a request, and what is answered; tests/e2e/test_cli.py asks",
    ),
}
"""Why a block is not run."""

_BLOCKS = [block for page in doc_code.PAGES for block in doc_code.blocks(page)]


def test_every_block_is_run_or_says_why_not() -> None:
    """A new block of code needs a test, or a reason in `_NOT_RUN`; one that is gone needs none."""
    run = {f"{page}#{number}" for page, tests in _RUN.items() for numbers in tests for number in numbers}
    not_run = {f"{page}#{number}" for page, why in _NOT_RUN.items() for number in why}
    assert not run & not_run
    assert run | not_run == {block.name for block in _BLOCKS}


def test_the_tests_that_run_the_blocks_know_the_pages() -> None:
    """Each test file that is said to run a page's blocks is there and names the page."""
    for page, tests in _RUN.items():
        for name in tests.values():
            assert Path(page).name in (_ROOT / name).read_text(), f"{name} does not name {page}"


@pytest.mark.parametrize("page", doc_code.PAGES)
def test_every_command_on_a_page_exists(page: str) -> None:
    """Commands and options, in the text too; in blocks also the arguments, which the text may leave out."""
    reported = [(words, doc_code.parse(words)) for words in doc_code.commands(page)]
    reported += [(words, doc_code.parse(words, complete=False)) for words in doc_code.mentions(page)]
    assert [(words, problem) for words, problem in reported if problem is not None] == []


@pytest.mark.parametrize("line", ["submit sql --clutser C", "watsh", "schemas show", "call --jsno ListClusters"])
def test_a_wrong_command_would_be_found(line: str) -> None:
    """A misspelt command or option, and a missing argument."""
    assert doc_code.parse(line.split()) is not None


@pytest.mark.parametrize("page", doc_code.PAGES)
def test_every_make_target_on_a_page_exists(page: str) -> None:
    """In blocks and in the text."""
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (_ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z][a-z0-9-]*)", (_ROOT / page).read_text(), flags=re.MULTILINE))
    assert named - targets == set()


@pytest.mark.parametrize("page", doc_code.PAGES)
def test_every_variable_on_a_page_is_a_setting(page: str) -> None:
    """`MRS_RELAY_…` of the settings, also of a tenant or a connection with any name."""
    patterns = [row.variable.replace("<NAME>", r"[A-Z0-9-]+(?:_[A-Z0-9-]+)*") for row in settings.describe()]
    named = set(re.findall(r"MRS_RELAY_[A-Z0-9_-]+[A-Z0-9]", (_ROOT / page).read_text()))
    wrong = [name for name in named - _OTHER_VARIABLES if not any(re.fullmatch(each, name) for each in patterns)]
    assert wrong == []


_OTHER_VARIABLES = {
    "MRS_RELAY_COMPLETE",
    "MRS_RELAY_CONFIG",
    "MRS_RELAY_REGISTRY_PASSWORD",
}
"""Variables of the command line, which are no settings."""


_REPLIES = {"docs/why.md#4"}
"""Replies over HTTP; tests/contract/test_openapi.py holds such against their schemas."""


@pytest.mark.parametrize("block", [each for each in _BLOCKS if each.language == "json"], ids=lambda block: block.name)
def test_every_message_on_a_page_is_valid(block: doc_code.Block) -> None:
    """Requests and events, as `mrs-relay schemas validate` judges them; an excerpt of an event is JSON at least."""
    message = json.loads(block.text)
    if block.name not in _REPLIES and ("id" in message or message.get("type") in registry.REQUESTS):
        [checked] = checking.check(block.text.encode())
        assert checked.problem is None


@pytest.mark.parametrize(
    "block", [each for each in _BLOCKS if each.text.startswith("echo '{")], ids=lambda block: block.name
)
def test_every_message_for_kcat_is_valid(block: doc_code.Block) -> None:
    """The JSON between the quotes is a request."""
    found = re.match(r"echo '(\{.*?\})'", block.text, re.DOTALL)
    assert found is not None
    [checked] = checking.check(found[1].replace("\n", "").encode())
    assert checked.problem is None


@pytest.mark.parametrize("block", [each for each in _BLOCKS if each.language == "toml"], ids=lambda block: block.name)
def test_every_settings_file_on_a_page_is_toml(block: doc_code.Block) -> None:
    """Its meaning is tested where the page is named in `_RUN`."""
    assert tomllib.loads(block.text)


def test_the_validator_of_the_contract_page_finds_what_a_type_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of contract.md, in the folder of the repository, takes a failure with a reason and no other."""
    [program] = [block for block in doc_code.blocks("docs/contract.md") if block.language == "python"]
    monkeypatch.chdir(_ROOT)
    names: dict[str, jsonschema.Draft202012Validator] = {}
    exec(compile(program.text, "docs/contract.md", "exec"), names)  # noqa: S102 - our own page
    event = json.loads((_ROOT / "schemas/examples/events/mrs.job.failed.json").read_text())
    assert names["validator"].is_valid(event["data"])
    assert not names["validator"].is_valid({**event["data"], "reason": None})
