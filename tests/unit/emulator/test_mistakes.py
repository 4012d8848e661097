"""
Mistakes in SQL are answered as the engine itself answers them.

Texts were recorded from the engines (`make oracles`).
"""

from __future__ import annotations

import pytest
from tools.oracles import playing

from mrs_emulator.sql import statement


@pytest.mark.parametrize("engine", playing.ENGINES)
async def test_mistakes_are_answered_in_the_engine_s_words(engine: statement.Dialect) -> None:
    """Each has the engine's text, with its code and its place, or is refused in one voice."""
    found = await playing.mistakes(engine)
    assert found.wrong == []
    assert len(found.right) >= 50
