"""
Split the end of a log into records, and say which of them report a failure. Pure.

A record is a line with a time and a level, and the lines that follow it, such as a stack. What a program prints without
such a beginning has no level and counts as a report. Lines are cut, and each is looked at once, so the time is in
proportion to the length of the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_LINE: Final = 4_000
"""Characters of a line that are looked at; a serialised plan or a classpath may be a line of a megabyte."""

MAX_LINES: Final = 5_000
"""Lines that are looked at, the last ones."""

_HEAD: Final = re.compile(
    r"\[?\d{2,4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2}[^ \t]{0,12}[ \t|]{1,4}"
    r"(?:\[[^\]]{0,100}\][ \t]{1,4})?\[?(TRACE|DEBUG|INFO|WARNING|WARN|ERROR|FATAL|SEVERE|CRITICAL)\b"
)
"""
A line's time and level, as the log4j patterns of Spark, Hadoop, Hive and Flink write them, Huawei's with bars included.

Source: conf/log4j2.properties.template of Spark (`%d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n`), log4j.properties of Hadoop
(`%d{ISO8601} %p %c: %m%n`), hive-log4j2.properties (`%d{ISO8601} %5p [%t] %c{2}: %m%n`), conf/log4j.properties of Flink
(`%d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n`); MRS's logs (`2020-08-29 19:06:05,221 | WARN | main | …`).
"""

_PLAIN: Final = ("Exception in thread ", "FAILED:", "Error: ", "Traceback (most recent call last)")
"""Beginnings of reports without a time, which are no part of the record before."""

_QUIET: Final = frozenset({"TRACE", "DEBUG", "INFO", "WARN", "WARNING"})

_FINAL: Final = re.compile(
    r"Application application_\d{1,20}_\d{1,10} failed \d{1,6} times"
    r"|Job job_\d{1,20}_\d{1,10} failed with state "
    r"|, Status : FAILED"
    r"|\bdiagnostics: (?!N/A)\S"
    r"|Final app status: FAILED"
    r"|User class threw exception"
)
"""
What clients of YARN say at a quiet level about the end of an application, a job or a task's attempt.

Source: RMAppImpl.getAMContainerCrashedDiagnosticsAndTaskTips and RMAppAttemptImpl (failed … times due to AM Container),
org.apache.hadoop.mapreduce.Job (monitorAndPrintJob), org.apache.spark.deploy.yarn.Client and ApplicationMaster.
"""


class Record(NamedTuple):
    """
    A record.

    Attributes:
        at: where it begins in the text.
        text: its lines, each cut.
    """

    at: int
    text: str


def reports(text: str) -> list[Record]:
    """Return the records that report a failure, in their order; what was survived, such as a warning, is left out."""
    return [one for level, one in _records(text) if level not in _QUIET or _FINAL.search(one.text)]


def _records(text: str) -> Iterator[tuple[str, Record]]:
    level = ""
    lines: list[str] = []
    all_lines = text.splitlines(keepends=True)
    at = begun_at = sum(map(len, all_lines[:-MAX_LINES]))

    for whole in all_lines[-MAX_LINES:]:
        line = whole[:MAX_LINE].rstrip()
        head = _HEAD.match(line)
        if head is not None or line.startswith(_PLAIN):
            if lines:
                yield level, Record(begun_at, "\n".join(lines))
            begun_at, level, lines = at, head[1] if head is not None else "", []
        lines.append(line)
        at += len(whole)

    if lines:
        yield level, Record(begun_at, "\n".join(lines))
