"""What drivers write when a job fails, by cause: `emulator.cause` lets a scripted job fail so."""

from __future__ import annotations

from typing import Final

TEXTS: Final = {
    "memory": "java.lang.OutOfMemoryError: Java heap space",
    "class": "java.lang.ClassNotFoundException: com.example.Main",
    "table": "org.apache.spark.sql.AnalysisException: Table or view not found: sales",
    "permission": "org.apache.hadoop.security.AccessControlException: Permission denied: user=emulator, access=WRITE",
    "preempted": "Container exited with status -102. Diagnostics: Container preempted by scheduler",
    "quota": "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: The DiskSpace quota of /user/a is exceeded",
    "disk": "java.io.IOException: No space left on device",
}
"""The line that says it, as Spark, Hadoop and YARN word it."""

UNKNOWN: Final = "java.lang.RuntimeException: the job was ordered to fail"
