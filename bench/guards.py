"""
Proves the guards: takes away, one after the other, the lines that docs/guarantees.md relies on, and runs its tests.

Each entry of `bench/mutations/*.toml` changes one place of the service. A guard is proved when the tests that its row
names fail with the change and pass without it. Everything happens in a copy of this repository in a temporary folder.

    make guards                                 all that needs no broker, about ten minutes
    make guards ARGS=--all                      also on real Kafka, with whole processes: three quarters of an hour
    make guards ARGS="--only redirect twice"    rows that contain one of the words
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich import console, table

ROOT: Final = pathlib.Path(__file__).resolve().parents[1]
PAGE: Final = "docs/guarantees.md"
MUTATIONS: Final = "bench/mutations"
SERVICE: Final = "service/mrs_relay"

FAILED: Final = "failed as it should"
SURVIVED: Final = "SURVIVED"
BROKEN: Final = "BROKEN"
LEFT_OUT: Final = "not run"

_TEST: Final = re.compile(r"`(tests/[\w/]+(?:\.py(?:::\w+)?)?)`")
_QUICK_S: Final = 120.0
_SLOW_S: Final = 420.0
_LEFT_BEHIND: Final = (".git", ".venv", ".cache", "__pycache__", ".mypy_cache", ".pytest_cache", ".hypothesis", "dist")


class NotUsable(Exception):  # noqa: N818 - named for what is the matter
    """The list of mutations does not fit the sources, or the tests do not pass as things are."""


@dataclass(frozen=True, slots=True)
class Guard:
    """
    One place of the service, and what becomes of it.

    Attributes:
        row: the first cell of its row in docs/guarantees.md.
        change: what the mutation does, in words.
        file: below the package.
        old: the text that is taken away; it occurs exactly once.
        new: what stands there instead.
        tests: tests of the row that must fail.
        slow: the same; they start brokers and processes, or take minutes.
    """

    row: str
    change: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one test said to one guard's mutation."""

    guard: Guard
    test: str
    verdict: str


def load(root: pathlib.Path = ROOT) -> list[Guard]:
    """
    Read the list of mutations.

    Raises:
        NotUsable: an entry is not well formed.
    """
    guards = []
    for path in sorted((root / MUTATIONS).glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["guard"]:
            fields = {**entry, **{name: tuple(entry.get(name, ())) for name in ("tests", "slow")}}
            try:
                guards.append(Guard(**fields))
            except TypeError as error:
                raise NotUsable(f"{path.name}: {entry.get('change', entry)}: {error}") from error
    return guards


def rows(page: str) -> dict[str, frozenset[str]]:
    """Return the rows of the page that name tests: first cell → tests."""
    found: dict[str, frozenset[str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else [""]
        if named := _TEST.findall(cells[-1]):
            found[cells[0]] = found.get(cells[0], frozenset()) | frozenset(named)
    return found


def problem(guard: Guard, root: pathlib.Path = ROOT) -> str | None:
    """Return why the mutation cannot be made, or None."""
    path = root / SERVICE / guard.file
    count = path.read_text().count(guard.old) if path.is_file() else 0
    if count == 1 and guard.old != guard.new:
        return None
    where = f"{SERVICE}/{guard.file}"
    return f"{guard.row!r}, {guard.change!r}: {where} holds the old text {count} times; bring {MUTATIONS} up to date"


def node_id(test: str, root: pathlib.Path = ROOT) -> str:
    """Return the test as pytest calls it: the page leaves out the class of a method."""
    file, _, function = test.partition("::")
    if not function:
        return file
    for node in ast.parse((root / file).read_text()).body:
        if isinstance(node, ast.ClassDef) and function in {getattr(one, "name", "") for one in node.body}:
            return f"{file}::{node.name}::{function}"
    return test


@contextlib.contextmanager
def copied(root: pathlib.Path = ROOT) -> Iterator[pathlib.Path]:
    """Return a copy of the repository; what `make kafka` has fetched is shared, not copied."""
    with tempfile.TemporaryDirectory(prefix="mrs-relay-guards-") as folder:
        place = pathlib.Path(folder).resolve() / "copy"
        shutil.copytree(root, place, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
        if (root / ".cache").is_dir():
            (place / ".cache").symlink_to((root / ".cache").resolve())
        yield place


@contextlib.contextmanager
def mutated(guard: Guard, place: pathlib.Path) -> Iterator[None]:
    """Make the change in the copy, and undo it."""
    path = place / SERVICE / guard.file
    whole = path.read_text()
    try:
        _write(path, whole.replace(guard.old, guard.new))
        yield
    finally:
        _write(path, whole)


def _write(path: pathlib.Path, text: str) -> None:
    """Write a source; its bytecode goes, for its time stamp is too coarse to tell two versions apart."""
    path.write_text(text)
    for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        cached.unlink()


def run_tests(place: pathlib.Path, names: Sequence[str], limit_s: float) -> tuple[str, str]:
    """Run tests in the copy until the first one fails; the verdict on a mutation, and the last words of pytest."""
    ids = [node_id(name, place) for name in names]
    flags = ["-q", "-x", "-p", "no:cacheprovider", "--tb=line", f"--timeout={limit_s / 2:.0f}"]

    command = [sys.executable, "-m", "pytest", *flags, *ids]
    with subprocess.Popen(
        command,
        cwd=place,
        env=_environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            said, _ = running.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return FAILED, f"still ran after {limit_s:.0f} s"
        except BaseException:
            os.killpg(running.pid, signal.SIGKILL)
            raise

    verdicts = {0: SURVIVED, 1: FAILED}
    lines = said.strip().splitlines() or [""]
    reported = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return verdicts.get(running.returncode, BROKEN), (reported or lines)[-1]


def _environment(place: pathlib.Path) -> dict[str, str]:
    """Return the environment in which the copy's service comes before the installed one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(place / "service"), str(place)])}


def require_usable(guards: Sequence[Guard], place: pathlib.Path, *, slow: bool) -> None:
    """
    Make sure that a failure will mean something.

    Raises:
        NotUsable: a mutation does not fit, the copy is not what runs, or a test fails without any mutation.
    """
    if problems := [found for guard in guards if (found := problem(guard, place)) is not None]:
        raise NotUsable("\n".join(problems))
    shown = [sys.executable, "-c", "import mrs_relay; print(mrs_relay.__file__)"]
    runs = subprocess.run(shown, cwd=place, env=_environment(place), capture_output=True, text=True, check=True).stdout
    if not runs.startswith(str(place)):
        raise NotUsable(f"the tests would run {runs.strip()} instead of the copy in {place}")
    for names, limit_s in _suites(guards, slow=slow):
        verdict, words = run_tests(place, names, limit_s)
        if verdict != SURVIVED:
            raise NotUsable(f"a test fails although nothing was taken away: {words}")


def _suites(guards: Sequence[Guard], *, slow: bool) -> Iterator[tuple[list[str], float]]:
    """Return all quick tests together, and each slow one; each test once."""
    if quick := sorted({test for guard in guards for test in guard.tests}):
        yield quick, 10 * _QUICK_S
    if slow:
        for test in sorted({test for guard in guards for test in guard.slow}):
            yield [test], _SLOW_S


def prove(guards: Sequence[Guard], place: pathlib.Path, *, slow: bool) -> list[Outcome]:
    """Make one mutation after the other and run its tests, each by itself; progress goes to standard error."""
    outcomes = []
    for number, guard in enumerate(guards, start=1):
        print(f"[{number}/{len(guards)}] {guard.row}: {guard.change}", file=sys.stderr, flush=True)
        with mutated(guard, place):
            for test in (*guard.tests, *guard.slow):
                if test in guard.slow and not slow:
                    outcomes.append(Outcome(guard, test, LEFT_OUT))
                    continue
                began_s = time.monotonic()
                verdict, words = run_tests(place, [test], _SLOW_S if test in guard.slow else _QUICK_S)
                print(f"    {verdict}, {time.monotonic() - began_s:.1f} s: {words[:200]}", file=sys.stderr, flush=True)
                outcomes.append(Outcome(guard, test, verdict))
    return outcomes


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table."""
    shown = table.Table("guard", "taken away", "test", "verdict", title="docs/guarantees.md, row by row")
    for one in outcomes:
        style = "bold red" if one.verdict in {SURVIVED, BROKEN} else None
        shown.add_row(one.guard.row, one.guard.change, one.test.replace("::", " "), one.verdict, style=style)
    console.Console(width=160).print(shown)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 1 when a mutation was survived or could not be judged, else 0; sums up on standard error."""
    counts = {verdict: sum(one.verdict == verdict for one in outcomes) for verdict in (FAILED, SURVIVED, BROKEN)}
    left_out = len(outcomes) - sum(counts.values())
    reported = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"{reported}; {left_out} not run (ARGS=--all runs them)" if left_out else reported, file=sys.stderr)
    return 1 if counts[SURVIVED] or counts[BROKEN] else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove what was asked for, print it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="slow tests, too; needs `make kafka`")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="rows that contain one of these")
    given = parser.parse_args(arguments)

    try:
        guards = [guard for guard in load() if any(word in guard.row for word in given.only)]
        if not guards:
            parser.error("no row contains that")
        with copied() as place:
            require_usable(guards, place, slow=given.all)
            outcomes = prove(guards, place, slow=given.all)
    except NotUsable as error:
        print(f"guards: {error}", file=sys.stderr)
        return 2

    show(outcomes)
    return exit_code(outcomes)


if __name__ == "__main__":
    sys.exit(main())
