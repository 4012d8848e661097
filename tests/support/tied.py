"""
Run a command that ends when the process that started it ends, even by SIGKILL.

`python -I -S tied.py PARENT_PID COMMAND…`: asks Linux to kill this process at its parent's death, then becomes the
command. `child.py` starts everything through it. A `preexec_fn` would do the same but is unsafe beside threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command; the arguments are the parent's pid and the command line."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request to the kernel
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - no shell on purpose


main()
