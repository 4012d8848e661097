"""Functions of the application that a runtime calls beside its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final


def _ignore(_owned: int, _partition_count: int) -> None:
    pass


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """
    Functions to call.

    Attributes:
        on_share: called at each assignment with the number of our partitions and the number of all.
        before_join: awaited before the group is joined, again and again while it raises StreamDown.
    """

    on_share: Callable[[int, int], None] = _ignore
    before_join: Callable[[], Awaitable[None]] = _nothing


NONE: Final = Hooks()
