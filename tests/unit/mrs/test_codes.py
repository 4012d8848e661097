"""The table of error codes."""

from __future__ import annotations

import pytest

from mrs_relay.mrs import codes
from mrs_relay.mrs.codes import Retry


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("APIGW.0101", Retry.NEVER),
        ("APIGW.0301", Retry.RENEW),
        ("APIGW.0307", Retry.RENEW),
        ("APIGW.0308", Retry.WAIT),
        ("APIGW.0601", Retry.OPEN),
        ("APIGW.0612", Retry.OPEN),
        ("APIGW.0613", Retry.REPEAT),
        ("0056", Retry.LATER),
        ("0162", Retry.REPEAT),
        ("0173", Retry.OPEN),
        ("0176", Retry.NEVER),
        ("0177", Retry.LATER),
        ("0192", Retry.NEVER),
        ("0202", Retry.LATER),
        ("12000003", Retry.NEVER),
        ("12000004", Retry.OPEN),
        ("12000034", Retry.NEVER),
        ("12000060", Retry.LATER),
        ("120000212", Retry.REPEAT),
        ("130000002", Retry.RENEW),
    ],
)
def test_a_code_has_its_documented_class(code: str, retry: Retry) -> None:
    """A sample of every class and section of the table."""
    assert codes.MEANINGS[code].retry is retry


@pytest.mark.parametrize(
    ("code", "status", "retry"),
    [
        ("APIGW.0201", 400, Retry.NEVER),
        ("APIGW.0201", 413, Retry.NEVER),
        ("APIGW.0201", 502, Retry.OPEN),
        ("APIGW.0201", 504, Retry.OPEN),
        ("12000068", 400, Retry.LATER),
        ("12000068", 500, Retry.NEVER),
        ("0201", 502, Retry.NEVER),
    ],
)
def test_the_status_decides_between_two_meanings(code: str, status: int, retry: Retry) -> None:
    """Two codes are used twice; the unrelated MRS code 0201 is not one of them."""
    assert codes.MEANINGS[code].for_status(status) is retry


def test_no_code_stands_twice_in_the_table() -> None:
    """Each code has one row, or its later meaning would silently replace the earlier one."""
    rows = [
        code for table in (codes._GATEWAY, codes._JOBS, codes._CLUSTERS) for row in table for code in row[0].split()
    ]
    every = [*rows, *codes._SPECIAL]
    assert len(every) == len(set(every)) == len(codes.MEANINGS)
