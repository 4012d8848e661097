"""
List pages of V1.1 by marker: what starts a page and what its neighbours are.

Pages start after the marker; `next` and `prev` are the markers of the neighbouring pages, null where there is none or
no limit was sent. Chosen as in OpenStack Sahara where MRS says nothing: sorted by id, unknown sort fields refused.

Source: API reference V1.1, list pages mrs_02_0024, 0036, 0044, 0050; Sahara v1.1 for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mrs_emulator.core import checks, refusals

_LIMIT_MAX = 1_073_741_822


def paged(
    items: Iterable[dict[str, Any]],
    query: Mapping[str, str],
    fields: Sequence[str],
    missing: Callable[[], refusals.Refusal],
) -> tuple[dict[str, str | None], list[dict[str, Any]]]:
    """
    Return the markers and the items of a list page.

    Args:
        items: all items, printed, each with its `id`.
        query: parameters limit, marker and sort_by.
        fields: what may be sorted by.
        missing: makes the refusal of an unknown marker.

    Raises:
        Refusal: 12000002 for a wrong limit or sort field, or that of `missing`.
    """
    limit = checks.whole_number(query, "limit", least=1)
    if limit is not None and limit > _LIMIT_MAX:
        raise refusals.invalid(f"limit must not exceed {_LIMIT_MAX}")

    field = query.get("sort_by") or "id"
    name = field.removeprefix("-")
    if name not in fields:
        raise refusals.invalid(f"sort_by must be one of {', '.join(fields)}, or one of them behind a minus sign")

    ordered = sorted(items, key=lambda item: item["id"])
    ordered.sort(key=lambda item: str(item.get(name) or ""), reverse=field.startswith("-"))
    found = [item["id"] for item in ordered]
    start = 0

    marker = query.get("marker")
    if marker:
        try:
            start = found.index(marker) + 1
        except ValueError:
            raise missing() from None

    if limit is None:
        return {"prev": None, "next": None}, ordered[start:]

    stop = start + limit
    markers = {
        "prev": found[start - 1 - limit] if start - 1 - limit >= 0 else None,
        "next": found[stop - 1] if stop < len(found) else None,
    }

    return markers, ordered[start:stop]
