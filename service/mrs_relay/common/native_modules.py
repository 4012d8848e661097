"""Bring the native part of a large library into memory before its import, while all other threads run on."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
from pathlib import Path


def map_in(package: str, module: str) -> None:
    """
    Map a native module of a package into memory, with the libraries that it needs; for a thread, before its import.

    An import does the same under the interpreter's lock, so the event loop stands still for as long as the libraries
    are mapped and linked. A foreign call holds no lock, and the import then finds them in memory. Without such a file,
    or such a call of the platform, nothing happens: the import does it all, and says what is wrong.

    Args:
        package: is not imported, if it has not been so far.
        module: its path below the package, with slashes and without a suffix.
    """
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found is not None else None
    files = [Path(folder, module + importlib.machinery.EXTENSION_SUFFIXES[0]) for folder in folders or ()]
    for file in filter(Path.is_file, files):
        _dlopen(file)


def _dlopen(file: Path) -> None:
    # NB: `ctypes.CDLL(file)` itself opens it under the lock, at least in Python 3.11.
    try:
        call = ctypes.CDLL(None).dlopen
    except (AttributeError, OSError, TypeError):
        return
    call.argtypes, call.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    call(os.fsencode(file), os.RTLD_NOW | os.RTLD_LOCAL)
