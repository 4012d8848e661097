"""The alert rules against the metrics that there are, against their page, and against Prometheus."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
from tests.support import promtool

from mrs_relay.cli import metric_reference

_PAGE = pathlib.Path(__file__).parents[2] / "docs/alerts.md"
_RULES = promtool.rules()
_SCRAPED = 'mrs_relay_build_info{instance="r"}'

_TROUBLES: dict[str, dict[str, str]] = {
    "MrsRelayAbsent": {},
    "MrsRelayNotReady": {"mrs_relay_ready": "0x100"},
    "MrsRelayTenantNotServed": {'mrs_relay_tenant_ready{tenant="a"}': "0x100"},
    "MrsRelayKafkaAway": {"mrs_relay_kafka_connected": "0x100"},
    "MrsRelayConsumerSilent": {"mrs_relay_consumer_silent_seconds": "0+15x100"},
    "MrsRelayPartitionParked": {'mrs_relay_partition_state{state="unreadable"}': "1x100"},
    "MrsRelayPartitionNotWorking": {'mrs_relay_partition_state{state="waiting"}': "1x100"},
    "MrsRelayRestoreSlow": {'mrs_relay_partition_state{state="restoring"}': "1x100"},
    "MrsRelayRebalancesOften": {"mrs_relay_rebalances_total": "0+1x100"},
    "MrsRelayCommitsFail": {"mrs_relay_commit_failures_total": "0+1x100"},
    "MrsRelayLag": {"mrs_relay_partition_lag_records": "5000x100"},
    "MrsRelayClusterAway": {'mrs_relay_cluster_paused_since_seconds{state="failing"}': "0x100"},
    "MrsRelayMrsUnreachable": {"mrs_relay_unreachable_seconds_total": "0+15x100"},
    "MrsRelayThrottled": {"mrs_relay_mrs_throttled_total": "0+1x100"},
    "MrsRelayQuotaExhausted": {"mrs_relay_budget_needed": "1x100"},
    "MrsRelayRequestsWaitLong": {'mrs_relay_oldest_waiting_seconds{cluster="c"}': "4000x100"},
    "MrsRelayJobStuck": {'mrs_relay_jobs_overdue{state="cancelling"}': "2x100"},
    "MrsRelayOutcomeUnknown": {'mrs_relay_events_total{state="unknown"}': "_x65 1x35"},
    "MrsRelayDeadLetters": {"mrs_relay_dead_letters_total": "_x65 1x35"},
    "MrsRelayInternalErrors": {"mrs_relay_partition_crashes_total": "0x70 1x30"},
    "MrsRelayLoopSlow": {
        'mrs_relay_loop_delay_seconds_bucket{le="0.5"}': "0x100",
        'mrs_relay_loop_delay_seconds_bucket{le="5.0"}': "0+30x100",
        'mrs_relay_loop_delay_seconds_bucket{le="+Inf"}': "0+30x100",
    },
    "MrsRelayCertificateExpires": {"mrs_relay_certificate_not_after_seconds": "900000x100"},
    "MrsRelayWebFailing": {"mrs_relay_web_failing": "1x100"},
    "MrsRelayWebBehind": {"mrs_relay_web_behind_records": "2000x100"},
    "MrsRelayLineageDelayed": {'mrs_relay_lineage_delayed_seconds{topic="l"}': "0+15x100"},
    "MrsRelayLineageBehind": {'mrs_relay_lineage_lag_records{topic="l"}': "2000x100"},
    "MrsRelayLineageNotSent": {'mrs_relay_lineage_events_total{topic="l",outcome="refused"}': "0x70 1x30"},
}
"""Series, a value each 15 seconds, at whose end the alert fires."""


def test_prometheus_reads_the_rules() -> None:
    """Their syntax, and that no rule is there twice."""
    assert f"{len(_RULES)} rules found" in promtool.check()


def test_rules_read_only_metrics_that_there_are() -> None:
    """By the names under which they can be queried, and only labels that they have."""
    known = [family for _, families in metric_reference.roles() for family in families]
    assert promtool.names() <= {name for family in known for name in metric_reference.names(family)}


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule["alert"])
def test_each_alert_has_a_section_that_says_what_to_do(rule: dict[str, Any]) -> None:
    """What it means, where to look, what to do: found by the link of the alert."""
    place, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert place == "docs/alerts.md"
    sections = {
        title.lower(): text
        for title, text in re.findall(r"^## (\w+)\n(.+?)(?=^## |\Z)", _page(), re.MULTILINE | re.DOTALL)
    }
    assert anchor == rule["alert"].lower()
    for part in ("**What it means.**", "**Look here.**", "**Do this.**"):
        assert part in sections[anchor]
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_page_has_a_section_for_nothing_else() -> None:
    """In the order of the rules."""
    assert re.findall(r"^## (\w+)$", _page(), re.MULTILINE) == [rule["alert"] for rule in _RULES] == list(_TROUBLES)


def _page() -> str:
    return _PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("alert", _TROUBLES)
def test_each_alert_fires_for_its_trouble_alone(alert: str, tmp_path: pathlib.Path) -> None:
    """Each is tried, also those that no test of a whole relay plays."""
    shown = {**_TROUBLES[alert], **({} if alert == "MrsRelayAbsent" else {_SCRAPED: "1x100"})}
    series = [{"series": name, "values": values} for name, values in shown.items()]
    promtool.expect(tmp_path, series, {alert}, step_s=15, at_s=1440)
