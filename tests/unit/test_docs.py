"""The site of docs/: what its configuration and pages promise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_SITE: dict[str, Any] = yaml.safe_load((_ROOT / "mkdocs.yml").read_text())


def test_every_page_is_in_the_navigation() -> None:
    """Add a new page to `nav` in mkdocs.yml; the list of decisions names those."""
    named = set(_pages(_SITE["nav"]))
    named |= {f"adr/{name}" for name in re.findall(r"\]\((\d{4}-[^)]+)\)", (_DOCS / "adr" / "index.md").read_text())}
    assert named == {path.relative_to(_DOCS).as_posix() for path in _DOCS.rglob("*.md")}


def _pages(nav: Any) -> Iterator[str]:
    """Yield all files that a part of the navigation names."""
    match nav:
        case str():
            yield nav
        case _:
            for inner in nav.values() if isinstance(nav, dict) else nav:
                yield from _pages(inner)


def test_the_start_page_names_every_page_under_its_kind() -> None:
    """The sections of index.md, tutorial, how-to guides, reference and explanation, are those of the navigation."""
    sections = (_DOCS / "index.md").read_text().split("\n## ")[1:]
    shown = {text.partition("\n")[0]: set(re.findall(r"\]\(([^)]+\.md)\)", text)) for text in sections}
    wanted = {kind: set(_pages(pages)) for entry in _SITE["nav"][1:] for kind, pages in entry.items()}
    assert shown == wanted
    assert list(shown) == ["Tutorial", "How-to guides", "Reference", "Explanation"]


def test_the_site_can_be_searched() -> None:
    """The index is built into the site, so that no other server sees what is searched for."""
    assert "search" in _SITE["plugins"]


def _build(folder: Path) -> int:
    """Build the site of a folder as `make docs` does; the exit code."""
    command = re.search(r"\$\(BIN\)/mkdocs (build.*)$", (_ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command is not None
    words = [sys.executable, "-m", "mkdocs", *command[1].split()]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=folder, env=quiet, capture_output=True, timeout=120, check=False).returncode


@pytest.mark.parametrize(
    ("more", "code"),
    [("", 0), ("[gone](gone.md)", 1), ("[gone](reference.md#gone)", 1)],
    ids=["as it is", "page", "heading"],
)
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, more: str, code: int) -> None:
    """The command of `make docs` fails on a warning: with `--quiet`, for one, it would not."""
    shutil.copytree(_DOCS, tmp_path / "docs")
    shutil.copy(_ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a") as page:
        page.write(f"\n{more}\n")
    assert _build(tmp_path) == code


def test_warnings_stop_the_build() -> None:
    """Links to pages and headings that are not there are warnings."""
    assert _SITE["strict"] is True
    assert set(_SITE["validation"]["links"].values()) == {"warn"}


@pytest.mark.parametrize("page", sorted(path.name for path in _DOCS.glob("*.md")))
def test_no_page_loads_anything_from_elsewhere(page: str) -> None:
    """Pictures, scripts and fonts of other people's servers tell them who reads."""
    assert _SITE["theme"]["font"] is False
    assert not re.search(r"<(img|script|link)\b|!\[[^\]]*\]\(http", (_DOCS / page).read_text())
