"""
Auto scaling policies: checked and kept. They do not act: the emulator's nodes have no load to measure.

Source: API reference V1.1, page mrs_02_0056 (2021, 2022); the same shape is used by V2 in node groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mrs_emulator.core import fields, refusals

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _-]{0,63}")
_TIME = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d")
_METRIC_VALUE = re.compile(r"\d+(?:\.\d{1,2})?")
_DIRECTIONS = ("scale_out", "scale_in")
_OPERATORS = ("LT", "GT", "LTOE", "GTOE")
_STAGES = ("before_scale_out", "before_scale_in", "after_scale_out", "after_scale_in")
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_CAPACITY_MAX = 500
_PLAN_MINUTES_MIN = 30
_STORM = (
    "StormSlotAvailable",
    "StormSlotAvailablePercentage",
    "StormSlotUsed",
    "StormSlotUsedPercentage",
    "StormSupervisorMemAverageUsage",
    "StormSupervisorMemAverageUsagePercentage",
    "StormSupervisorCPUAverageUsagePercentage",
)
_YARN = (
    "YARNAppPending",
    "YARNAppPendingRatio",
    "YARNAppRunning",
    "YARNContainerAllocated",
    "YARNContainerPending",
    "YARNContainerPendingRatio",
    "YARNCPUAllocated",
    "YARNCPUAvailable",
    "YARNCPUAvailablePercentage",
    "YARNCPUPending",
    "YARNMemoryAllocated",
    "YARNMemoryAvailable",
    "YARNMemoryAvailablePercentage",
    "YARNMemoryPending",
)
METRICS = frozenset(_STORM + _YARN)


def read(policy: fields.Fields) -> Mapping[str, Any]:
    """
    Return a policy as it was sent, once it is found to be right.

    Raises:
        Refusal: 12000002, names the member.
    """
    policy.need("auto_scaling_enable", "min_capacity", "max_capacity")
    enabled = policy.flag("auto_scaling_enable")
    _check_capacity(policy)
    plans, rules = policy.objects("resources_plans"), policy.objects("rules")
    if enabled and not plans and not rules:
        raise refusals.invalid(f"{policy.path('rules')} or resources_plans must be set when auto scaling is enabled")

    for plan in plans:
        _check_plan(plan)
    for rule in rules:
        _check_rule(rule)
    names = [rule.text("name") for rule in rules]
    if len(set(names)) != len(names):
        raise refusals.invalid(f"{policy.path('rules')} must have unique names")

    for script in policy.objects("exec_scripts"):
        _check_script(script)
    return policy.raw()


def _check_capacity(fields_: fields.Fields) -> None:
    least = fields_.number("min_capacity", least=0, most=_CAPACITY_MAX)
    most = fields_.number("max_capacity", least=0, most=_CAPACITY_MAX)
    if least > most:
        raise refusals.invalid(f"{fields_.path('min_capacity')} must not exceed max_capacity")


def _check_plan(plan: fields.Fields) -> None:
    plan.need("period_type", "start_time", "end_time", "min_capacity", "max_capacity")
    plan.one_of("period_type", ("daily",))
    start, end = (_minutes(plan.text(name, pattern=_TIME)) for name in ("start_time", "end_time"))
    if end < start + _PLAN_MINUTES_MIN:
        raise refusals.invalid(f"{plan.path('end_time')} must be at least 30 minutes after start_time")
    if any(day not in _DAYS for day in plan.texts("effective_days")):
        raise refusals.invalid(f"{plan.path('effective_days')} must be days of the week")
    _check_capacity(plan)


def _minutes(time: str) -> int:
    hours, _, minutes = time.partition(":")
    return int(hours) * 60 + int(minutes)


def _check_rule(rule: fields.Fields) -> None:
    rule.need("name", "adjustment_type", "cool_down_minutes", "scaling_adjustment", "trigger")
    rule.text("name", pattern=_NAME)
    rule.text("description", most=1024)
    rule.one_of("adjustment_type", _DIRECTIONS)
    rule.number("cool_down_minutes", least=0, most=10_080)
    rule.number("scaling_adjustment", least=1, most=100)
    trigger = rule.object("trigger")
    trigger.need("metric_name", "metric_value", "evaluation_periods")
    metric = trigger.text("metric_name", most=64)
    if metric not in METRICS:
        raise refusals.invalid(f"{trigger.path('metric_name')} {metric} is unknown")
    trigger.text("metric_value", pattern=_METRIC_VALUE)
    trigger.one_of("comparison_operator", _OPERATORS)
    trigger.number("evaluation_periods", least=1, most=288)


def _check_script(script: fields.Fields) -> None:
    script.need("name", "uri", "nodes", "fail_action", "action_stage")
    script.text("name", pattern=_SCRIPT_NAME)
    script.text("uri")
    script.texts("nodes")
    script.flag("active_master")
    action = script.one_of("fail_action", ("continue", "errorout"))
    if script.one_of("action_stage", _STAGES) == "after_scale_in" and action != "continue":
        raise refusals.invalid(f"{script.path('fail_action')} must be continue for after_scale_in")
