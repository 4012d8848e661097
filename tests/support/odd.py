"""Odd things that Kafka carries and Python's clients do not write by themselves."""

from __future__ import annotations

from typing import Self


class Name(str):
    """
    A header name of any bytes.

    Only the part of aiokafka that is written in Python (AIOKAFKA_NO_EXTENSIONS) asks it for its bytes.
    """

    __slots__ = ("raw",)

    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        made = super().__new__(cls, raw.decode(errors="replace"))
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return self.raw
