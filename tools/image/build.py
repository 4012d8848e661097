"""
Build the image of the Dockerfile as a container engine would, and try it; `make image` calls this.

The builder is buildah, which needs no engine; on Debian as root it is installed. Where the base image's registry cannot
be reached, a minimal Debian with its own Python takes its place, made by mmdebstrap from the packages of this machine's
mirror. Where there is no builder, or no container can run, the Dockerfile's own commands are played in a clean folder.
The last line says which of the three it was.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_LOCAL_BASE: Final = "localhost/mrs-relay-base"
_IMAGE: Final = "localhost/mrs-relay-try"
_PACKAGES: Final = ("buildah", "crun", "mmdebstrap")
_BASE_PACKAGES: Final = ("python3", "python3-venv", "python-is-python3", "passwd")
_PULL_S: Final = 60
_PACKAGES_S: Final = 300
_BUILD_S: Final = 900
_USER: Final = "10001"

_OF_THIS_MACHINE: Final = ("/etc/pip.conf", "/etc/ssl/certs")
"""Where this machine says how packages are fetched; seen during the build, not part of the image."""


class Failed(RuntimeError):  # noqa: N818 - named for what is the case
    """The image cannot be built, or does not do what it must."""


def main() -> int:
    """Build and try each variant; the exit code."""
    try:
        try:
            base, kind = _builder()
        except (Failed, subprocess.TimeoutExpired) as why:
            print(f"image: {why}", flush=True)
            _play_the_steps()
            print("image: no image was built: the Dockerfile's commands were played in a clean folder instead")
            return 0

        with _no_leftovers():
            for extras in ("", "web"):
                _build(base, extras)
                print(f"image: extras {extras or 'none'}: {_try(extras)}", flush=True)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1

    print(f"image: built and tried with buildah on {kind}")
    return 0


def _has_builder() -> bool:
    """Return whether there is a builder, after an attempt to install one."""
    if shutil.which("buildah") is None and shutil.which("apt-get") is not None and os.geteuid() == 0:
        print("image: installing buildah", flush=True)
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        with contextlib.suppress(Failed):  # then there is none
            _run("apt-get", "-qq", "update")
            _run("apt-get", "-qq", "install", "-y", "--no-install-recommends", *_PACKAGES)
    return shutil.which("buildah") is not None


def _builder() -> tuple[str, str]:
    """Return the base image's name and what it is, once a container of it has run here; Failed if none can."""
    if not _has_builder():
        raise Failed("there is no builder: install it (Debian: apt-get install buildah)")
    base, kind = _base()
    container = _run("buildah", "from", base).strip()
    try:
        _in(container, "python", "--version")
    finally:
        _run("buildah", "rm", container)
    return base, kind


def _base() -> tuple[str, str]:
    """Return the name of the base image, and what it is."""
    wanted = _dockerfile_base()
    with contextlib.suppress(Failed, subprocess.TimeoutExpired):
        _run("buildah", "pull", "-q", wanted, timeout_s=_PULL_S)
        return wanted, wanted

    print("image: the base image's registry cannot be reached; making a minimal Debian instead", flush=True)
    if shutil.which("mmdebstrap") is None:
        raise Failed("mmdebstrap is missing: install it (Debian: apt-get install mmdebstrap)")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "base.tar")
        include = f"--include={','.join(_BASE_PACKAGES)}"
        _run("mmdebstrap", "--quiet", "--variant=minbase", include, _suite(), str(archive), timeout_s=_PACKAGES_S)
        container = _run("buildah", "from", "scratch").strip()
        try:
            _run("buildah", "add", "-q", container, str(archive), "/")
            _run("buildah", "commit", "-q", container, _LOCAL_BASE)
        finally:
            _run("buildah", "rm", container)
    return _LOCAL_BASE, "a minimal Debian with its own Python"


def _dockerfile_base() -> str:
    found = re.search(r"^ARG BASE=(\S+)$", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        raise Failed("the Dockerfile has no line `ARG BASE=…`")
    return found[1]


def _suite() -> str:
    """Return the name of this machine's Debian release."""
    found = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    if found is None:
        raise Failed("/etc/os-release names no release of Debian")
    return found[1]


@contextlib.contextmanager
def _no_leftovers() -> Iterator[None]:
    """Remove the images that were tried."""
    try:
        yield
    finally:
        for extras in ("", "web"):
            with contextlib.suppress(Failed):  # it was not built
                _run("buildah", "rmi", "-f", _name(extras))


def _name(extras: str) -> str:
    return f"{_IMAGE}:{extras or 'plain'}"


def _build(base: str, extras: str) -> None:
    seen = [f"--volume={place}:{place}:ro" for place in _OF_THIS_MACHINE if Path(place).exists()]
    arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"EXTRAS={extras}", "--isolation", "chroot"]
    _run("buildah", "bud", "-q", *arguments, *seen, "-t", _name(extras), str(_ROOT))


def _try(extras: str) -> str:
    """Run what must work in a container of the image; return what it is, as one line."""
    container = _run("buildah", "from", _name(extras)).strip()
    try:
        version = _in(container, "mrs-relay", "--version").strip()
        if (user := _in(container, "id", "-u").strip()) != _USER:
            raise Failed(f"the image runs as user {user}: expected {_USER}")
        writable = _in(container, "sh", "-c", "touch /opt/mrs-relay/x 2>/dev/null && echo yes || echo no").strip()
        if writable != "no":
            raise Failed("the image's user can change the program: expected it to belong to root")

        missing = _in(container, "python", "-c", _MISSING).split()
        unwanted = {"duckdb"} - set(missing)
        needed = {"sqlalchemy", "jinja2"} & set(missing) if extras == "web" else set()
        if unwanted or needed:
            raise Failed(f"the image has {sorted(unwanted)} and lacks {sorted(needed)}: expected neither")
        refused = _in(container, "sh", "-c", "mrs-relay serve 2>&1; echo exit $?")
        if "exit 2" not in refused or "endpoint" not in refused:
            raise Failed(f"`serve` without settings does not say which is missing: {refused[-300:]}")
        return f"{version}, user {user}, {_megabytes(_name(extras))} MB"
    finally:
        _run("buildah", "rm", container)


_MISSING: Final = (
    "import importlib.util as u; print(*(n for n in ('duckdb', 'sqlalchemy', 'jinja2') if u.find_spec(n) is None))"
)


def _in(container: str, *command: str) -> str:
    return _run("buildah", "run", "--isolation", "chroot", container, "--", *command)


def _megabytes(image: str) -> int:
    size = _run("buildah", "images", "--format", "{{.Size}}", image).split()
    number, unit = float(size[0]), size[1] if len(size) > 1 else "MB"
    return round(number * 1000) if unit == "GB" else round(number)


def _play_the_steps() -> None:
    """Do what the Dockerfile does, without a container: a fresh environment, installed from a copy of its files."""
    text = (_ROOT / "Dockerfile").read_text()
    with tempfile.TemporaryDirectory() as folder:
        place, source = Path(folder, "opt"), Path(folder, "src")
        source.mkdir()

        for files, target in re.findall(r"^COPY (?!--from)(.+) (\S+)$", text, re.MULTILINE):
            for name in files.split():
                if Path(_ROOT, name).is_dir():
                    shutil.copytree(_ROOT / name, source / target, dirs_exist_ok=True)
                else:
                    shutil.copy(_ROOT / name, source / target)

        for command in re.findall(r"^RUN (.*/opt/mrs-relay.*|python -m venv .*)$", text, re.MULTILINE):
            if "useradd" not in command:
                line = command.replace("/opt/mrs-relay", str(place)).replace(
                    "python -m venv", f"{sys.executable} -m venv"
                )
                _run("sh", "-c", line, cwd=source)

        print(f"image: {_run(str(place / 'bin' / 'mrs-relay'), '--version').strip()}")


def _run(program: str, *arguments: str, cwd: Path | None = None, timeout_s: float = _BUILD_S) -> str:
    """Return what a command prints; Failed with its last words if it fails."""
    command = [shutil.which(program) or program, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout_s, stdin=subprocess.DEVNULL, cwd=cwd
    )
    if done.returncode != 0:
        raise Failed(f"`{program} {' '.join(arguments[:2])} …` has failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
