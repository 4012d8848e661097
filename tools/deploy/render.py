"""
Render the chart: plain manifests into deploy/k8s, and each set of values into tests/recorded/chart, to see changes.

`python -m tools.deploy.render write|check`; needs Helm, see `make helm`.
"""

from __future__ import annotations

import sys
from typing import Final

import yaml
from tests.support import chart_values, helm

RECORDED: Final = helm.ROOT / "tests/recorded/chart"
PLAIN: Final = helm.ROOT / "deploy/k8s"
_HEAD: Final = "# Rendered from deploy/helm/mrs-relay with values.yaml beside it by `make chart`; do not edit it.\n"


def main(action: str) -> int:
    """Write the files, or name those that are out of date; returns the exit code."""
    made = {RECORDED / f"{name}.yaml": helm.template(values) for name, values in chart_values.SETS.items()}
    values = yaml.safe_load((PLAIN / "values.yaml").read_text(encoding="utf-8"))
    made[PLAIN / "mrs-relay.yaml"] = _HEAD + helm.template(values)
    if action == "write":
        for path, text in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    old = [path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"{path.relative_to(helm.ROOT)} is out of date: write it again with `make chart`", file=sys.stderr)
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
