"""The chart, rendered by Helm with many values: what Kubernetes takes of it, and what the relay reads."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import kubernetes_validate
import pytest
import yaml
from tests.support import chart_values, helm, promtool
from tools.deploy import chart_files, render

from mrs_relay import settings
from mrs_relay.kafka.topics import acl_plan, topic_setup

_CUSTOM: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "custom_resources.yaml").read_text())
_KUBERNETES = ("1.27", "1.31", "1.37")
_SETS = pytest.mark.parametrize("values", chart_values.SETS.values(), ids=chart_values.SETS)


def _of(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in manifests if one["kind"] == kind]


def _pod(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


@_SETS
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    """Its linter counts warnings, too."""
    assert "0 chart(s) failed" in helm.lint(values)


@_SETS
def test_kubernetes_takes_every_manifest(values: dict[str, Any]) -> None:
    """By the schemas of the oldest and the newest version, without a field that they do not know."""
    for one in helm.manifests(values):
        if one["kind"] in _CUSTOM:
            known = _CUSTOM[one["kind"]]
            assert one["apiVersion"] == known["apiVersion"]
            jsonschema.validate(one["spec"], known["spec"])
            assert one.keys() == {"apiVersion", "kind", "metadata", "spec"}
        else:
            for version in _KUBERNETES:
                kubernetes_validate.validate(one, version, strict=True)


def test_rendered_files_are_up_to_date() -> None:
    """The plain manifests, what each set of values gives, and what the chart has from the relay's code."""
    assert render.main("check") == 0
    assert chart_files.main("check") == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kafka": {"bootstrapServers": ""}}, "bootstrapServers"),
        ({"mrs": {"region": ""}}, "mrs"),
        ({"worker": {"replica": 3}}, "replica"),
        ({"kafka": {"bootstrapServers": "k:1", "security": {"password": "geheim"}}}, "password"),
        ({"kafka": {"bootstrapServers": "k:1", "security": {"passwordSecret": {"name": "a"}}}}, "passwordSecret"),
        ({"keda": {"enabled": True}}, "prometheus"),
        ({"keda": {"enabled": True, "prometheus": "http://p:9090", "minReplicas": 0}}, "minReplicas"),
        ({"strimzi": {"enabled": True}}, "cluster"),
        ({"unknown": 1}, "unknown"),
        ({"web": {"enabled": True}}, "tokensSecret"),
        ({"lineage": {"enabled": True}}, "url"),
        ({"lineage": {"enabled": True, "url": "http://marquez"}}, r"settings\.kafka\.topics\.lineage"),
    ],
)
def test_values_that_cannot_work_are_refused(change: dict[str, Any], complaint: str) -> None:
    """By the schema, which names the value; a secret can only be named, never given."""
    with pytest.raises(helm.ChartRefused, match=complaint):
        helm.template(chart_values.FEWEST | change)


def test_a_chart_of_charts_may_switch_it_off_and_share_values() -> None:
    """A parent chart passes `global`, and `enabled` as its condition."""
    assert helm.manifests(chart_values.FEWEST | {"global": {"a": 1}, "enabled": True})


@_SETS
def test_pods_run_without_rights_and_find_out_nothing_about_the_cluster(values: dict[str, Any]) -> None:
    """No root, no writable root file system, no capability, no token, no variables of other services."""
    for one in helm.manifests(values):
        if one["kind"] not in {"StatefulSet", "Deployment"}:
            continue

        pod = _pod(one)
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True

        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }

        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@_SETS
def test_workers_keep_their_names_and_get_the_time_to_leave(values: dict[str, Any]) -> None:
    """Static membership by the pod's name; longer than the relay's own shutdown; no replicas where KEDA owns them."""
    manifests = helm.manifests(values)
    (worker,) = _of(manifests, "StatefulSet")
    pod = _pod(worker)
    assert {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in pod["containers"][0][
        "env"
    ]
    assert pod["terminationGracePeriodSeconds"] > values.get("worker", {}).get("shutdownSeconds", 20)
    assert ("replicas" in worker["spec"]) != bool(_of(manifests, "ScaledObject"))
    assert worker["spec"]["serviceName"] in {one["metadata"]["name"] for one in _of(manifests, "Service")}


@_SETS
def test_what_selects_pods_selects_pods_that_there_are(values: dict[str, Any]) -> None:
    """Services, budgets and the network policy meet the labels of a pod template, and ports that it has."""
    manifests = helm.manifests(values)
    pods = [one["spec"]["template"] for one in manifests if one["kind"] in {"StatefulSet", "Deployment"}]
    for one in manifests:
        selector = one["spec"].get("selector") or one["spec"].get("podSelector") if "spec" in one else None
        if selector is None or one["kind"] == "ServiceMonitor":
            continue
        labels = selector.get("matchLabels", selector).items()
        assert any(labels <= pod["metadata"]["labels"].items() for pod in pods), one["kind"]


def _load(path: Path) -> Any:
    return settings.load(path)


_LOADERS: dict[str, Callable[[Path], Any]] = {"web": settings.load_web_role, "lineage": settings.load_forwarder}
"""How a role reads its file; the workers' has no name of its own."""


@_SETS
def test_each_setting_of_the_files_is_one_that_the_relay_knows(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each role reads its file, and what the values say is what it finds."""
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)

    texts = {
        one["metadata"]["name"]: one["data"]["settings.toml"]
        for one in _of(helm.manifests(values), "ConfigMap")
        if "settings.toml" in one["data"]
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        found = _LOADERS.get(name.rpartition("-")[2], _load)(path)
        assert found.kafka.bootstrap_servers == values["kafka"]["bootstrapServers"]
        named = values["kafka"].get("security", {}).get("passwordSecret")
        assert str(found.kafka.security.password_file) == ("/etc/mrs-relay/kafka-password/value" if named else "None")

    forwards = values.get("lineage", {}).get("enabled", False)
    assert len(texts) == 1 + values.get("web", {}).get("enabled", True) + forwards


def _settings_of(manifests: list[dict[str, Any]], role: str) -> dict[str, Any]:
    texts = {
        one["metadata"]["name"].rpartition("-")[2]: one["data"]["settings.toml"]
        for one in _of(manifests, "ConfigMap")
        if "settings.toml" in one["data"]
    }
    return tomllib.loads(texts[role])


def test_the_web_role_is_a_user_of_its_own_and_its_replicas_share_the_key_of_logins() -> None:
    """The relay's user may neither read events nor set controls, and a login must hold at each replica."""
    manifests = helm.manifests(chart_values.SECURED)
    assert _settings_of(manifests, "relay")["kafka"]["security"]["username"] == "relay"
    web = _settings_of(manifests, "web")
    assert web["kafka"]["security"]["username"] == "relay-web"
    assert web["api"]["access"]["session_key_file"] == "/etc/mrs-relay/web-session-key/value"

    secrets = {
        one["kind"]: {each["name"]: each.get("secret") for each in _pod(one)["volumes"]}
        for one in manifests
        if one["kind"] in {"StatefulSet", "Deployment"}
    }
    assert secrets["StatefulSet"]["kafka-password"]["secretName"] == "kafka-relay"
    assert secrets["Deployment"]["kafka-password"]["secretName"] == "kafka-web"
    assert secrets["Deployment"]["web-session-key"]["secretName"] == "relay-session"


def test_the_forwarder_has_its_own_user_and_its_secrets_alone() -> None:
    """It reads the topic of lineage and calls the catalogue; keys of MRS and tokens of callers are not its own."""
    manifests = helm.manifests(chart_values.EVERYTHING)
    chosen = _settings_of(manifests, "lineage")
    assert chosen.keys() == {"kafka", "engine", "forwarding", "log"}
    assert chosen["kafka"]["security"]["username"] == "relay-lineage"
    assert chosen["forwarding"]["url"] == chart_values.EVERYTHING["lineage"]["url"]
    (pod,) = [_pod(one) for one in _of(manifests, "Deployment") if one["metadata"]["name"].endswith("-lineage")]
    mounted = {one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}
    assert mounted == {"kafka-lineage", "kafka-cluster-ca", "marquez", "marquez-ca"}


def test_the_service_may_have_a_port_that_a_pod_without_rights_cannot_take() -> None:
    """Ports below 1024 need a capability that the pods do not have."""
    values = chart_values.FEWEST | {"web": {**chart_values.FEWEST["web"], "service": {"port": 443}}}
    manifests = helm.manifests(values)
    (web,) = _of(manifests, "Deployment")
    (service,) = [one for one in _of(manifests, "Service") if one["metadata"]["name"].endswith("-web")]
    assert service["spec"]["ports"] == [{"name": "api", "port": 443, "targetPort": "api"}]
    assert _pod(web)["containers"][0]["ports"] == [{"name": "api", "containerPort": 8081}]
    assert _settings_of(manifests, "web")["api"]["port"] == 8081


def test_what_the_settings_say_is_not_lost_to_a_default_of_the_values() -> None:
    """A web role that may only read stays one, and a longer shutdown gets its time."""
    manifests = helm.manifests(
        chart_values.FEWEST | {"settings": {"api": {"read_only": True}, "kafka": {"shutdown_s": 90}}}
    )
    assert _settings_of(manifests, "web")["api"]["read_only"] is True
    (worker,) = _of(manifests, "StatefulSet")
    assert _pod(worker)["terminationGracePeriodSeconds"] > 90


def test_no_secret_stands_in_a_manifest() -> None:
    """They are named, mounted, and read as files; the database's address is taken from its secret."""
    text = helm.template(chart_values.EVERYTHING)
    assert "kind: Secret" not in text
    assert not re.search(
        r"(password|secret_key|token)\s*=", text.replace("password_file", "").replace("tokens_file", "")
    )


def test_strimzi_makes_the_topics_and_the_rights_of_the_relays_own_plan() -> None:
    """With the names of the settings."""
    manifests = helm.manifests(chart_values.EVERYTHING)
    kafka = settings.Settings(
        **chart_values.EVERYTHING["settings"],
        mrs={"endpoint": "https://m", "project_id": "p", "access_key": "a", "secret_key": "s"},
    ).kafka.model_copy(update={"partitions": 24, "replication_factor": 3})

    topics = {one["spec"]["topicName"]: one["spec"] for one in _of(manifests, "KafkaTopic")}
    planned = {one.name: one for one in topic_setup.plan(kafka, partitions=24)}
    assert topics.keys() == planned.keys()
    for name, spec in topics.items():
        assert (spec["partitions"], spec["replicas"]) == (planned[name].partitions, 3)
        assert spec["config"] == planned[name].configs

    roles: tuple[acl_plan.Role, ...] = ("relay", "web", "lineage")
    for role in roles:
        (user,) = [one for one in _of(manifests, "KafkaUser") if one["metadata"]["name"].endswith(f"-{role}")]
        found = {
            (one["resource"]["name"], one["resource"]["patternType"] == "prefix", *one["operations"])
            for one in user["spec"]["authorization"]["acls"]
        }
        assert found == {(one.name, one.prefixed, *one.operations) for one in acl_plan.acls(kafka, role)}


def test_the_alerts_of_the_chart_are_those_that_are_tested() -> None:
    """With links that lead where the values say."""
    (rules,) = _of(helm.manifests(chart_values.EVERYTHING), "PrometheusRule")
    expected = copy.deepcopy(promtool.rules())
    for rule in expected:
        rule["annotations"]["runbook_url"] = f"https://wiki.example/mrs-relay/{rule['annotations']['runbook_url']}"
    assert rules["spec"]["groups"][0]["rules"] == expected


def test_the_dashboards_of_the_chart_are_those_that_have_data() -> None:
    """Each one is a file of the map that Grafana's sidecar reads."""
    values = chart_values.FEWEST | {"prometheus": {"dashboards": {"enabled": True}}}
    (shown,) = [one for one in helm.manifests(values) if one["metadata"]["name"].endswith("-dashboards")]
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert shown["data"] == {
        path.name: path.read_text() for path in (promtool.RULES.parent / "dashboards").glob("*.json")
    }
