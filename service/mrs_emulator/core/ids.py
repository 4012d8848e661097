"""Ids in the shapes that MRS uses, random or repeatable by seed."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import random
import string


class Ids:
    """
    A source of ids.

    Args:
        seed: the same seed gives the same ids in the same order; None draws from the operating system's entropy.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - ids, not secrets
        self._statements = itertools.count(1)
        self._suffix = "".join(self._random.choices(string.ascii_lowercase + string.digits, k=5))

    def start_again(self, times: int) -> None:
        """Draw other ids than the earlier starts on the same state file, which may have had the same seed."""
        if self._seed is not None and times:
            self._random.seed(f"{self._seed}/{times}")
            self._suffix = "".join(self._random.choices(string.ascii_lowercase + string.digits, k=5))

    def uuid(self) -> str:
        """Return a random UUID (version 4) in lower case with hyphens; job ids have this shape."""
        bits = self._random.getrandbits(128)
        digits = f"{(bits & ~(0xF000 << 64) & ~(0xC000 << 48)) | (0x4000 << 64) | (0x8000 << 48):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def request_id(self) -> str:
        """Return 32 lower-case hex digits, as in X-Request-Id."""
        return f"{self._random.getrandbits(128):032x}"

    def opaque(self, length: int) -> str:
        """Return letters and digits without meaning: keys and tokens that the emulator gives out."""
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=length))

    def statement_id(self, now_ms: int) -> str:
        """Return a Presto query id such as 20261123_073000_00012_ab3de."""
        moment = dt.datetime.fromtimestamp(now_ms / 1000, tz=dt.UTC)
        return f"{moment:%Y%m%d_%H%M%S}_{next(self._statements):05d}_{self._suffix}"


def derived(kind: str, name: str) -> str:
    """Return the id of a named thing (an account, a user): 32 lower-case hex digits, the same at every start."""
    return hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()[:32]
