"""Documents that name tests name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_NAMED = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")


@pytest.mark.parametrize("document", ["docs/guarantees.md", "docs/troubles.md"])
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    """Whoever wants to check a promise finds the test by the name that stands beside it."""
    named = set(_NAMED.findall((_ROOT / document).read_text()))
    missing = [f"{file}::{name}" for file, name in sorted(named) if f"def {name}(" not in (_ROOT / file).read_text()]
    assert missing == []
    assert len(named) > 20
