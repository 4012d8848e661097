"""
Draw the pictures of the README and the site: docs/images/flow.svg and docs/images/demo.svg.

`draw` writes both: the flow from its text, flow.d2, by D2; the recording from the terminal output of `mrs-relay demo`.
`check` draws the flow again and fails if the committed file differs.
"""

from __future__ import annotations

import fcntl
import io
import itertools
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyte
import pyte.screens
from rich import console, style, terminal_theme, text

IMAGES: Final = Path(__file__).resolve().parent
FLOW: Final = IMAGES / "flow.svg"
DEMO: Final = IMAGES / "demo.svg"

_COLUMNS, _LINES = 100, 24
_FRAMES: Final = 10
_FRAME_S: Final = 1.4
_LAST_FRAME_S: Final = 6.0
_DEMO_S: Final = 180.0

_FRAME: Final = """\
<g class="frame" id="{unique_id}"><style>{styles} .{unique_id}-matrix {{ font-size: {char_height}px }}</style>
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
"""
"""One screen, as rich fills it in: no window, no clipping, and no font that is loaded from elsewhere."""

_PICTURE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}" role="img" \
aria-label="Terminal: make demo">
<style>
text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }}
.frame {{ visibility: hidden; animation: {total_s:.1f}s step-end infinite }}
.frame text {{ white-space: pre }}
#f{last} {{ visibility: visible }}
{animations}
@media (prefers-reduced-motion: reduce) {{ .frame {{ animation: none }} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#292929" stroke="#808080" stroke-opacity="0.35"/>
<circle cx="22" cy="20" r="6" fill="#ff5f57"/><circle cx="42" cy="20" r="6" fill="#febc2e"/>\
<circle cx="62" cy="20" r="6" fill="#28c840"/>
<text x="{middle}" y="26" text-anchor="middle" fill="#c5c8c6" font-size="18">make demo</text>
<g transform="translate(14, 44)">
{frames}</g>
</svg>
"""

_UNWANTED: Final = re.compile(r' clip-path="[^"]*"|<text [^>]*>\n</text>')
"""References to rich's clip paths, which the frame does without, and ends of lines drawn as text."""

Screen = list[text.Text]


def main(words: Sequence[str]) -> int:
    """Run `draw` or `check`; return the exit code."""
    match words:
        case ["draw"]:
            FLOW.write_text(flow())
            DEMO.write_text(animation(chosen(recorded())))
        case ["check"] if flow() != FLOW.read_text():
            print(f"{FLOW}: differs from flow.d2: expected the same picture; call `make pictures`", file=sys.stderr)
            return 1
        case ["check"]:
            pass
        case _:
            print(f"expected draw or check, got {' '.join(words)}", file=sys.stderr)
            return 2
    return 0


def flow() -> str:
    """Draw flow.d2 by D2, with colours for light and for dark pages."""
    options = "--layout elk --theme 0 --dark-theme 200 --pad 16 --omit-version --stdout-format svg"
    command = [str(Path(sys.executable).with_name("d2")), *options.split(), str(IMAGES / "flow.d2"), "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def recorded() -> list[Screen]:
    """
    Run the demo in a terminal of its own.

    Returns:
        What its screen showed after each output, without repeats.

    Raises:
        RuntimeError: the demo did not exit with 0.
    """
    terminal = pyte.Screen(_COLUMNS, _LINES)
    stream = pyte.ByteStream(terminal)
    screens: list[Screen] = []

    for output in _output([str(Path(sys.executable).with_name("mrs-relay")), "demo"]):
        stream.feed(output)
        shown = [_line(terminal, number) for number in range(_LINES)]
        if not screens or shown != screens[-1]:
            screens.append(shown)
    return screens


def _output(command: Sequence[str]) -> Iterator[bytes]:
    """Run a command on a pseudo-terminal and yield what it writes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    deadline_s = time.monotonic() + _DEMO_S

    while time.monotonic() < deadline_s:
        if not select.select([ours], [], [], 1.0)[0]:
            continue
        try:
            output = os.read(ours, 65_536)
        except OSError:  # Linux: the other end is closed
            break
        if not output:
            break
        yield output

    os.close(ours)
    if code := process.wait(timeout=10):
        raise RuntimeError(f"{' '.join(command)}: expected exit 0, got {code}")


def _line(terminal: pyte.Screen, number: int) -> text.Text:
    """Convert one line of the terminal, with its colours."""
    chars = (terminal.buffer[number][column] for column in range(_COLUMNS))
    line = text.Text()
    for look, run in itertools.groupby(chars, _style):
        line.append("".join(char.data for char in run), look)
    line.rstrip()
    return line


def _style(char: pyte.screens.Char) -> style.Style:
    colours = [None if name == "default" else _COLOURS.get(name, f"#{name}") for name in (char.fg, char.bg)]
    return style.Style(color=colours[0], bgcolor=colours[1], bold=char.bold or None, italic=char.italics or None)


_COLOURS: Final = {name: name for name in ("black", "red", "green", "blue", "magenta", "cyan", "white")} | {
    "brown": "yellow"
}
"""pyte's names of colours, and rich's."""


def chosen(screens: Sequence[Screen]) -> list[Screen]:
    """Choose the screens of the recording: some of the table while it runs, and the last one."""
    running = [screen for screen in screens if any(" ended " in line.plain for line in screen)]
    step = max(len(running) / (_FRAMES - 1), 1)
    some = [running[int(number * step)] for number in range(_FRAMES - 1) if int(number * step) < len(running)]
    return [*some, screens[-1]]


def animation(screens: Sequence[Screen]) -> str:
    """Write screens as one SVG that shows them in turn; without animation it shows the last one."""
    frames = [_svg(screen, f"f{number}") for number, screen in enumerate(screens)]
    total_s = _FRAME_S * (len(screens) - 1) + _LAST_FRAME_S
    animations = "\n".join(_keyframes(number, len(screens), total_s) for number in range(len(screens)))
    width, height = round(_COLUMNS * 12.2) + 28, round(_LINES * 24.4) + 60
    return _PICTURE.format(
        width=width,
        height=height,
        middle=width // 2,
        last=len(screens) - 1,
        total_s=total_s,
        animations=animations,
        frames="".join(frames),
    )


def _keyframes(number: int, count: int, total_s: float) -> str:
    start = 100 * number * _FRAME_S / total_s
    end = 100 if number == count - 1 else 100 * (number + 1) * _FRAME_S / total_s
    before = "0% { visibility: hidden } " if number else ""
    after = f" {end:.2f}% {{ visibility: hidden }}" if number < count - 1 else ""
    steps = f"{before}{start:.2f}% {{ visibility: visible }}{after}"
    return f"@keyframes k{number} {{ {steps} }} #f{number} {{ animation-name: k{number} }}"


def _svg(screen: Screen, name: str) -> str:
    """Draw one screen by rich."""
    recorder = console.Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in screen:
        recorder.print(line, no_wrap=True, overflow="crop")
    drawn = recorder.export_svg(unique_id=name, theme=terminal_theme.SVG_EXPORT_THEME, code_format=_FRAME)
    return _UNWANTED.sub("", drawn)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
