"""An order for a cluster, whichever operation it came with; `orders_v11.py` and `orders_v2.py` read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import checks, fields, refusals, settings
from mrs_emulator.jobs import jobs, rules

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
VERSION = re.compile(r"MRS \d+\.\d+\.\d+(?:-[A-Za-z0-9.]+)?")
DISK_KINDS = ("SATA", "SAS", "SSD", "GPSSD")
ANALYSIS, STREAMING, MIXED, CUSTOM = range(4)
NODES_MAX = 500
"""Most nodes of one group; how many the groups of a cluster have together is a setting."""

_SCRIPT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _-]{0,63}")
_PASSWORD_KINDS = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"\d"), re.compile(r"[^A-Za-z0-9]"))


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide what may be ordered."""

    cluster: settings.ClusterRules
    quirks: settings.Quirks
    pace: settings.Pace
    old: settings.OldApi


@dataclass(frozen=True, slots=True)
class Nodes:
    """A node group as ordered: how many nodes of what, and its auto scaling policy."""

    name: str
    number: int
    size: str
    disks: cluster_life.Disks
    root_kind: str = "SAS"
    root_size: int = 480
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A cluster as ordered, checked; members mean what they mean in `records.Cluster`."""

    name: str
    version: str
    components: tuple[str, ...]
    kind: int
    kerberos: bool
    prepaid: bool
    enterprise_project: str
    tags: Mapping[str, str]
    nodes: tuple[Nodes, ...]
    shown: Mapping[str, Any]
    scripts: tuple[Mapping[str, Any], ...]
    flow: tuple[checks.Submission, ...] = ()
    delete_after: bool = False

    def groups(self) -> tuple[cluster_life.Group, ...]:
        """Return the node groups with hosts."""
        found = []
        first = 0
        for one in self.nodes:
            hosts = tuple(range(first, first + one.number))
            first += one.number
            found.append(cluster_life.Group(one.name, one.size, hosts, one.disks, one.root_kind, one.root_size))
        return tuple(found)


def check_version(version: str, chosen: settings.ClusterRules) -> None:
    """
    Make sure that a version is on offer.

    Raises:
        Refusal: 12000093.
    """
    if VERSION.fullmatch(version) is None or (chosen.versions and version not in chosen.versions):
        raise refusals.of_cluster("12000093", version=version)


def check_nodes(nodes: Sequence[Nodes], chosen: settings.ClusterRules) -> None:
    """
    Make sure that flavors are on offer, that there are not too many nodes, and that no group comes twice.

    Raises:
        Refusal: 12000048, 12000028 or 12000002.
    """
    for one in nodes:
        if chosen.flavors and one.size not in chosen.flavors:
            raise refusals.of_cluster("12000048", flavor=one.size)
    if len({one.name for one in nodes}) != len(nodes):
        raise refusals.invalid("node_groups must have unique names")
    if sum(one.number for one in nodes if not one.name.startswith("master")) > chosen.nodes_max:
        raise refusals.of_cluster("12000028", most=chosen.nodes_max)


def check_flow(flow: Sequence[checks.Submission], components: Sequence[str], pace: settings.Pace) -> None:
    """
    Make sure that the jobs can run on the cluster that is being ordered.

    Raises:
        Refusal: as for CreateExecuteJob.
    """
    for one in flow:
        jobs.check_components(components, one.job_type)
        if one.runs_sql:
            jobs.check_sql()
        rules.plan(one, pace, 0)


def password(body: fields.Fields, name: str) -> None:
    """
    Check a password, if it is there: 8 to 32 characters of three kinds, which all sources allow.

    Raises:
        Refusal: 12000002; the message does not repeat it.
    """
    value = body.text(name)
    kinds = sum(kind.search(value) is not None for kind in _PASSWORD_KINDS)
    if value and (not 8 <= len(value) <= 32 or kinds < 3):  # noqa: PLR2004 - as the documents say
        raise refusals.invalid(f"{body.path(name)} must be 8 to 32 characters of at least three kinds")


def scripts(body: fields.Fields) -> tuple[Mapping[str, Any], ...]:
    """
    Return the bootstrap scripts.

    Raises:
        Refusal: 12000002.
    """
    found = []
    for one in body.objects("bootstrap_scripts"):
        one.need("name", "uri", "nodes", "fail_action")
        one.text("name", pattern=_SCRIPT_NAME)
        uri = one.text("uri")
        if not uri.startswith(("s3a://", "obs://")) and not (uri.startswith("/") and uri.endswith(".sh")):
            raise refusals.invalid(f"{one.path('uri')} must be an OBS path, or a local path that ends in .sh")

        one.one_of("fail_action", ("continue", "errorout"))
        shown = {
            "name": one.text("name"),
            "uri": uri,
            "parameters": one.text("parameters"),
            "nodes": one.texts("nodes"),
            "active_master": one.flag("active_master"),
            "before_component_start": one.flag("before_component_start"),
            "fail_action": one.text("fail_action"),
        }

        if one.texts("action_stages"):
            shown["action_stages"] = one.texts("action_stages")
        found.append(shown)

    if len({one["name"] for one in found}) != len(found):
        raise refusals.invalid("bootstrap_scripts must have unique names")
    return tuple(found)
