"""What a stranger meets first: README.md, its pictures, and the pages beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_IMAGES = _ROOT / "docs" / "images"
_MOST_WORDS = 700
_PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def test_the_readme_has_at_most_700_words() -> None:
    """As `wc -w` counts them, without blocks of code."""
    prose = re.sub(r"^    .*\n", "", (_ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert len(prose.split()) <= _MOST_WORDS


@pytest.mark.parametrize("page", _PAGES)
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    """Links and pictures of the pages that mkdocs does not build."""
    links = re.findall(r"\]\(([^)\s]+)\)", (_ROOT / page).read_text())
    gone = [link for link in links if "://" not in link and not (_ROOT / link.partition("#")[0]).exists()]
    assert gone == []


def test_the_picture_of_the_flow_is_what_its_text_draws(tmp_path: Path) -> None:
    """`make docs` fails on an outdated picture, and says which command draws it."""
    outdated = tmp_path / "images"
    outdated.mkdir()
    for name in ("draw.py", "flow.svg", "flow.d2"):
        (outdated / name).write_text((_IMAGES / name).read_text())
    with (outdated / "flow.d2").open("a") as text:
        text.write("more\n")

    current = subprocess.run([sys.executable, _IMAGES / "draw.py", "check"], check=False, timeout=60)
    stale = subprocess.run(
        [sys.executable, outdated / "draw.py", "check"], check=False, timeout=60, capture_output=True, text=True
    )

    assert (current.returncode, stale.returncode) == (0, 1)
    assert "make pictures" in stale.stderr


@pytest.mark.parametrize("name", ["flow.svg", "demo.svg"])
def test_a_picture_loads_nothing_and_runs_nothing(name: str) -> None:
    """No script, no font, style sheet or picture from another server; it is well-formed XML."""
    drawn = (_IMAGES / name).read_text()
    ET.fromstring(drawn)  # noqa: S314 - a file of this repository
    assert "<script" not in drawn
    assert not re.search(r"url\(['\"]?https?:|href=['\"]https?:|@import", drawn)


def test_the_recording_ends_with_the_checks_of_the_demo() -> None:
    """What the README says that the demo shows is on its picture: `make pictures` records it again."""
    drawn = (_IMAGES / "demo.svg").read_text().replace("&#160;", " ")
    assert re.search(r"(\d+) of \1 requests ended as they should", drawn)
    assert re.search(r"MRS ran (\d+) jobs and statements for \1 accepted requests", drawn)
    assert "✗" not in drawn


def _changes() -> list[tuple[str, list[str]]]:
    """Return the rows of "Ten everyday changes": the change and the files that it names."""
    text = (_ROOT / "ARCHITECTURE.md").read_text()
    rows = text.partition("## Ten everyday changes")[2].partition("\n## ")[0]
    cells = [row.strip("|").split("|", 1) for row in rows.splitlines() if row.startswith("| ")]
    named = [(change.strip(), re.findall(r"`((?:service/)?[a-z_0-9/]+\.py)`", files)) for change, files in cells[2:]]
    return [
        (change, [name if name.startswith("service/") else f"service/mrs_relay/{name}" for name in files])
        for change, files in named
    ]


def test_ten_everyday_changes_begin_in_files_that_exist() -> None:
    """Each change names at most two files, and all of them are there."""
    changes = _changes()
    assert len(changes) == 10
    assert all(1 <= len(files) <= 2 for _, files in changes)
    gone = [name for _, files in changes for name in files if not (_ROOT / name).is_file()]
    assert gone == []


@pytest.mark.parametrize(("package", "heading"), [("mrs_relay", "folder"), ("mrs_emulator", "folder of ")])
def test_the_map_has_a_row_for_every_folder_and_no_other(package: str, heading: str) -> None:
    """A row names the folder and, in the last cell, the file to read first, which is there."""
    text = (_ROOT / "ARCHITECTURE.md").read_text().partition("## Map")[2].partition("\n## ")[0]
    (table,) = re.findall(rf"^\| {heading}(?:`.*`)? \|.*\n\| --- .*\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    rows = dict(re.findall(r"^\| `([\w/]+)/` \|.*\| `([\w.]+)` \|$", table, flags=re.MULTILINE))

    root = _ROOT / "service" / package
    folders = {str(path.parent.relative_to(root)) for path in root.rglob("__init__.py")} - {"."}
    assert set(rows) == folders
    assert [f"{folder}/{first}" for folder, first in rows.items() if not (root / folder / first).is_file()] == []
