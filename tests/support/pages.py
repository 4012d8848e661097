"""The examples of docs/: blocks of code as they stand on a page, made to fit a test's broker and topics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support import service

DOCS = Path(__file__).resolve().parents[2] / "docs"
README = DOCS.parent / "README.md"
_PIECES = re.compile(r"^(## .*|```[a-z]+\n[\s\S]*?^```)$", re.MULTILINE)
_BLOCK = re.compile(r"```([a-z]+)\n([\s\S]*)```")


@dataclass(frozen=True, slots=True)
class Block:
    """
    One block of code.

    Attributes:
        head: the heading above it.
        language: what it says behind the backticks.
        text: the code.
    """

    head: str
    language: str
    text: str

    def at(self, here: service.Deployment) -> str:
        """Return the code with the addresses and topics of a deployment."""
        fitted = self.text.replace("localhost:9092", here.bootstrap)
        return fitted.replace("mrs.events", here.events).replace("mrs.requests", here.requests)


def blocks(page: str) -> list[Block]:
    """Return all blocks of a page of docs/, in their order."""
    head, found = "", []
    for piece in _PIECES.findall((DOCS / page).read_text()):
        if (block := _BLOCK.fullmatch(piece)) is not None:
            found.append(Block(head, block[1], block[2]))
        else:
            head = piece.removeprefix("## ")
    return found


def block(page: str, head: str) -> Block:
    """Return the one block below a heading."""
    [found] = [each for each in blocks(page) if each.head == head]
    return found
