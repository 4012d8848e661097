"""
Become another program, as a process that dies with its parent.

`python -I -S exec_with_parent.py PARENT_PID COMMAND…` asks Linux to kill this process when its parent dies, then
becomes COMMAND. Run it as a script: `processes` and the tests start every child through it, because code between fork
and exec is unsafe.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """Have Linux kill this process when its parent dies; ends it if the parent has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the prctl call
            sys.exit(1)


def main() -> None:
    """Replace this process by the command in the arguments."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    tie(parent)
    os.execvp(command[0], command)  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main()
