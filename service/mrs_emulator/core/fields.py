"""
Members of JSON bodies, checked; every refusal is 12000002 and names the member by its path.

Numbers and booleans may come as strings: published examples send them so, and the service takes them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from mrs_emulator.core import refusals


class Fields:
    """
    The members of one JSON object.

    Args:
        value: the object.
        path: where it is in the body, for messages; empty for the body itself.
    """

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self._value = value
        self._path = path

    def path(self, name: str) -> str:
        """Return where a member is in the body."""
        return f"{self._path}.{name}" if self._path else name

    def has(self, name: str) -> bool:
        """Return whether a member is there and is neither null nor an empty string."""
        return self._value.get(name) not in (None, "")

    def any(self, name: str) -> Any:  # noqa: ANN401 - any JSON
        """Return a member as it came, or None."""
        return self._value.get(name)

    def need(self, *names: str) -> None:
        """
        Make sure that members are there.

        Raises:
            Refusal: 12000002, names the first that is missing.
        """
        for name in names:
            if not self.has(name):
                raise refusals.invalid(f"{self.path(name)} is required")

    def text(self, name: str, default: str = "", *, pattern: re.Pattern[str] | None = None, most: int = 0) -> str:
        """
        Return a string.

        Args:
            name: of the member.
            default: when it is missing or null.
            pattern: it must match as a whole, when given and not empty.
            most: longest length; 0 means any.
        """
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise refusals.invalid(f"{self.path(name)} must be a string")
        if pattern is not None and pattern.fullmatch(value) is None:
            raise refusals.invalid(f"{self.path(name)} must match ^{pattern.pattern}$")
        if most and len(value) > most:
            raise refusals.invalid(f"{self.path(name)} must not exceed {most} characters")
        return value

    def number(self, name: str, default: int = 0, *, least: int | None = None, most: int | None = None) -> int:
        """Return an integer, also as a string."""
        value = self._value.get(name)
        if value is None or value == "":
            return default
        number = _integer(value)
        if number is None:
            raise refusals.invalid(f"{self.path(name)} must be an integer")
        if (least is not None and number < least) or (most is not None and number > most):
            allowed = f"at least {least}" if most is None else f"from {least} to {most}"
            raise refusals.invalid(f"{self.path(name)} must be {allowed}")
        return number

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean, also as a string."""
        value = self._value.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise refusals.invalid(f"{self.path(name)} must be a boolean")
        return value

    def one_of(self, name: str, allowed: Collection[str], default: str = "") -> str:
        """Return one of some words."""
        value = self.text(name) or default
        if value not in allowed and value != default:
            raise refusals.invalid(f"{self.path(name)} must be one of {', '.join(allowed)}")
        return value

    def object(self, name: str) -> Fields:
        """Return an object; one without members when it is missing."""
        value = self._value.get(name)
        if value is None:
            return Fields({}, self.path(name))
        if not isinstance(value, dict):
            raise refusals.invalid(f"{self.path(name)} must be an object")
        return Fields(value, self.path(name))

    def objects(self, name: str, *, most: int | None = None) -> list[Fields]:
        """Return an array of objects; an empty one when it is missing."""
        items = self.array(name)
        if most is not None and len(items) > most:
            raise refusals.invalid(f"{self.path(name)} must not have more than {most} elements")
        found = []
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise refusals.invalid(f"{self.path(name)}[{index}] must be an object")
            found.append(Fields(item, f"{self.path(name)}[{index}]"))
        return found

    def texts(self, name: str) -> list[str]:
        """Return an array of strings; an empty one when it is missing."""
        items = self.array(name)
        if not all(isinstance(one, str) for one in items):
            raise refusals.invalid(f"{self.path(name)} must be an array of strings")
        return items

    def array(self, name: str) -> list[Any]:
        """Return an array; an empty one when it is missing."""
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise refusals.invalid(f"{self.path(name)} must be an array")
        return value

    def raw(self) -> Mapping[str, Any]:
        """Return the object as it came."""
        return self._value


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None
