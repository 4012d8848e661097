"""
Variables of Hive and Spark in a text: SET name=value sets them, ${hiveconf:name} and its kin use them.

Source: Hive wiki, LanguageManual VariableSubstitution; Spark SQL, configuration spark.sql.variable.substitute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from mrs_emulator.sql import refusing

_USE = re.compile(r"\$\{(?:(?P<space>hiveconf|hivevar|spark|sparkconf|env|system):)?(?P<name>[A-Za-z_][\w.-]*)\}")
_SET = re.compile(
    r"\s*SET\s+(?:(?:hiveconf|hivevar):)?(?P<name>[\w.-]+)\s*=\s*(?P<value>.*?)\s*", re.IGNORECASE | re.DOTALL
)
_FLAGS = frozenset({"--hiveconf", "-hiveconf", "--hivevar", "-hivevar", "--conf", "-d", "--define"})


class Variables:
    """
    The variables of one text, changed by its SET statements.

    Args:
        given: variables set before the first statement.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._values = dict(given)

    def put_into(self, sql: str) -> str:
        """
        Return the statement with the values in place of the variables.

        Raises:
            SqlRefused: a variable is not set, or comes from the environment.
        """
        return _USE.sub(self._value, sql)

    def note(self, sql: str) -> None:
        """Remember what a SET statement sets."""
        found = _SET.fullmatch(sql)
        if found is not None:
            self._values[found["name"]] = found["value"]

    def _value(self, found: re.Match[str]) -> str:
        if found["space"] in {"env", "system"}:
            raise refusing.not_played(f"the variable {found.group()}", "SET a hiveconf variable and use that")
        value = self._values.get(found["name"])
        if value is None:
            text = f"SET {found['name']}=… before, or give --hiveconf {found['name']}=… as arguments"
            raise refusing.not_played(f"the variable {found.group()}, which is not set", text)
        return value


def from_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """Return what the arguments before the text or script set: --hiveconf name=value, --hivevar, --conf."""
    found = {}
    for flag, pair in pairwise(arguments):
        name, equals, value = pair.partition("=")
        if flag in _FLAGS and equals:
            found[name.strip()] = value
    return found
