"""Words of others in texts of ours: what may be shown in an event, a log line or a message to people."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}|\[key\]")
_NO_NAME: Final = "(name not shown)"


def name(word: object) -> str:
    """A field's name or a list's index as it is, if it looks like one; anything else could be data or worse."""
    text = str(word)
    return text if text.isdecimal() or _NAME.fullmatch(text) else _NO_NAME
