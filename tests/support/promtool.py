"""Play series of metrics through the alert rules with Prometheus' own promtool, which `make tools` installs."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from collections.abc import Collection
from typing import Any

import yaml

RULES = pathlib.Path(__file__).parents[2] / "deploy/observe/alerts.yaml"
_FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
_EVER = 'count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[%s]))'
_NAME = re.compile(r"\bmrs_relay_\w+")


class PrometheusMissing(RuntimeError):  # noqa: N818 - named for what is the case
    """There is no Prometheus on this machine."""


def require(name: str) -> str:
    """
    Return the path of a program of Prometheus.

    Raises:
        PrometheusMissing: it is not there.
    """
    found = shutil.which(name)
    if found is None:
        raise PrometheusMissing(f"{name} is not there: run `make tools` (Debian: apt-get install prometheus)")
    return found


def rules() -> list[dict[str, Any]]:
    """Return all alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def names() -> set[str]:
    """Return names of all series that the rules read."""
    return {name for rule in rules() for name in _NAME.findall(rule["expr"])}


def check() -> str:
    """Let promtool read the rules; returns what it says."""
    return _run("check", "rules", str(RULES))


def expect(
    folder: pathlib.Path,
    series: list[dict[str, str]],
    alerts: Collection[str],
    *,
    step_s: int,
    at_s: int,
    ever: bool = False,
) -> None:
    """
    Make sure that exactly these alerts fire.

    Args:
        folder: for the file of the test.
        series: in promtool's notation, see `measured.Recording.written`.
        alerts: names of the alerts.
        step_s: seconds between two values.
        at_s: when they must fire, seconds from the first value.
        ever: whether they must have fired at any time up to then instead.
    """
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)]
    asked = {"expr": _EVER % f"{at_s}s" if ever else _FIRING, "eval_time": f"{at_s}s", "exp_samples": expected}
    case = {"interval": f"{step_s}s", "input_series": series, "promql_expr_test": [asked]}
    path = folder / "alerts_test.yaml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": f"{step_s}s", "tests": [case]}),
        encoding="utf-8",
    )
    _run("test", "rules", str(path))


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [require("promtool"), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
