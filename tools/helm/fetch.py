"""Build Helm into `.cache/helm` from its Go module, once; `make helm` calls it. It needs Go (Debian: golang-go)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import helm

_HERE = Path(__file__).parent


def main() -> int:
    """Build what is missing; returns the exit code."""
    wanted = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()
    if helm.is_built(wanted):
        return 0
    if (go := shutil.which("go")) is None:
        print("helm: Go is not there: install it first (Debian: apt-get install golang-go)", file=sys.stderr)
        return 1

    print("helm: building Helm from its Go module, some minutes the first time", flush=True)
    helm.FOLDER.mkdir(parents=True, exist_ok=True)
    fresh = helm.FOLDER / f"helm.{os.getpid()}"
    command = [go, "build", "-C", str(_HERE), "-trimpath", "-o", str(fresh), "helm.sh/helm/v3/cmd/helm"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        print("helm: the build has failed", file=sys.stderr)
        return 1
    fresh.replace(helm.PROGRAM)
    (helm.FOLDER / helm.STAMP).write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
