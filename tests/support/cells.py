"""Tables that are walked within one test: the failure names the cell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def cell(*names: object) -> Iterator[None]:
    """Add the cell's name to whatever is raised inside, so that a test of a whole table says where it failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the cell {' x '.join(map(str, names))}")
        raise
