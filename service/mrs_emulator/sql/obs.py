"""
OBS played by a folder: obs://bucket/key is the file bucket/key in it.

No path leads out of the folder: neither `..` nor an absolute key nor a symbolic link.
"""

from __future__ import annotations

import re
import tempfile
import threading
from pathlib import Path

from mrs_emulator.core import failures

_URL = re.compile(r"obs://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{0,62})(?:/(?P<key>.*))?", re.DOTALL)


class Obs:
    """
    The folder that plays OBS.

    Args:
        root: existing or future folder, a sub-folder of which is a bucket; None is a temporary one, made when needed.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._making = threading.Lock()

    @property
    def root(self) -> Path:
        """The folder itself."""
        with self._making:  # statements that write run on several threads
            if self._root is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="mrs-emulator-")
                self._root = Path(self._temporary.name)
            return self._root

    def close(self) -> None:
        """Remove the folder if it was a temporary one."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def path(self, url: str) -> Path:
        """
        Return the file or folder behind an obs:// path; it need not exist.

        Raises:
            BadObsPath: malformed, or outside of the folder.
        """
        match = _URL.fullmatch(url.strip())
        if match is None:
            raise failures.BadObsPath(f"not an OBS path (obs://bucket/key): {url[:200]}")
        parts = [part for part in (match["key"] or "").split("/") if part]
        if any(part in {".", ".."} or "\\" in part or "\0" in part for part in parts):
            raise failures.BadObsPath(f"the OBS path leaves its bucket: {url[:200]}")
        path = self.root.joinpath(match["bucket"], *parts)
        if not path.resolve().is_relative_to(self.root.resolve() / match["bucket"]):
            raise failures.BadObsPath(f"the OBS path leaves its bucket: {url[:200]}")
        return path

    def read_text(self, url: str) -> str:
        """
        Return text of an object (UTF-8); blocks, so call it off the event loop.

        Raises:
            BadObsPath: the path is malformed, or there is no readable text object.
        """
        try:
            return self.path(url).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise failures.BadObsPath(f"no readable text object: {url[:200]}") from error

    def new_file(self, url: str) -> Path:
        """
        Return the file behind an obs:// path, its folders made; blocks, so call it off the event loop.

        Raises:
            BadObsPath: malformed, outside of the folder, or a file stands where a folder is needed.
        """
        path = self.path(url)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failures.BadObsPath(f"cannot make the folders of {url[:200]}") from error
        return path
