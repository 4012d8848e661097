"""A real Prometheus scrapes the demo: it takes the format, reads the rules, and each graph has something to show."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import child, ports, promtool, waiting

pytestmark = pytest.mark.embedded

_BOARDS = sorted((promtool.RULES.parent / "dashboards").glob("*.json"))
_REFUSED = {
    "action": "status",
    "status": 400,
    "body": {"error_code": "12000062", "error_msg": "The cluster state does not allow this"},
    "count": None,
}
_VARIABLES = {"$job": ".*", "$tenant": ".*", "$cluster": ".*", "$operation": ".*", "$__rate_interval": "1m"}


class _Prometheus:
    """Prometheus' HTTP API."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer; None while Prometheus is not there."""
        try:
            with urllib.request.urlopen(f"{self._base}/{path}?{urllib.parse.urlencode(query)}", timeout=5) as reply:
                return json.load(reply)["data"]
        except (ConnectionError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 400:
                raise AssertionError(error.read().decode()) from error
            return None

    def up(self) -> set[str]:
        """Return the roles whose last scrape was read without an error."""
        targets = (self.get("targets") or {}).get("activeTargets", [])
        return {one["labels"]["job"] for one in targets if one["health"] == "up"}

    def has_data(self, query: str) -> bool:
        """Return whether a query has had a value in the last minutes."""
        now_s = time.time()
        found = self.get("query_range", query=query, start=f"{now_s - 300}", end=f"{now_s}", step="5")
        return bool(found and found["result"])


def _until(condition: Callable[[], object], what: str, timeout_s: float = waiting.LIMIT_S) -> None:
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, what
        time.sleep(0.2)


def _configured(folder: Path, targets: dict[str, int]) -> Path:
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for name, port in targets.items()
    ]
    intervals = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump({"global": intervals, "rule_files": [str(promtool.RULES)], "scrape_configs": jobs}))
    return path


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Prometheus]:
    """Play the demo to its end with a request that waits for a refusing cluster, all of it scraped once a second."""
    folder = tmp_path_factory.mktemp("prometheus")
    mrs, relay, web, own = (ports.free_port() for _ in range(4))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MRS_RELAY_")}
    demo_ports = ["--mrs-port", f"{mrs}", "--web-port", f"{relay}", "--dashboard-port", f"{web}"]
    demo = child.Child(
        [sys.executable, "-m", "mrs_relay", "demo", "--scale", "0.01", "--speed", "4", "--keep", *demo_ports],
        log=folder / "demo.txt",
        env=environment | {"TMPDIR": str(folder)},
    )
    config = _configured(folder, {"mrs-relay": relay, "mrs-relay-web": web})
    storage = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    server = child.Child([promtool.require("prometheus"), *storage], log=folder / "prometheus.txt")
    try:
        _until(lambda: "Ctrl-C ends everything" in demo.log.read_text(), "the demo has not come to its end", 150)
        shown = re.search(r"^\S[^\n]* submit sql [^\n]*\n[^\n]+", demo.log.read_text(), re.MULTILINE)
        assert shown is not None
        faults = json.dumps([{**_REFUSED, "operation": name} for name in ("CreateExecuteJob", "ExecuteSql")]).encode()
        headers = {"Content-Type": "application/json"}
        order = urllib.request.Request(f"http://127.0.0.1:{mrs}/emulator/faults", faults, headers, method="POST")
        urllib.request.urlopen(order, timeout=5).close()
        waiting = child.Child(["sh", "-c", f"exec {shown[0]}"], log=folder / "submit.txt", env=environment)

        found = _Prometheus(own)
        _until(lambda: found.has_data("mrs_relay_cluster_paused_since_seconds"), server.log.read_text())
        _until(lambda: found.has_data("mrs_relay_oldest_waiting_seconds"), "no request was seen to wait")
        _until(lambda: found.has_data("rate(mrs_relay_circuit_open_seconds_total[1m])"), "the pause was not counted")
        yield found
    finally:
        for process in (server, demo):
            process.stop(30)
    waiting.stop(5)


def test_prometheus_reads_what_both_roles_show(scraped: _Prometheus) -> None:
    """It asks for OpenMetrics, and takes no format that is not exactly that."""
    _until(lambda: scraped.up() == {"mrs-relay", "mrs-relay-web"}, "a role was not read")


def test_prometheus_evaluates_all_rules_without_an_error(scraped: _Prometheus) -> None:
    """Each one, over what the demo shows."""
    (group,) = scraped.get("rules")["groups"]
    assert len(group["rules"]) == len(promtool.rules())
    _until(
        lambda: all(rule["health"] == "ok" for rule in scraped.get("rules")["groups"][0]["rules"]), "unhealthy rules"
    )


@pytest.mark.parametrize("path", _BOARDS, ids=lambda path: path.stem)
def test_each_graph_of_a_dashboard_has_data(scraped: _Prometheus, path: Path) -> None:
    """With all values of the dashboard's variables."""
    panels = [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]
    assert panels
    for panel in panels:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in _VARIABLES.items():
                query = query.replace(name, value)
            _until(partial(scraped.has_data, query), f"no data in {panel['title']}: {query}")
