"""
Checks of what clients send, with the documented limits; every refusal is 12000002 and names the parameter.

Source: API reference, CreateExecuteJob and ShowJobExeListNew (2025), SDK 3.1.219.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrs_emulator.core import refusals, settings

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PROPERTIES_MAX = 2048
SQL_TYPES = frozenset({"SparkSql", "HiveSql"})
SCRIPT_TYPES = frozenset({"SparkScript", "HiveScript"})

_FORBIDDEN_IN_ARGUMENTS = frozenset(";|&>'<$!\\\"")
_FORBIDDEN_IN_PROPERTIES = frozenset("><|'`&!\\")


@dataclass(frozen=True, slots=True)
class Submission:
    """A job as a client asks for it, checked."""

    name: str
    job_type: str
    arguments: tuple[str, ...]
    properties: Mapping[str, str]

    @property
    def runs_sql(self) -> bool:
        """Whether the job is SQL text or a file of SQL."""
        return self.job_type in SQL_TYPES or self.job_type in SCRIPT_TYPES


def submission(body: Mapping[str, Any], quirks: settings.Quirks) -> Submission:
    """
    Return the job in a submit body.

    Raises:
        Refusal: 12000002; or 0165 when a SQL job has no statement.
    """
    name = body.get("job_name")
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise refusals.invalid("job_name must match ^[A-Za-z0-9_-]{1,64}$")
    job_type = body.get("job_type")
    if job_type not in settings.JOB_TYPES:
        raise refusals.invalid(f"job_type must be one of {', '.join(settings.JOB_TYPES)}")
    wanted = Submission(name, job_type, _arguments(body, quirks), _properties(body))
    if quirks.strict_characters:
        _check_characters(wanted)
    if wanted.runs_sql and not (wanted.arguments and wanted.arguments[-1].strip()):
        raise refusals.business("0165")
    return wanted


def _arguments(body: Mapping[str, Any], quirks: settings.Quirks) -> tuple[str, ...]:
    arguments = body.get("arguments")
    if arguments is None:
        return ()
    if not isinstance(arguments, list) or not all(isinstance(one, str) for one in arguments):
        raise refusals.invalid("arguments must be an array of strings")
    if sum(map(len, arguments)) > quirks.arguments_max:
        raise refusals.invalid(f"arguments must not exceed {quirks.arguments_max} characters")
    return tuple(arguments)


def _properties(body: Mapping[str, Any]) -> dict[str, str]:
    properties = body.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict) or not all(isinstance(one, str) for one in properties.values()):
        raise refusals.invalid("properties must be an object of strings")
    if sum(len(key) + len(value) for key, value in properties.items()) > PROPERTIES_MAX:
        raise refusals.invalid(f"properties must not exceed {PROPERTIES_MAX} characters")
    return properties


def _check_characters(wanted: Submission) -> None:
    checked = wanted.arguments[:-1] if wanted.job_type in SQL_TYPES else wanted.arguments
    if any(_FORBIDDEN_IN_ARGUMENTS & set(one) for one in checked):
        raise refusals.invalid("arguments contain forbidden characters")
    if any(_FORBIDDEN_IN_PROPERTIES & set(key + value) for key, value in wanted.properties.items()):
        raise refusals.invalid("properties contain forbidden characters")


def whole_number(query: Mapping[str, str], name: str, *, least: int) -> int | None:
    """
    Return a query parameter that holds an integer, or None when it is absent or empty.

    Raises:
        Refusal: 12000002, it is no integer or below `least`.
    """
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise refusals.invalid(f"{name} must be an integer") from None
    if number < least:
        raise refusals.invalid(f"{name} must be at least {least}")
    return number


def one_of(query: Mapping[str, str], name: str, allowed: frozenset[str]) -> str | None:
    """
    Return a query parameter with a fixed set of values, or None when it is absent or empty.

    Raises:
        Refusal: 12000002, it has another value.
    """
    value = query.get(name) or None
    if value is not None and value not in allowed:
        raise refusals.invalid(f"{name} must be one of {', '.join(sorted(allowed))}")
    return value


def matching(query: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str | None:
    """
    Return a query parameter with a pattern, or None when it is absent or empty.

    Raises:
        Refusal: 12000002, it does not match.
    """
    value = query.get(name) or None
    if value is not None and pattern.fullmatch(value) is None:
        raise refusals.invalid(f"{name} must match ^{pattern.pattern}$")
    return value
