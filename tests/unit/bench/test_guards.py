"""The list of mutations fits sources and page, and what is not noticed is reported: `make guards` runs it."""

from __future__ import annotations

import pathlib

import pytest
from bench import guards

_PAGE = (guards.ROOT / guards.PAGE).read_text()
_ROW = "nothing gets lost"
_TEST = "tests/test_it.py::test_nothing_gets_lost"


def test_every_mutation_can_be_made() -> None:
    """The text that a mutation takes away stands once in its file: a change of one needs a change of the other."""
    assert not [found for guard in guards.load() if (found := guards.problem(guard)) is not None]


def test_every_mutation_leaves_a_program() -> None:
    """A change that does not compile proves nothing."""
    for guard in guards.load():
        whole = (guards.ROOT / guards.SERVICE / guard.file).read_text()
        compile(whole.replace(guard.old, guard.new), f"{guard.file}: {guard.change}", "exec")


def test_every_row_has_its_guards_and_each_of_its_tests_one() -> None:
    """A row that names a test promises that it fails: some mutation of the row must make it."""
    named = guards.rows(_PAGE)
    proved: dict[str, set[str]] = {row: set() for row in named}
    for guard in guards.load():
        assert guard.row in named, f"{guards.PAGE} has no row {guard.row!r}"
        proved[guard.row].update(guard.tests, guard.slow)
    assert proved == named


def test_every_table_of_the_page_is_read() -> None:
    """A row that the reader of the page passed over would need no guard."""
    lines = [line for line in _PAGE.splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(guards.rows(_PAGE)) == len(lines)


def test_methods_are_found_in_their_classes() -> None:
    """The page names a test by file and function; pytest wants the class, too."""
    file = "tests/contract/test_group_contract.py"
    assert guards.node_id(f"{file}::test_limit_is_kept") == f"{file}::TestGroup::test_limit_is_kept"
    assert guards.node_id(f"{file}::test_nowhere") == f"{file}::test_nowhere"
    assert guards.node_id("tests/simulation") == "tests/simulation"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository with one promise: a function, its test, and a mutation that takes the function's line away."""
    files = {
        "service/mrs_relay/__init__.py": "",
        "service/mrs_relay/pytest_plugin.py": "",  # pytest loads it by the entry point of the installed package
        "service/mrs_relay/it.py": "def kept(things):\n    return list(things)\n",
        "tests/test_it.py": (
            "from mrs_relay import it\n\ndef test_nothing_gets_lost():\n    assert it.kept([1, 2]) == [1, 2]\n\n"
            "def test_nothing_comes_of_nothing():\n    assert it.kept([]) == []\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _guard(**changes: object) -> guards.Guard:
    whole: dict[str, object] = {"row": _ROW, "change": "the last one is", "file": "it.py", "old": "list(things)"}
    whole |= {"new": "list(things)[:-1]", "tests": (_TEST,)}
    return guards.Guard(**(whole | changes))  # type: ignore[arg-type]  # the table's


def test_change_that_a_test_notices_is_distinguished_from_one_that_none_does(
    place: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one counts as proved, the other ends the run with 1; afterwards the source is what it was."""
    before = (place / "service/mrs_relay/it.py").read_text()
    weak = _guard(tests=("tests/test_it.py::test_nothing_comes_of_nothing",))
    broken = _guard(new="list(things) +", change="no program")
    guards.require_usable([_guard(), weak], place, slow=False)
    outcomes = guards.prove([_guard(), weak, broken], place, slow=False)
    assert [one.verdict for one in outcomes] == [guards.FAILED, guards.SURVIVED, guards.BROKEN]
    assert [guards.exit_code(outcomes[:1]), guards.exit_code(outcomes[:2]), guards.exit_code(outcomes[2:])] == [0, 1, 1]
    assert (place / "service/mrs_relay/it.py").read_text() == before
    guards.show(outcomes)
    shown = capsys.readouterr().out
    assert (_ROW in shown, guards.SURVIVED in shown) == (True, True)


def test_slow_tests_run_only_when_asked_for(place: pathlib.Path) -> None:
    """What was left out is reported, and is no failure."""
    slow = _guard(tests=(), slow=(_TEST,))
    left_out = guards.prove([slow], place, slow=False)
    assert [one.verdict for one in left_out] == [guards.LEFT_OUT]
    assert guards.exit_code(left_out) == 0
    assert [one.verdict for one in guards.prove([slow], place, slow=True)] == [guards.FAILED]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"old": "set(things)"}, "holds the old text 0 times"),
        ({"old": "things"}, "holds the old text 2 times"),
        ({"file": "gone.py"}, "gone.py holds the old text 0 times"),
    ],
)
def test_text_that_is_not_there_once_is_refused(place: pathlib.Path, changes: dict[str, object], expected: str) -> None:
    """Row, change, file and what to do are in the message; nothing is run."""
    with pytest.raises(guards.NotUsable, match=expected) as refused:
        guards.require_usable([_guard(**changes)], place, slow=False)
    assert (_ROW in str(refused.value), guards.MUTATIONS in str(refused.value)) == (True, True)


def test_test_that_fails_without_any_change_proves_nothing(place: pathlib.Path) -> None:
    """It is run before anything is taken away."""
    (place / "tests/test_it.py").write_text("def test_nothing_gets_lost():\n    assert False\n")
    with pytest.raises(guards.NotUsable, match="although nothing was taken away"):
        guards.require_usable([_guard()], place, slow=False)


def test_work_is_done_on_a_copy(place: pathlib.Path) -> None:
    """The working tree is never touched; what was fetched is shared and what was built is left behind."""
    (place / ".cache").mkdir()
    (place / ".git").mkdir()
    with guards.copied(place) as copy:
        with guards.mutated(_guard(), copy):
            assert "[:-1]" in (copy / "service/mrs_relay/it.py").read_text()
            assert "[:-1]" not in (place / "service/mrs_relay/it.py").read_text()
        assert ((copy / ".cache").is_symlink(), (copy / ".git").exists()) == (True, False)
    assert not copy.exists()


def test_entry_that_is_not_well_formed_is_named(tmp_path: pathlib.Path) -> None:
    """A misspelt field is reported with the file and the entry."""
    (tmp_path / guards.MUTATIONS).mkdir(parents=True)
    (tmp_path / guards.MUTATIONS / "some.toml").write_text(
        '[[guard]]\nrow = "r"\nchange = "c"\nfile = "f"\nold = "o"\nmew = "n"\n'
    )
    with pytest.raises(guards.NotUsable, match=r"some\.toml: c: .*mew"):
        guards.load(tmp_path)
