"""
Name the cause of a job's failure by the end of its log, where the log says it clearly. Pure.

The last report that names a failure of its own decides. Reports that only pass a failure on, such as Spark's "Job
aborted", are passed over on the way back to it. A last failure that is none of the table's leaves the cause open, since
what was reported before it was survived. `tests/unit/engine/work/test_log_causes.py` has the messages as the programs
print them, with their sources.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mrs_relay.engine.work import log_records
from mrs_relay.messages import reasons

_TABLE: Final[tuple[tuple[reasons.Cause, tuple[str, ...]], ...]] = (
    (
        "out_of_memory",
        (
            r"OutOfMemoryError(?!: unable to create)",
            r"Error: (?:Java heap space|GC overhead limit exceeded|Metaspace)",
            r"beyond (?:the ')?(?:physical|virtual|PHYSICAL|VIRTUAL)'? memory limit",
            r"Container killed by YARN for exceeding (?:physical |virtual )?memory limits",
            r"(?:exitCode|[Ee]xit status|[Ee]xit code):? -10[34]\b",
            r"\bMemoryError\b",
        ),
    ),
    (
        "class_not_found",
        (
            r"ClassNotFoundException",
            r"NoClassDefFoundError: (?!Could not initialize)",
            r"Error: (?:Failed to load class|Cannot load main class from JAR)",
            r"ModuleNotFoundError: No module named",
            r"entry point class '[^']{0,300}' was not found in the jar file",
        ),
    ),
    (
        "table_not_found",
        (
            r"Table or view not found",
            r"Table or view '[^']{0,300}' not found",
            r"TABLE_OR_VIEW_NOT_FOUND",
            r"NoSuchTableException",
            r"SemanticException (?:\[Error 10001\]|Line [\d:]{1,20} Table not found)",
            r"InvalidTableException: Table not found",
            r"NoSuchObjectException\(message:[^)]{0,300} table not found",
            r"Object '[^']{0,300}' not found(?: within '[^']{0,300}')?$",
        ),
    ),
    (
        "permission",
        (
            r"(?<!Hive)AccessControlException",
            r"HiveAccessControlException",
            r"AccessDeniedException",
            r"PermissionError: \[Errno 13\]",
            r"error code \[AccessDenied\]",
            r"cannot submit applications? to queue",
            r"does not have permission to submit application_",
        ),
    ),
    (
        "preempted",
        (
            r"Container preempted by scheduler",
            r"(?:exitCode|[Ee]xit status|[Ee]xit code):? -102\b",
            r"exited with status -102\b",
            r"Container container_\w{1,60}(?: on host: \S{1,200})? was preempted",
        ),
    ),
    (
        "quota",
        (
            r"(?:DS|NS)?QuotaExceededException",
            r"QuotaByStorageTypeExceededException",
            r"InsufficientStorageSpace",
            r"already has \d{1,9} applications, cannot accept submission",
        ),
    ),
    (
        "disk",
        (
            r"No space left on device",
            r"DiskErrorException: Could not find any valid local directory",
            r"\bDisk quota exceeded",
        ),
    ),
)
"""Each cause with what shows it. No pattern repeats anything without a bound: its time is in proportion to the line."""

_PATTERNS: Final = tuple((cause, re.compile("|".join(parts), re.MULTILINE)) for cause, parts in _TABLE)

_CLASS: Final = re.compile(r"(?:Exception|Error)\b")
_MAX_CLASS: Final = 200
_OF_CLASSES: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$"

_PASSED_ON: Final = frozenset(
    {
        # Wrappers, and reports of another program's end.
        *("SparkException", "SparkUserAppException", "Py4JJavaError", "YarnException", "RemoteException"),
        *("InvocationTargetException", "UndeclaredThrowableException", "ExecutionException", "CompletionException"),
        *("ProgramInvocationException", "JobExecutionException", "JobSubmissionException", "JobException"),
        *("HiveException", "HiveSQLException", "ExitCodeException", "CalledProcessError", "FlinkException"),
        # Noise of a program that is being shut down.
        *("InterruptedException", "RejectedExecutionException", "RpcEnvStoppedException", "ClosedChannelException"),
        *("CancellationException", "ClosedByInterruptException"),
    }
)


class Found(NamedTuple):
    """
    A cause, and where in the text the report of it begins.

    Attributes:
        cause: one of the table.
        at: index of the first character.
    """

    cause: reasons.Cause
    at: int


def find(text: str) -> Found | None:
    """Return the cause that the end of a log shows; None: it shows none clearly."""
    for record in reversed(log_records.reports(text)):
        shown = _causes(record.text)
        if shown:
            cause = shown[0] if len(shown) == 1 else _root(record.text)
            return None if cause is None else Found(cause, record.at)
        if _names_another(record.text):
            return None
    return None


def _causes(text: str) -> list[reasons.Cause]:
    return [cause for cause, pattern in _PATTERNS if pattern.search(text)]


def _root(text: str) -> reasons.Cause | None:
    """Return the cause in the last "Caused by" of a stack, if that shows one alone."""
    _, is_there, root = text.rpartition("\nCaused by: ")
    shown = _causes(root.partition("\n")[0]) if is_there else []
    return shown[0] if len(shown) == 1 else None


def _names_another(text: str) -> bool:
    """Return whether a report names the class of an error that is no wrapper."""
    for found in _CLASS.finditer(text):
        before = text[max(0, found.start() - _MAX_CLASS) : found.start()]
        name = before[len(before.rstrip(_OF_CLASSES)) :].rpartition(".")[2].rpartition("$")[2] + found[0]
        if len(name) > len(found[0]) and name[0].isupper() and name not in _PASSED_ON:
            return True
    return False
