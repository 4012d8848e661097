"""Automatic scaling of task nodes: a policy alone (V1.1) and as part of a node group (V1.1 and V2)."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

import pydantic

from mrs_relay.mrs.models import base, fields

_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LEAST_MINUTES: Final = 30

Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
FailAction = Literal["continue", "errorout"]


def _minutes(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("must be a time from 0:00 to 23:59")
    return int(found[1]) * 60 + int(found[2])


def _time(text: str) -> str:
    _minutes(text)
    return text


TimeOfDay = Annotated[str, pydantic.AfterValidator(_time)]
"""`hour:minute`, 0:00 to 23:59. In which time zone is not documented."""


class _Capacity(base.Asked):
    min_capacity: fields.Nodes
    """Fewest nodes, 0 to 500."""
    max_capacity: fields.Nodes
    """Most nodes, 0 to 500."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_capacity > self.max_capacity:
            raise ValueError("min_capacity must not be above max_capacity")
        return self


class ResourcesPlan(_Capacity):
    """Between which numbers the nodes stay at a time of day."""

    period_type: Literal["daily"] = "daily"
    start_time: TimeOfDay
    end_time: TimeOfDay
    """At least 30 minutes after start_time."""
    effective_days: tuple[Weekday, ...] | None = None
    """Every day when absent. V2 only."""

    @pydantic.model_validator(mode="after")
    def _long_enough(self) -> Self:
        if _minutes(self.end_time) - _minutes(self.start_time) < _LEAST_MINUTES:
            raise ValueError(f"end_time must lie at least {_LEAST_MINUTES} minutes after start_time")
        return self


class Trigger(base.Asked):
    """When a rule acts."""

    metric_name: Annotated[str, pydantic.Field(min_length=1, max_length=64)]
    metric_value: Annotated[
        str, pydantic.StringConstraints(pattern=r"^-?\d+(\.\d{1,2})?$"), pydantic.Field(coerce_numbers_to_str=True)
    ]
    """A whole number, or one with two decimals, as text."""
    comparison_operator: Literal["LT", "GT", "LTOE", "GTOE"] | None = None
    evaluation_periods: Annotated[int, pydantic.Field(ge=1, le=288)]
    """For how many periods of five minutes in a row."""


class Rule(base.Asked):
    """One rule of a policy."""

    name: fields.Name
    """Unique in its node group."""
    description: Annotated[str, pydantic.Field(max_length=1024)] | None = None
    adjustment_type: Literal["scale_out", "scale_in"]
    cool_down_minutes: Annotated[int, pydantic.Field(ge=0, le=10_080)]
    scaling_adjustment: Annotated[int, pydantic.Field(ge=1, le=100)]
    """The number of nodes of one adjustment."""
    trigger: Trigger


class ScaleScript(base.Asked):
    """A script that runs before or after a scaling."""

    name: fields.ScriptName
    uri: fields.NotEmpty
    """An OBS path, or a local one that starts with / and ends with .sh."""
    parameters: str | None = None
    nodes: Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
    active_master: bool | None = None
    fail_action: FailAction
    action_stage: Literal["before_scale_out", "before_scale_in", "after_scale_out", "after_scale_in"]

    @pydantic.model_validator(mode="after")
    def _goes_on(self) -> Self:
        if self.action_stage == "after_scale_in" and self.fail_action != "continue":
            raise ValueError("fail_action must be continue for action_stage after_scale_in")
        return self


class AutoScalingPolicy(_Capacity):
    """A policy of a task node group; it replaces the one before it."""

    auto_scaling_enable: bool
    resources_plans: tuple[ResourcesPlan, ...] = ()
    rules: tuple[Rule, ...] = ()
    exec_scripts: tuple[ScaleScript, ...] = ()

    @pydantic.model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if self.auto_scaling_enable and not self.resources_plans and not self.rules:
            raise ValueError("auto_scaling_enable needs resources_plans or rules")
        if (name := fields.repeated([rule.name for rule in self.rules])) is not None:
            raise ValueError(f"rules: the name {name!r} occurs twice")
        return self


class PolicyToSet(base.Asked):
    """The body of CreateScalingPolicy."""

    node_group: fields.Name = "task_node_default_group"
    """Task nodes only. The documented name is the default; the names of V2 groups seem to be taken too."""
    auto_scaling_policy: AutoScalingPolicy
