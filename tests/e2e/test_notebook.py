"""The notebook of examples/ as Jupyter runs it, without a screen: it sends SQL by message and plots the rows."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import brokers, child, service, waiting

NOTEBOOK = Path(__file__).parents[2] / "examples" / "plot_sql.ipynb"


def _outputs(notebook: Mapping[str, Any], cell: str) -> list[Any]:
    """Return what a cell has put out."""
    [found] = [one["outputs"] for one in notebook["cells"] if one["id"] == cell]
    return list(found)


def test_notebook_sends_sql_and_plots_the_rows(embedded: brokers.TansuNode, tmp_path: Path) -> None:
    """Seven years of orders: the rows of the event, and a picture of them."""
    generator = str(Path(sys.executable).with_name("tpchgen-cli"))
    data = tmp_path / "data"
    tables = [generator, "parquet", "-s", "0.001", "--tables", "orders", f"--output-dir={data}", "-q"]
    subprocess.run(tables, check=True, timeout=60)
    with service.emulator(tmp_path, "--data", str(data), "--speed", "10") as mrs:
        name = f"notebook-{time.monotonic_ns()}"
        here = service.Deployment(embedded.bootstrap, name, mrs.url, tmp_path, "at-least-once")
        here.create_topics(2)
        relay = here.start_relay("one")
        try:
            done = _executed(here, tmp_path)
        finally:
            relay.kill()

    [rows] = _outputs(done, "send")
    shown = "".join(rows["data"]["text/plain"])
    assert all(f"'order_year': {year}" in shown for year in range(1992, 1999))
    [picture] = _outputs(done, "plot")
    assert base64.b64decode(picture["data"]["image/png"]).startswith(b"\x89PNG")


def _executed(here: service.Deployment, folder: Path) -> Any:
    """Run the notebook with Jupyter's own program, in folders of its own; returns it with its outputs."""
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    own = {one: str(folder / one.lower()) for one in places}
    where = {"BOOTSTRAP": here.bootstrap, "CLUSTER": service.CLUSTER, "PREFIX": here.name}
    copy = folder / NOTEBOOK.name
    copy.write_bytes(NOTEBOOK.read_bytes())
    log = folder / "notebook.log"
    command = [str(Path(sys.executable).with_name("jupyter-execute")), "--inplace", str(copy)]
    jupyter = child.Child(command, log=log, env={**here.environment(), **own, **where})
    code = jupyter.wait(waiting.LIMIT_S)
    if code is None:
        jupyter.kill()
    assert code == 0, log.read_text()
    return json.loads(copy.read_text())
