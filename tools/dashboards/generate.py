"""
`python -m tools.dashboards.generate write|check`: write the dashboards of deploy/observe/dashboards, or compare them.

Made with Grafana's Foundation SDK from `panels`; a test checks that the files are up to date. The SDK's version names
the Grafana whose schema they have; later ones read it, too.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from tools.dashboards import panels

FOLDER: Final = Path(__file__).parents[2] / "deploy/observe/dashboards"
_SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_SPAN: Final = 8
_HEIGHT: Final = 8


def main(action: str) -> int:
    """Write the files, or name those that are out of date; returns the exit code."""
    made = {FOLDER / f"{board.uid}.json": _text(board) for board in panels.BOARDS}
    if action == "write":
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        return 0
    old = [path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"{path.name} is out of date: write it again with `make dashboards`", file=sys.stderr)
    return 1 if old else 0


def _text(board: panels.Board) -> str:
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .tags(["mrs-relay"])
        .refresh("30s")
        .time("now-3h", "now")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_values("job", "mrs_relay_build_info"))
    )

    for name, metric in board.variables.items():
        made = made.with_variable(_values(name, metric))
    ids = itertools.count(1)

    for title, several in board.rows.items():
        made = made.with_row(dashboard.Row(title).id(next(ids)))
        for one in several:
            made = made.with_panel(_panel(one).id(next(ids)))

    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _values(label: str, metric: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(label)
        .datasource(_SOURCE)
        .query(f"label_values({metric}, {label})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(include_all=True)
        .all_value(".*")
        .multi(multi=True)
    )


def _panel(wanted: panels.Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(wanted.title)
        .datasource(_SOURCE)
        .unit(wanted.unit)
        .span(_SPAN)
        .height(_HEIGHT)
        .legend(common.VizLegendOptions().show_legend(show_legend=True))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .min(0)
        .fill_opacity(20 if wanted.stacked else 0)
    )

    if wanted.stacked:
        made = made.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))

    for ref_id, (query, legend) in zip("ABCD", wanted.queries.items(), strict=False):
        asked = prometheus.Dataquery().datasource(_SOURCE).ref_id(ref_id).expr(query).legend_format(legend)
        made = made.with_target(asked.exemplar(exemplar="_bucket" in query))

    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
