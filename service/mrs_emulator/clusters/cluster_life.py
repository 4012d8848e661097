"""
The life of a cluster as a pure function of its segments and the time; nothing ticks.

    starting → running ⇄ scaling-out | scaling-in        running → terminating → terminated        starting → failed

A segment says what queries see from its beginning until the next one begins. What an operation will do is written down
as segments that lie ahead; what happens later replaces those that have not begun.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

State = Literal[
    "starting",
    "running",
    "scaling-out",
    "scaling-in",
    "abnormal",
    "frozen",
    "terminating",
    "terminated",
    "failed",
]

TAKES_JOBS = frozenset({"running", "scaling-out", "scaling-in"})
"""States in which a cluster takes jobs. Source: user guide, jobs may be submitted during scaling."""

DELETABLE = frozenset({"running", "abnormal", "frozen"})
"""States in which a cluster can be deleted. Source: API reference, DeleteCluster, all others are refused."""

SCALING = frozenset({"scaling-out", "scaling-in"})
"""States during a resize."""


@dataclass(frozen=True, slots=True)
class Disks:
    """Data disks of a node: type, size in GB, how many."""

    kind: str = "SAS"
    size: int = 600
    count: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """
    Nodes of one kind.

    Attributes:
        name: group name, such as core_node_analysis_group.
        node_size: flavor.
        hosts: numbers of its hosts; a number is never used twice in a cluster.
        disks: data disks.
        root_kind: type of the system disk.
        root_size: its size in GB.
    """

    name: str
    node_size: str
    hosts: tuple[int, ...]
    disks: Disks = Disks()
    root_kind: str = "SAS"
    root_size: int = 480

    @property
    def role(self) -> Literal["master", "core", "task"]:
        """What its nodes are for; the groups of a custom cluster beside the masters count as core."""
        word = self.name.partition("_")[0]
        return cast("Literal['master', 'task']", word) if word in {"master", "task"} else "core"


@dataclass(frozen=True, slots=True)
class Segment:
    """
    What queries see of a cluster for a while.

    Attributes:
        begin_ms: since when, in milliseconds since the epoch.
        state: clusterState.
        groups: its nodes.
        stage: stageDesc, or None.
        scale: node-change status, empty when there is none.
        error: errorInfo.
    """

    begin_ms: int
    state: State
    groups: tuple[Group, ...]
    stage: str | None = None
    scale: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """The segments of a cluster in order of time, at least one."""

    segments: tuple[Segment, ...]

    def at(self, now_ms: int) -> Segment:
        """Return the segment of a moment; before the first it is the first."""
        index = bisect.bisect_right(self.segments, now_ms, key=lambda one: one.begin_ms)
        return self.segments[max(index - 1, 0)]

    def planned(self, now_ms: int, ahead: Sequence[Segment]) -> Life:
        """Return this life with another future; segments far in the past are forgotten."""
        begun = [one for one in self.segments if one.begin_ms <= now_ms][-_PAST_KEPT:]
        return replace(self, segments=(*begun, *ahead))

    def first(self, state: State, since_ms: int) -> int | None:
        """Return first moment at or after `since_ms` in which the cluster is in a state, as far as it is known."""
        if self.at(since_ms).state == state:
            return since_ms
        return next((one.begin_ms for one in self.segments if one.begin_ms > since_ms and one.state == state), None)

    @property
    def end(self) -> Segment:
        """The last segment known."""
        return self.segments[-1]


_PAST_KEPT = 32


def count(groups: Sequence[Group], *roles: str) -> int:
    """Return how many nodes the groups of some roles have; of all without roles."""
    return sum(len(one.hosts) for one in groups if not roles or one.role in roles)


def next_host(groups: Sequence[Group], life: Life | None = None) -> int:
    """Return a host number that none of the groups, and no segment of the life, has used."""
    used = [number for one in groups for number in one.hosts]
    if life is not None:
        used += [number for segment in life.segments for one in segment.groups for number in one.hosts]
    return max(used, default=-1) + 1
