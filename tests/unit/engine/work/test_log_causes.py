"""The causes that ends of logs show, or do not show clearly."""

from __future__ import annotations

import re
from re import _constants, _parser  # the parser has no public name
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import cells
from tests.unit.engine.work import log_excerpts

from mrs_relay.engine import log_redaction
from mrs_relay.engine.work import log_causes, log_records
from mrs_relay.messages import reasons

LONG = 262_144


def test_cause_is_named_as_the_programs_word_it() -> None:
    """Each excerpt shows its cause, or none where it is not clear."""
    for name, one in log_excerpts.EXCERPTS.items():
        with cells.cell(name):
            found = log_causes.find(one.text)
            assert (None if found is None else found.cause) == one.cause


def test_every_cause_is_in_the_table_and_has_excerpts_of_more_than_one_program() -> None:
    """The list of causes, the table and the excerpts are complete."""
    shown = [one.cause for one in log_excerpts.EXCERPTS.values()]
    for cause in get_args(reasons.Cause):
        assert shown.count(cause) >= 2
    assert set(reasons.CAUSES) == set(get_args(reasons.Cause))


def test_report_of_the_cause_is_found_where_it_begins() -> None:
    """What an event shows begins there, however much follows."""
    text = log_excerpts.EXCERPTS["spark, heap of the driver"].text
    found = log_causes.find(f"before\n{text}")
    assert found is not None
    assert f"before\n{text}"[found.at :].startswith('Exception in thread "main" java.lang.OutOfMemoryError')


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "Error",
        "Error ",
        "java.lang.",
        "Exception: ",
        "26/11/30 07:10:05 ERROR ",
        "26/11/30 07:10:05 ERROR x: java.lang.IllegalStateException\n",
        "Caused by: Object '",
        "Table or view '",
        "NoSuchObjectException(message:",
        "Container container_",
        "Application application_1",
        "diagnostics: ",
        "\n",
        "\t at x\n",
        "[",
        "-----",
    ],
)
@pytest.mark.timeout(60)
def test_log_of_one_long_line_or_of_many_short_ones_is_gone_through(piece: str) -> None:
    """Whatever the log repeats: with a pattern that tries all splits of a line, this would take hours."""
    log_causes.find(piece * (LONG // len(piece)))


def test_no_pattern_repeats_without_a_bound() -> None:
    """Then its time at one place of a line is bounded, and that for the line in proportion to its length."""
    for name, pattern in patterns():
        with cells.cell(name):
            assert most_steps(_parser.parse(pattern.pattern)) <= 10_000


def patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return all patterns that look at logs."""
    found: list[tuple[str, re.Pattern[str]]] = []
    for module in (log_causes, log_records, log_redaction):
        found += [(name, value) for name, value in vars(module).items() if isinstance(value, re.Pattern)]
    found += [(cause, pattern) for cause, pattern in log_causes._PATTERNS]
    return [*found, *((pattern.pattern[:20], pattern) for pattern, _ in log_redaction._RULES)]


def most_steps(parsed: Any) -> int:
    """Return the most characters that a pattern's part may take by its repetitions, multiplied where nested."""
    most = 1
    for kind, what in parsed:
        if kind in {_constants.MAX_REPEAT, _constants.MIN_REPEAT}:
            _, times, inner = what
            most = max(most, int(times) * most_steps(inner))
        elif kind is _constants.SUBPATTERN:
            most = max(most, most_steps(what[3]))
        elif kind is _constants.BRANCH:
            most = max(most, *map(most_steps, what[1]))
        elif kind in {_constants.ASSERT, _constants.ASSERT_NOT}:
            most = max(most, most_steps(what[1]))
    return most


@given(st.text(max_size=400) | st.lists(st.sampled_from(list(log_excerpts.EXCERPTS))).map(" ".join))
def test_no_text_makes_it_fail(text: str) -> None:
    """Foreign text of any kind; a record begins where it says."""
    log_causes.find(text)
    for record in log_records.reports(text):
        assert text[record.at :].startswith(record.text.partition("\n")[0])
