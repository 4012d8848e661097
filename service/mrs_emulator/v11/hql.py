"""
The encoding of `hql` in submit-job of V1.1: Base64 with J and L swapped in its alphabet, behind any one letter.

Source: API reference, page mrs_02_0040; `show tables;` is sent as `gc2hvdyB0YWLsZXM7`.
"""

from __future__ import annotations

import base64
import binascii

_SWAPPED = str.maketrans("JL", "LJ")


def decoded(text: str) -> str | None:
    """Return the SQL text of an encoded `hql`, or None when it is not in this encoding."""
    try:
        return base64.b64decode(text[1:].translate(_SWAPPED), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
