"""
Become another program, with the signals that end it as they are for what a person starts.

`nohup`, and a shell that starts the tests in the background, ignore some, and a child inherits that: Ctrl-C would not
reach a command under test. Run as a script: `python -I -S fresh.py SCRIPT ARGUMENTS…` continues as `SCRIPT ARGUMENTS…`.
"""

from __future__ import annotations

import runpy
import signal
import sys


def main() -> None:
    """Restore the signals and continue as the script that the arguments name."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
