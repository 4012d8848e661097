"""
The rules of tags, and queries by tags; pure.

Source: API reference V1.1, pages mrs_02_0071 to mrs_02_0076 (2021, 2022).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrs_emulator.core import fields, refusals, settings

KEY_MAX = 36
VALUE_MAX = 43
_FILTERS_MAX = 10
_FILTER_KEY_MAX = 127
_FILTER_VALUE_MAX = 255
_FORBIDDEN = re.compile(r"[=*<>\\,|/\x00-\x1f]")
_STRICT = re.compile(r"[A-Za-z0-9_-]*")


def read(tag: fields.Fields, rules: settings.ClusterRules) -> tuple[str, str]:
    """
    Return key and value of a tag that shall be added.

    Raises:
        Refusal: 12000002, a member is missing or no string; 12005002, the tag breaks the rules.
    """
    if tag.any("value") is None:
        raise refusals.invalid(f"{tag.path('value')} is required")
    key, value = read_any(tag)
    for text in (key, value):
        if _FORBIDDEN.search(text) or text != text.strip(" "):
            raise refusals.illegal_tag("it has a character that is not allowed")
        if rules.strict_tags and _STRICT.fullmatch(text) is None:
            raise refusals.illegal_tag("only letters, digits, hyphens and underscores are allowed")
    return key, value


def read_any(tag: fields.Fields) -> tuple[str, str]:
    """
    Return key and value of a tag that shall be removed: its characters are not checked, its lengths are.

    Raises:
        Refusal: 12000002, a member is no string; 12005002, empty key or too long.
    """
    key, value = tag.text("key"), tag.text("value")
    if not key:
        raise refusals.illegal_tag("its key is empty")
    if len(key) > KEY_MAX or len(value) > VALUE_MAX:
        raise refusals.illegal_tag(f"a key has {KEY_MAX} characters at most, a value {VALUE_MAX}")
    return key, value


def read_new(tags: Sequence[fields.Fields], rules: settings.ClusterRules) -> dict[str, str]:
    """
    Return the tags of a cluster that is being created.

    Raises:
        Refusal: 12005001 or 12005002, or 12000002 when a key comes twice.
    """
    pairs = [read(one, rules) for one in tags]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise refusals.invalid("tags must have unique keys")
    return joined({}, found, rules)


def joined(before: Mapping[str, str], added: Mapping[str, str], rules: settings.ClusterRules) -> dict[str, str]:
    """
    Return tags after some were added, or overwritten.

    Raises:
        Refusal: 12005001, too many.
    """
    after = {**before, **added}
    if len(after) > rules.tags_max:
        raise refusals.too_many_tags(rules.tags_max)
    return after


@dataclass(frozen=True, slots=True)
class Wanted:
    """One key of a query, with the values that will do; none means any."""

    key: str
    values: tuple[str, ...]

    def carried_by(self, tags: Mapping[str, str]) -> bool:
        """Return whether a cluster with these tags has it."""
        return self.key in tags and (not self.values or tags[self.key] in self.values)


@dataclass(frozen=True, slots=True)
class Query:
    """A query by tags: all of, any of, not all of, none of; an empty part asks nothing."""

    every: tuple[Wanted, ...] = ()
    some: tuple[Wanted, ...] = ()
    not_every: tuple[Wanted, ...] = ()
    none: tuple[Wanted, ...] = ()

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Return whether a cluster with these tags is meant."""
        return (
            all(one.carried_by(tags) for one in self.every)
            and (not self.some or any(one.carried_by(tags) for one in self.some))
            and (not self.not_every or not all(one.carried_by(tags) for one in self.not_every))
            and not any(one.carried_by(tags) for one in self.none)
        )


def query(body: fields.Fields, rules: settings.ClusterRules) -> Query:
    """
    Return the tag part of a ListClustersByTags body.

    Raises:
        Refusal: 12000002.
    """
    return Query(
        _wanted(body, "tags", rules),
        _wanted(body, "tags_any", rules),
        _wanted(body, "not_tags", rules),
        _wanted(body, "not_tags_any", rules),
    )


def from_list_filter(text: str) -> Query:
    """Return the query in the `tags` parameter of ListClusters: `k1*v1,k2` (k2 with an empty value), all of them."""
    pairs = [one.partition("*") for one in text.split(",") if one]
    return Query(tuple(Wanted(key, (value,)) for key, _, value in pairs))


def _wanted(body: fields.Fields, name: str, rules: settings.ClusterRules) -> tuple[Wanted, ...]:
    found = []
    for one in body.objects(name, most=_FILTERS_MAX):
        one.need("key")
        key, values = one.text("key", most=_FILTER_KEY_MAX), one.texts("values")
        if len(values) > _FILTERS_MAX or len(set(values)) != len(values):
            raise refusals.invalid(f"{one.path('values')} must be at most {_FILTERS_MAX} different values")
        if any(len(value) > _FILTER_VALUE_MAX for value in values):
            raise refusals.invalid(f"{one.path('values')} must not exceed {_FILTER_VALUE_MAX} characters each")
        found.append(Wanted(key, tuple(values[:1] if rules.first_tag_value_only else values)))
    if len({one.key for one in found}) != len(found):
        raise refusals.invalid(f"{body.path(name)} must have unique keys")
    return tuple(found)
