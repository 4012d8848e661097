"""The site of docs/: what its configuration and pages promise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_SITE: dict[str, Any] = yaml.safe_load((_ROOT / "mkdocs.yml").read_text())


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody finds is none: add it to `nav` in mkdocs.yml."""
    named = {name for entry in _SITE["nav"] for name in entry.values()}
    assert named == {path.relative_to(_DOCS).as_posix() for path in _DOCS.rglob("*.md")}


def test_warnings_stop_the_build() -> None:
    """Links to pages and headings that are not there are warnings."""
    assert _SITE["strict"] is True
    assert set(_SITE["validation"]["links"].values()) == {"warn"}


@pytest.mark.parametrize("page", sorted(path.name for path in _DOCS.glob("*.md")))
def test_no_page_loads_anything_from_elsewhere(page: str) -> None:
    """Pictures, scripts and fonts of other people's servers tell them who reads."""
    assert _SITE["theme"]["font"] is False
    assert not re.search(r"<(img|script|link)\b|!\[[^\]]*\]\(http", (_DOCS / page).read_text())
