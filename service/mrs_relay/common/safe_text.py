"""Foreign names in our own texts: which of them events, log lines and messages to people may show."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}|\[key\]")
_NO_NAME: Final = "(name not shown)"


def name(word: object) -> str:
    """Return a field's name or a list's index unchanged; hide any other text, which could be data or worse."""
    text = str(word)
    return text if text.isdecimal() or _NAME.fullmatch(text) else _NO_NAME
