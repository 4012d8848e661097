"""
What a cluster goes through when it is created, resized or deleted: segments, and the words that stageDesc shows.

How an operation ends is decided by rule when it begins, see `RULES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import settings

RULES = """\
Clusters live: starting -> running, scaling-out or scaling-in -> running, terminating -> terminated. How an operation
on a cluster ends, the first rule that speaks wins:

  1. a tag of the cluster:        emulator.create | emulator.resize | emulator.delete = succeeded | failed | stuck
                                  emulator.create_s | emulator.resize_s | emulator.delete_s = 12.5  (seconds)
                                  emulator.cause = MRS.101   (shown when it fails; MRS.101 to 105, 201 to 203, 300, 400)
  2. a word in the cluster's name, for its creation only:
                                  fail or failed -> failed, stuck -> starting for ever,
                                  slow -> ten times as long, quick -> a tenth
  3. otherwise it succeeds after the usual duration.

A failed creation ends in failed. A resize always ends in running: a failed one shows scale = scaling-error, a
stageDesc that says so, and the old number of nodes. A failed delete ends in abnormal (no page names the state). Tags
may be set after the creation, so any cluster can be made to fail its next resize.
Jobs of a cluster that is deleted are killed.
"""

Kind = Literal["create", "resize", "delete"]
Outcome = Literal["succeeded", "failed", "stuck"]

_CAUSES: Mapping[str, str] = {
    "MRS.101": "Insufficient quota.",
    "MRS.102": "The token cannot be empty or invalid.",
    "MRS.103": "Invalid request.",
    "MRS.104": "Insufficient resources.",
    "MRS.105": "Insufficient IP addresses in the subnet.",
    "MRS.201": "Failed due to an ECS error.",
    "MRS.202": "Failed due to an IAM error.",
    "MRS.203": "Failed due to a VPC error.",
    "MRS.300": "MRS internal error.",
    "MRS.400": "MRS internal error.",
}
_USUAL_CAUSE = "MRS.104"
_WORD = re.compile(r"[-_]+")
_OUTCOMES: Mapping[str, Outcome] = {"succeeded": "succeeded", "failed": "failed", "stuck": "stuck"}
_PLAYS: tuple[tuple[str, Outcome], ...] = (("fail", "failed"), ("failed", "failed"), ("stuck", "stuck"))


@dataclass(frozen=True, slots=True)
class _Words:
    create: tuple[str, ...]
    create_failed: str
    scale_out: tuple[str, ...]
    scale_out_failed: str
    scale_in: tuple[str, ...]
    scale_in_failed: str


_HUAWEI = _Words(
    (
        "Verifying cluster parameters",
        "Applying for cluster resources",
        "Creating VM",
        "Initializing VM",
        "Installing MRS Manager",
        "Deploying cluster",
    ),
    "Cluster installation failed",
    ("Preparing for cluster expansion", "Creating VM", "Initializing VM", "Adding node to the cluster"),
    "Cluster expansion failed",
    ("Preparing for cluster shrink", "Decommissioning instance", "Deleting VM", "Deleting node from the cluster"),
    "Cluster shrink failed",
)
_TELEKOM = _Words(
    (*_HUAWEI.create[:2], "Creating VMs", "Initializing VMs", "Installing MRS Manager", "Deploying the cluster"),
    "Cluster installation failed",
    ("Preparing for scale-out", "Creating VMs", "Initializing VMs", "Adding nodes to the cluster"),
    "Scale-out failed",
    ("Preparing for scale-in", "Decommissioning instance", "Deleting VMs", "Deleting nodes from the cluster"),
    "Scale-in failed",
)


@dataclass(frozen=True, slots=True)
class Play:
    """How an operation will go: its end, its duration in milliseconds, and the message when it fails."""

    outcome: Outcome
    lasts_ms: int
    cause: str


class Stages:
    """
    Makes the segments of operations.

    Args:
        pace: how long they last.
        chosen: which words are used.
    """

    def __init__(self, pace: settings.Pace, chosen: settings.ClusterRules) -> None:
        self._pace = pace
        self._rules = chosen
        self._words = _HUAWEI if chosen.words == "expansion" else _TELEKOM

    def creation(
        self, now_ms: int, cluster: tuple[str, str], tags: Mapping[str, str], groups: tuple[cluster_life.Group, ...]
    ) -> cluster_life.Life:
        """
        Return the life of a cluster that is ordered now.

        Args:
            now_ms: now, in milliseconds since the epoch.
            cluster: its id and name.
            tags: its tags.
            groups: its nodes; there are none before it runs.
        """
        play = self.play("create", cluster[0], tags, name=cluster[1])
        segments = _spread("starting", self._words.create, now_ms, play, groups)
        end_ms = now_ms + play.lasts_ms
        if play.outcome == "succeeded":
            segments.append(cluster_life.Segment(end_ms, "running", groups))
        elif play.outcome == "failed":
            stage = self._failure(self._words.create_failed, play.cause)
            segments.append(cluster_life.Segment(end_ms, "failed", groups, stage, error=play.cause))
            if self._rules.failed_cleaned_s is not None:
                gone_ms = end_ms + round(self._rules.failed_cleaned_s * 1000 / self._pace.speed)
                segments.append(cluster_life.Segment(gone_ms, "terminated", groups, stage, error=play.cause))
        return cluster_life.Life(tuple(segments))

    def resize(
        self, begin_ms: int, before: cluster_life.Segment, groups: tuple[cluster_life.Group, ...], play: Play
    ) -> list[cluster_life.Segment]:
        """Return the segments of a resize that ends with these groups, if it succeeds."""
        outwards = cluster_life.count(groups) > cluster_life.count(before.groups)
        state: cluster_life.State = "scaling-out" if outwards else "scaling-in"
        steps = self._words.scale_out if outwards else self._words.scale_in
        segments = _spread(state, steps, begin_ms, play, before.groups, scale=state)
        end_ms = begin_ms + play.lasts_ms
        if play.outcome == "succeeded":
            segments.append(cluster_life.Segment(end_ms, "running", groups))
        elif play.outcome == "failed":
            words = self._words.scale_out_failed if outwards else self._words.scale_in_failed
            stage = self._failure(words, play.cause)
            segments.append(
                cluster_life.Segment(end_ms, "running", before.groups, stage, scale="scaling-error", error=play.cause)
            )
        return segments

    def deletion(self, begin_ms: int, before: cluster_life.Segment, play: Play) -> list[cluster_life.Segment]:
        """Return the segments of a delete; stageDesc stays as it was, which the examples show."""
        segments = [cluster_life.Segment(begin_ms, "terminating", before.groups, before.stage)]
        end_ms = begin_ms + play.lasts_ms
        if play.outcome == "succeeded":
            segments.append(cluster_life.Segment(end_ms, "terminated", before.groups, before.stage))
        elif play.outcome == "failed":
            segments.append(cluster_life.Segment(end_ms, "abnormal", before.groups, before.stage, error=play.cause))
        return segments

    def begin_ms(self, now_ms: int) -> int:
        """Return when clusterState begins to show an operation that is accepted now."""
        return now_ms + round(self._rules.late_state_s * 1000 / self._pace.speed)

    def play(self, kind: Kind, cluster_id: str, tags: Mapping[str, str], *, name: str = "") -> Play:
        """Return how an operation on a cluster with these tags will go; the name counts for the creation only."""
        words = {word.lower() for word in _WORD.split(name)} if kind == "create" else set()
        asked = tags.get(f"emulator.{kind}")
        outcome: Outcome = next((end for word, end in _PLAYS if word in words), "succeeded")
        outcome = _OUTCOMES.get(asked or "", outcome)
        seconds = _seconds(tags.get(f"emulator.{kind}_s"))
        if seconds is None:
            usual = {"create": self._pace.create_s, "resize": self._pace.resize_s, "delete": self._pace.delete_s}[kind]
            seconds = usual * (10 if "slow" in words else 0.1 if "quick" in words else 1)
        code = tags.get("emulator.cause", "")
        code = code if code in _CAUSES else _USUAL_CAUSE
        cause = f"({code}) {_CAUSES[code]} Cluster ID: {cluster_id}."
        return Play(outcome, round(seconds * 1000 / self._pace.speed), cause)

    def _failure(self, words: str, cause: str) -> str:
        return cause if self._rules.stage_tells_cause else words


def _spread(
    state: cluster_life.State,
    steps: Sequence[str],
    begin_ms: int,
    play: Play,
    groups: tuple[cluster_life.Group, ...],
    scale: str = "",
) -> list[cluster_life.Segment]:
    """Return the steps, each of the same length."""
    return [
        cluster_life.Segment(begin_ms + play.lasts_ms * number // len(steps), state, groups, step, scale)
        for number, step in enumerate(steps)
    ]


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
