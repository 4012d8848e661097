"""
Take the pictures of the dashboard, docs/images/dashboard-*.png, from `mrs-relay demo` in Chromium.

`make pictures` calls it after the drawings. Needs `make tools`.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.support import browser

IMAGES: Final = Path(__file__).resolve().parent
PICTURES: Final = {
    "dashboard-overview": ("/", "light", r"succeeded +clickstream"),
    "dashboard-request": ("/requests/nightly-etl", "dark", r"Ctrl-C ends everything"),
}
"""Name of each picture, with its page, its colours, and what the demo has printed before it is taken."""

_DEMO_S: Final = 180.0
_MOST_BYTES: Final = 200_000


def main() -> int:
    """Take all pictures; the exit code."""
    with tempfile.NamedTemporaryFile("w+") as log:
        command = [sys.executable, "-m", "mrs_relay", "demo", "--keep", "--scale", "0.01"]
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        try:
            url = _printed(demo, Path(log.name), r"dashboard is at (http://\S+)")
            with browser.launched() as chromium:
                for name, (path, scheme, words) in PICTURES.items():
                    _printed(demo, Path(log.name), f"({words})")
                    with browser.window(chromium, url, color_scheme=scheme) as reader:
                        reader.open(path)
                        picture = reader.page.screenshot(path=IMAGES / f"{name}.png")
                        if len(picture) > _MOST_BYTES:
                            print(f"{name}.png has {len(picture)} bytes: expected {_MOST_BYTES} at most")
                            return 1
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait(30)

    return 0


def _printed(demo: subprocess.Popen[bytes], log: Path, words: str) -> str:
    """Wait until the demo has printed some words; returns the group in them."""
    until_s = time.monotonic() + _DEMO_S
    while time.monotonic() < until_s and demo.poll() is None:
        found = re.search(words, log.read_text())
        if found is not None:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"the demo has not printed {words}")


if __name__ == "__main__":
    sys.exit(main())
