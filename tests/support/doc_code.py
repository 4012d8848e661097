"""The code on the pages of the repository: its blocks, and the commands of mrs-relay that they and the text name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main
from typer import core

from mrs_relay.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
]

_BLOCKS = re.compile(
    r"^```(?P<language>\w*)\n(?P<fenced>[\s\S]*?)^```$|(?<=\n\n)(?P<indented>(?:    .+\n)+)", re.MULTILINE
)
_INLINE = re.compile(r"`((?:\.venv/bin/)?mrs-relay [^`…]+)`")
_THERE = str(ROOT / "pyproject.toml")
"""A file that exists: commands refuse a `--config` that does not, and readers write theirs."""

_ENDS = frozenset({"|", "||", "&&", ">", "2>", ";", "&"})


@dataclass(frozen=True, slots=True)
class Block:
    """
    One block of code.

    Attributes:
        page: its path in the repository.
        number: its place on the page, from 1.
        language: the word behind the backticks; "" for an indented block.
        text: the code.
    """

    page: str
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """The page and the number of the block."""
        return f"{self.page}#{self.number}"


def blocks(page: str) -> list[Block]:
    """Return all blocks of a page, fenced and indented."""
    found = _BLOCKS.finditer((ROOT / page).read_text())
    return [
        Block(
            page,
            number,
            one["language"] or "",
            one["fenced"] or re.sub(r"^    ", "", one["indented"], flags=re.MULTILINE),
        )
        for number, one in enumerate(found, start=1)
    ]


def commands(page: str) -> Iterator[list[str]]:
    """Yield every call of mrs-relay in the blocks of a page, as words without the program's name."""
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            if re.match(r"(\.venv/bin/)?mrs-relay ", line):
                yield _words(line)


def mentions(page: str) -> list[list[str]]:
    """Return every call of mrs-relay in the text of a page; arguments may be left out there."""
    return [_words(line) for line in _INLINE.findall((ROOT / page).read_text())]


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)[1:]
    return words[: next((place for place, word in enumerate(words) if word in _ENDS), len(words))]


def parse(words: Sequence[str], *, complete: bool = True) -> str | None:
    """
    Parse a call of mrs-relay without running it.

    Args:
        words: the call without the program's name.
        complete: whether a missing argument or option is wrong.

    Returns:
        What is wrong with the call, or None.
    """
    command: Any = typer.main.get_command(main.app)
    context: Any = None
    left = [_THERE if before == "--config" else word for before, word in zip(["", *words], words, strict=False)]

    try:
        while True:
            context = command.make_context(command.name, left, parent=context)
            if not isinstance(command, core.TyperGroup):
                return None
            left = [*context._protected_args, *context.args]
            if not left and command.invoke_without_command:
                return None
            _, command, left = command.resolve_command(context, left)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer has errors of its own, under names that are not public
            raise
        is_incomplete = type(error).__name__ in {"MissingParameter", "NoArgsIsHelpError", "BadOptionUsage"}
        return None if is_incomplete and not complete else str(error.format_message()) or type(error).__name__
