"""Render the chart with Helm, which `make helm` builds from its Go module."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/mrs-relay"
FOLDER = ROOT / ".cache/helm"
PROGRAM = FOLDER / "helm"
STAMP = ".built"
_CLUSTER = ("--kube-version", "1.31.0")


class HelmMissing(RuntimeError):  # noqa: N818 - named for what is the case
    """Helm has not been built."""


class ChartRefused(RuntimeError):  # noqa: N818 - named for what happened
    """Helm does not take the chart with these values; the message is Helm's."""


def is_built(wanted: str) -> bool:
    """Return whether the program is there, made from files of this digest."""
    stamp = FOLDER / STAMP
    return PROGRAM.is_file() and stamp.is_file() and stamp.read_text() == wanted


def run(*arguments: str, values: Mapping[str, Any] | None = None) -> str:
    """
    Run Helm; the values are given as a file.

    Raises:
        HelmMissing: it has not been built. ChartRefused: it ended with an error.
    """
    if not PROGRAM.is_file():
        raise HelmMissing("helm is not there: run `make helm`")
    command = [str(PROGRAM), *arguments, *([] if values is None else ["--values", "-"])]
    text = None if values is None else json.dumps(values)
    done = subprocess.run(command, input=text or "", capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ChartRefused(done.stdout + done.stderr)
    return done.stdout


def template(values: Mapping[str, Any], *more: str) -> str:
    """Return the manifests of a release `relay` in the namespace `data`."""
    return run("template", "relay", str(CHART), "--namespace", "data", *_CLUSTER, *more, values=values)


def lint(values: Mapping[str, Any]) -> str:
    """Return what Helm's linter says of the chart; a warning is an error."""
    return run("lint", "--strict", str(CHART), *_CLUSTER, values=values)


def manifests(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the manifests as objects."""
    return [one for one in yaml.safe_load_all(template(values)) if one]
