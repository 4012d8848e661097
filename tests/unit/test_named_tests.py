"""The pages name tests; every one of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(tests/[\w/]+(?:\.py(?:::\w+)?)?)`|\]\((tests/[\w/]+(?:\.py)?)\)")
_PAGES = ("docs/promises.md", "docs/guarantees.md", "docs/troubles.md", "docs/security.md")


@pytest.mark.parametrize("page", _PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    """A reader who checks a promise finds the test that keeps it."""
    names = ["".join(found) for found in _NAMED.findall((_ROOT / page).read_text())]
    assert names
    for name in names:
        file, _, function = name.partition("::")
        place = _ROOT / file
        assert place.exists(), f"{page} names {file}"
        assert not function or re.search(rf"def {function}\b", place.read_text()), f"{page} names {name}"
