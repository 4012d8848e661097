"""
Ends of logs as Spark, YARN, MapReduce, Hive, Flink and OBS's file system print them, each with the cause that it shows.

The wording is that of the programs; each excerpt names the code, or the page, that has it. Names, paths and numbers are made.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Excerpt(NamedTuple):
    """
    The end of a log.

    Attributes:
        cause: what it shows; None: nothing clearly.
        source: where the wording is from.
        text: the lines.
    """

    cause: str | None
    source: str
    text: str


EXCERPTS: Final[dict[str, Excerpt]] = {
    "spark, heap of the driver": Excerpt(
        "out_of_memory",
        "java.lang.OutOfMemoryError of HotSpot; thread dump of java.lang.Thread",
        """\
26/11/30 07:10:02 INFO DAGScheduler: Got job 3 (collect at Report.scala:41) with 200 output partitions
Exception in thread "main" java.lang.OutOfMemoryError: Java heap space
	at java.util.Arrays.copyOf(Arrays.java:3236)
	at org.apache.spark.sql.Dataset.collect(Dataset.scala:2782)
	at com.example.Report$.main(Report.scala:41)
26/11/30 07:10:03 INFO ShutdownHookManager: Shutdown hook called
26/11/30 07:10:03 INFO ShutdownHookManager: Deleting directory /tmp/spark-5f1c
""",
    ),
    "spark 2, container of an executor": Excerpt(
        "out_of_memory",
        "org.apache.spark.deploy.yarn.YarnAllocator.memLimitExceededLogMessage (2.4); DAGScheduler.abortStage",
        """\
26/11/30 07:10:02 WARN TaskSetManager: Lost task 3.2 in stage 5.0 (TID 907, node-3, executor 7): ExecutorLostFailure (executor 7 exited caused by one of the running tasks) Reason: Container killed by YARN for exceeding memory limits. 5.6 GB of 5.5 GB physical memory used. Consider boosting spark.yarn.executor.memoryOverhead.
26/11/30 07:10:05 ERROR TaskSetManager: Task 3 in stage 5.0 failed 4 times; aborting job
26/11/30 07:10:05 ERROR ApplicationMaster: User class threw exception: org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 5.0 failed 4 times, most recent failure: Lost task 3.3 in stage 5.0 (TID 912, node-4, executor 9): ExecutorLostFailure (executor 9 exited caused by one of the running tasks) Reason: Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB physical memory used. Consider boosting spark.yarn.executor.memoryOverhead.
Driver stacktrace:
	at org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:1651)
26/11/30 07:10:05 INFO ApplicationMaster: Final app status: FAILED, exitCode: 15
""",
    ),
    "spark 3, container of an executor, MRS's layout": Excerpt(
        "out_of_memory",
        "YarnAllocator.processCompletedContainers (3.5): physical memory limits; lines with bars as MRS's log4j writes them",
        """\
2026-11-30 07:10:05,113 | ERROR | [dispatcher-event-loop-3] | Lost executor 9 on node-4: Container killed by YARN for exceeding physical memory limits. 11.0 GB of 11 GB physical memory used. Consider boosting spark.executor.memoryOverhead. | org.apache.spark.scheduler.cluster.YarnClusterScheduler.logError
2026-11-30 07:10:06,002 | INFO | [shutdown-hook-0] | Shutdown hook called | org.apache.spark.util.ShutdownHookManager.logInfo
""",
    ),
    "yarn, the application master's container": Excerpt(
        "out_of_memory",
        "ContainersMonitorImpl.formatErrorMessage (Hadoop 3); RMAppImpl: failed N times due to AM Container",
        """\
26/11/30 07:10:05 INFO Client:
	 client token: N/A
	 diagnostics: Application application_1795300000000_0052 failed 2 times due to AM Container for appattempt_1795300000000_0052_000002 exited with  exitCode: -104
Failing this attempt.Diagnostics: [2026-11-30 07:10:04.394]Container [pid=24774,containerID=container_e01_1795300000000_0052_02_000001] is running 3432448B beyond the 'PHYSICAL' memory limit. Current usage: 1.5 GB of 1.5 GB physical memory used; 3.4 GB of 3.1 GB virtual memory used. Killing container.
26/11/30 07:10:05 ERROR Client: Application diagnostics message: Application application_1795300000000_0052 failed 2 times due to AM Container
Exception in thread "main" org.apache.spark.SparkException: Application application_1795300000000_0052 finished with failed status
	at org.apache.spark.deploy.yarn.Client.run(Client.scala:1342)
""",
    ),
    "mapreduce, heap of a task": Excerpt(
        "out_of_memory",
        "org.apache.hadoop.mapreduce.Job.monitorAndPrintJob; YarnChild: Error running child",
        """\
26/11/30 07:10:01 INFO mapreduce.Job:  map 37% reduce 0%
26/11/30 07:10:02 INFO mapreduce.Job: Task Id : attempt_1795300000000_0009_m_000003_2, Status : FAILED
Error: Java heap space
26/11/30 07:10:09 INFO mapreduce.Job:  map 100% reduce 100%
26/11/30 07:10:09 INFO mapreduce.Job: Job job_1795300000000_0009 failed with state FAILED due to: Task failed task_1795300000000_0009_m_000003
Job failed as tasks failed. failedMaps:1 failedReduces:0
""",
    ),
    "mapreduce, container of a task": Excerpt(
        "out_of_memory",
        "ContainersMonitorImpl (Hadoop 2): running beyond physical memory limits",
        """\
26/11/30 07:10:02 INFO mapreduce.Job: Task Id : attempt_1795300000000_0009_r_000001_1, Status : FAILED
Container [pid=4421,containerID=container_1795300000000_0009_01_000011] is running beyond physical memory limits. Current usage: 1.0 GB of 1 GB physical memory used; 2.7 GB of 2.1 GB virtual memory used. Killing container.
Container killed on request. Exit code is 143
26/11/30 07:10:09 INFO mapreduce.Job: Job job_1795300000000_0009 failed with state FAILED due to: Task failed task_1795300000000_0009_r_000001
""",
    ),
    "flink, metaspace of a task manager": Excerpt(
        "out_of_memory",
        "org.apache.flink.util.ExceptionUtils.tryEnrichOutOfMemoryError",
        """\
2026-11-30 07:10:02,440 INFO  org.apache.flink.runtime.executiongraph.ExecutionGraph [] - Job orders (5f1c) switched from state RUNNING to FAILING.
2026-11-30 07:10:02,512 ERROR org.apache.flink.runtime.taskexecutor.TaskExecutor [] - Task did not exit gracefully within 180 + seconds.
java.lang.OutOfMemoryError: Metaspace. The metaspace out-of-memory error has occurred.
	at java.lang.ClassLoader.defineClass1(Native Method)
""",
    ),
    "pyspark, memory of python": Excerpt(
        "out_of_memory",
        "builtin MemoryError of Python; org.apache.spark.api.python.PythonException",
        """\
26/11/30 07:10:05 ERROR Executor: Exception in task 0.0 in stage 1.0 (TID 4)
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "worker.py", line 603, in main
    process()
MemoryError
""",
    ),
    "spark, main class": Excerpt(
        "class_not_found",
        "org.apache.spark.deploy.SparkSubmit.runMain (3.x): Failed to load class",
        """\
26/11/30 07:10:01 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform
Error: Failed to load class com.example.Main.
26/11/30 07:10:01 INFO ShutdownHookManager: Shutdown hook called
""",
    ),
    "spark 2, main class": Excerpt(
        "class_not_found",
        "java.lang.Class.forName by SparkSubmit.runMain (2.x)",
        """\
java.lang.ClassNotFoundException: com.example.Main
	at java.net.URLClassLoader.findClass(URLClassLoader.java:382)
	at org.apache.spark.deploy.JavaMainApplication.start(SparkApplication.scala:52)
26/11/30 07:10:01 INFO util.ShutdownHookManager: Shutdown hook called
""",
    ),
    "spark in cluster mode, a library": Excerpt(
        "class_not_found",
        "org.apache.spark.deploy.yarn.ApplicationMaster.startUserApplication",
        """\
2026-11-30 07:10:05,113 ERROR ApplicationMaster: User class threw exception: java.lang.NoClassDefFoundError: com/fasterxml/jackson/dataformat/csv/CsvMapper
java.lang.NoClassDefFoundError: com/fasterxml/jackson/dataformat/csv/CsvMapper
	at com.example.Main$.main(Main.scala:12)
Caused by: java.lang.ClassNotFoundException: com.fasterxml.jackson.dataformat.csv.CsvMapper
	at java.net.URLClassLoader.findClass(URLClassLoader.java:382)
	... 5 more
""",
    ),
    "pyspark, a module": Excerpt(
        "class_not_found",
        "builtin ModuleNotFoundError of Python",
        """\
Traceback (most recent call last):
  File "/tmp/spark-5f1c/job.py", line 1, in <module>
    import pandas
ModuleNotFoundError: No module named 'pandas'
26/11/30 07:10:01 INFO ShutdownHookManager: Shutdown hook called
""",
    ),
    "mapreduce, a mapper": Excerpt(
        "class_not_found",
        "org.apache.hadoop.conf.Configuration.getClass",
        """\
26/11/30 07:10:02 INFO mapreduce.Job: Task Id : attempt_1795300000000_0009_m_000000_0, Status : FAILED
Error: java.lang.RuntimeException: java.lang.ClassNotFoundException: Class com.example.WordMapper not found
	at org.apache.hadoop.conf.Configuration.getClass(Configuration.java:2595)
Caused by: java.lang.ClassNotFoundException: Class com.example.WordMapper not found
	... 8 more
26/11/30 07:10:09 INFO mapreduce.Job: Job job_1795300000000_0009 failed with state FAILED due to: Task failed task_1795300000000_0009_m_000000
""",
    ),
    "hive, a serde": Excerpt(
        "class_not_found",
        "org.apache.hadoop.hive.metastore.MetaStoreUtils.getDeserializer",
        """\
FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. MetaException(message:java.lang.ClassNotFoundException Class org.openx.data.jsonserde.JsonSerDe not found)
""",
    ),
    "flink, entry point": Excerpt(
        "class_not_found",
        "org.apache.flink.client.program.PackagedProgram.loadMainClass",
        """\
2026-11-30 07:10:02,440 ERROR org.apache.flink.client.cli.CliFrontend [] - Error while running the command.
org.apache.flink.client.program.ProgramInvocationException: The program's entry point class 'com.example.Stream' was not found in the jar file.
	at org.apache.flink.client.program.PackagedProgram.loadMainClass(PackagedProgram.java:617)
""",
    ),
    "spark 2, a table": Excerpt(
        "table_not_found",
        "org.apache.spark.sql.catalyst.analysis.CheckAnalysis (2.4, 3.3)",
        """\
Exception in thread "main" org.apache.spark.sql.AnalysisException: Table or view not found: sales.orders; line 1 pos 14;
'Project [*]
+- 'UnresolvedRelation [sales, orders], [], false

	at org.apache.spark.sql.catalyst.analysis.package$AnalysisErrorAt.failAnalysis(package.scala:42)
""",
    ),
    "spark 3.4, a table": Excerpt(
        "table_not_found",
        "error class TABLE_OR_VIEW_NOT_FOUND of Spark's error-conditions.json",
        """\
26/11/30 07:10:05 ERROR SparkSQLDriver: Failed in [select 1 from sales.orders]
org.apache.spark.sql.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `sales`.`orders` cannot be found. Verify the spelling and correctness of the schema and catalog.
If you did not qualify the name with a schema, verify the current_schema() output, or qualify the name with the correct schema and catalog.
	at org.apache.spark.sql.catalyst.analysis.package$AnalysisErrorAt.tableNotFound(package.scala:87)
""",
    ),
    "hive, a table": Excerpt(
        "table_not_found",
        "org.apache.hadoop.hive.ql.ErrorMsg.INVALID_TABLE (10001)",
        """\
2026-11-30T07:10:05,113 ERROR [main] ql.Driver: FAILED: SemanticException [Error 10001]: Line 1:14 Table not found 'orders'
org.apache.hadoop.hive.ql.parse.SemanticException: Line 1:14 Table not found 'orders'
	at org.apache.hadoop.hive.ql.parse.SemanticAnalyzer.getMetaData(SemanticAnalyzer.java:2169)
""",
    ),
    "hive by beeline, a table": Excerpt(
        "table_not_found",
        "org.apache.hive.beeline: Error while compiling statement",
        """\
INFO  : Compiling command(queryId=omm_20261130071005_1): select 1 from orders
Error: Error while compiling statement: FAILED: SemanticException [Error 10001]: Line 1:14 Table not found 'orders' (state=42S02,code=10001)
""",
    ),
    "flink, a table": Excerpt(
        "table_not_found",
        "org.apache.calcite.runtime.CalciteResource.objectNotFound; SqlValidatorException",
        """\
Exception in thread "main" org.apache.flink.table.api.ValidationException: SQL validation failed. From line 1, column 15 to line 1, column 20: Object 'orders' not found
	at org.apache.flink.table.planner.calcite.FlinkPlannerImpl.validate(FlinkPlannerImpl.scala:186)
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Object 'orders' not found
""",
    ),
    "hdfs, a folder": Excerpt(
        "permission",
        "org.apache.hadoop.hdfs.server.namenode.FSPermissionChecker.check",
        """\
26/11/30 07:10:05 ERROR ApplicationMaster: User class threw exception: org.apache.hadoop.security.AccessControlException: Permission denied: user=bob, access=WRITE, inode="/user/hive/warehouse":hive:hive:drwxr-x---
	at org.apache.hadoop.hdfs.server.namenode.FSPermissionChecker.check(FSPermissionChecker.java:399)
""",
    ),
    "hive, a privilege": Excerpt(
        "permission",
        "org.apache.ranger.authorization.hive.authorizer.RangerHiveAuthorizer.checkPrivileges",
        """\
Error: Error while compiling statement: FAILED: HiveAccessControlException Permission denied: user [bob] does not have [SELECT] privilege on [sales/orders/*] (state=42000,code=40000)
""",
    ),
    "obs, a bucket": Excerpt(
        "permission",
        "org.apache.hadoop.fs.obs.OBSCommonUtils.translateException: 403",
        """\
Exception in thread "main" java.nio.file.AccessDeniedException: lake/orders: getFileStatus on lake/orders: status [403] - request id [0000017F] - error code [AccessDenied] - error message [null] - trace :com.obs.services.exception.ObsException: OBS servcie Error Message. Request Error.
	at org.apache.hadoop.fs.obs.OBSCommonUtils.translateException(OBSCommonUtils.java:273)
""",
    ),
    "yarn, a queue": Excerpt(
        "permission",
        "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.LeafQueue.submitApplication",
        """\
Exception in thread "main" org.apache.hadoop.yarn.exceptions.YarnException: Failed to submit application_1795300000000_0052 to YARN : org.apache.hadoop.security.AccessControlException: User bob cannot submit applications to queue root.prod
	at org.apache.hadoop.yarn.client.api.impl.YarnClientImpl.submitApplication(YarnClientImpl.java:290)
""",
    ),
    "yarn, the application master is preempted": Excerpt(
        "preempted",
        "SchedulerUtils.PREEMPTED_CONTAINER; ContainerExitStatus.PREEMPTED = -102; RMAppImpl",
        """\
26/11/30 07:10:05 INFO Client:
	 client token: N/A
	 diagnostics: Application application_1795300000000_0052 failed 1 times due to AM Container for appattempt_1795300000000_0052_000001 exited with  exitCode: -102
Failing this attempt.Diagnostics: Container preempted by schedulerFor more detailed output, check the application tracking page
26/11/30 07:10:05 ERROR Client: Application diagnostics message: Application application_1795300000000_0052 failed 1 times due to AM Container for appattempt_1795300000000_0052_000001 exited with  exitCode: -102
Exception in thread "main" org.apache.spark.SparkException: Application application_1795300000000_0052 finished with failed status
""",
    ),
    "spark, the last executors are preempted": Excerpt(
        "preempted",
        "YarnAllocator.processCompletedContainers: Container … was preempted.",
        """\
26/11/30 07:10:05 ERROR YarnScheduler: Lost executor 4 on node-3: Container container_e01_1795300000000_0052_01_000005 on host: node-3 was preempted.
26/11/30 07:10:07 ERROR SparkContext: Error initializing SparkContext.
org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times
""",
    ),
    "hdfs, space": Excerpt(
        "quota",
        "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException.getMessage",
        """\
26/11/30 07:10:05 ERROR FileFormatWriter: Aborting job 5f1c.
org.apache.spark.SparkException: Job aborted due to stage failure: Task 2 in stage 3.0 failed 4 times, most recent failure: Lost task 2.3 in stage 3.0 (TID 41, node-2, executor 3): org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: The DiskSpace quota of /user/bob is exceeded: quota = 1073741824 B = 1 GB but diskspace consumed = 1207959552 B = 1.13 GB
	at org.apache.hadoop.hdfs.server.namenode.DirectoryWithQuotaFeature.verifyStoragespaceQuota(DirectoryWithQuotaFeature.java:211)
""",
    ),
    "hdfs, names": Excerpt(
        "quota",
        "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException.getMessage",
        """\
26/11/30 07:10:02 INFO mapreduce.Job: Task Id : attempt_1795300000000_0009_r_000000_3, Status : FAILED
Error: org.apache.hadoop.hdfs.protocol.NSQuotaExceededException: The NameSpace quota (directories and files) of directory /user/bob is exceeded: quota=163840 file count=163841
26/11/30 07:10:09 INFO mapreduce.Job: Job job_1795300000000_0009 failed with state FAILED due to: Task failed task_1795300000000_0009_r_000000
""",
    ),
    "yarn, applications of a queue": Excerpt(
        "quota",
        "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.LeafQueue.validateSubmitApplication",
        """\
Exception in thread "main" org.apache.hadoop.yarn.exceptions.YarnException: Failed to submit application_1795300000000_0052 to YARN : Queue root.etl already has 100 applications, cannot accept submission of application: application_1795300000000_0052
""",
    ),
    "spark, a disk of shuffle files": Excerpt(
        "disk",
        "strerror(ENOSPC) through java.io.FileOutputStream.writeBytes",
        """\
26/11/30 07:10:05 ERROR Executor: Exception in task 11.3 in stage 2.0 (TID 310)
java.io.IOException: No space left on device
	at java.io.FileOutputStream.writeBytes(Native Method)
	at org.apache.spark.storage.TimeTrackingOutputStream.write(TimeTrackingOutputStream.java:58)
26/11/30 07:10:05 ERROR TaskSetManager: Task 11 in stage 2.0 failed 4 times; aborting job
26/11/30 07:10:06 ERROR Main: org.apache.spark.SparkException: Job aborted due to stage failure: Task 11 in stage 2.0 failed 4 times
""",
    ),
    "mapreduce, local folders": Excerpt(
        "disk",
        "org.apache.hadoop.fs.LocalDirAllocator.AllocatorPerContext.getLocalPathForWrite",
        """\
26/11/30 07:10:02 INFO mapreduce.Job: Task Id : attempt_1795300000000_0009_m_000001_3, Status : FAILED
Error: org.apache.hadoop.util.DiskChecker$DiskErrorException: Could not find any valid local directory for output/attempt_1795300000000_0009_m_000001_3/spill0.out
26/11/30 07:10:09 INFO mapreduce.Job: Job job_1795300000000_0009 failed with state FAILED due to: Task failed task_1795300000000_0009_m_000001
""",
    ),
    # What is not clear stays open.
    "an executor was preempted and the job failed for another reason": Excerpt(
        None,
        "YarnSchedulerBackend; ApplicationMaster",
        """\
26/11/30 07:10:01 WARN YarnSchedulerBackend$YarnSchedulerEndpoint: Requesting driver to remove executor 3 for reason Container container_e01_1795300000000_0052_01_000004 on host: node-2 was preempted.
26/11/30 07:10:05 ERROR ApplicationMaster: User class threw exception: java.lang.IllegalStateException: no orders of yesterday
	at com.example.Main$.main(Main.scala:12)
""",
    ),
    "an executor was lost and the job failed for another reason": Excerpt(
        None,
        "YarnScheduler; ApplicationMaster",
        """\
26/11/30 07:10:01 ERROR YarnScheduler: Lost executor 9 on node-4: Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB physical memory used.
26/11/30 07:10:05 ERROR ApplicationMaster: User class threw exception: java.lang.IllegalArgumentException: requirement failed: amount < 0
	at scala.Predef$.require(Predef.scala:281)
""",
    ),
    "a warning of memory and a failure of the program": Excerpt(
        None,
        "org.apache.spark.memory; Python",
        """\
26/11/30 07:10:01 WARN TaskMemoryManager: Failed to allocate a page (67108864 bytes), try again. java.lang.OutOfMemoryError: Java heap space
Traceback (most recent call last):
  File "/tmp/spark-5f1c/job.py", line 12, in <module>
    1 / 0
ZeroDivisionError: division by zero
""",
    ),
    "a container that was killed by a signal": Excerpt(
        None,
        "Shell.ExitCodeException: 143 has many causes",
        """\
26/11/30 07:10:05 ERROR CoarseGrainedExecutorBackend: RECEIVED SIGNAL TERM
26/11/30 07:10:05 INFO Client: Container exited with a non-zero exit code 143
""",
    ),
    "a class that could not be initialised": Excerpt(
        None,
        "NoClassDefFoundError: Could not initialize class, which was found",
        """\
Exception in thread "main" java.lang.NoClassDefFoundError: Could not initialize class com.example.Config$
	at com.example.Main$.main(Main.scala:12)
""",
    ),
    "threads": Excerpt(
        None,
        "OutOfMemoryError: unable to create new native thread is about processes",
        """\
Exception in thread "main" java.lang.OutOfMemoryError: unable to create new native thread
	at java.lang.Thread.start0(Native Method)
""",
    ),
    "hive, an error without a cause": Excerpt(
        None,
        "org.apache.hadoop.hive.ql.exec.Task: return code 2",
        """\
FAILED: Execution Error, return code 2 from org.apache.hadoop.hive.ql.exec.mr.MapRedTask
""",
    ),
    "all went well": Excerpt(
        None,
        "org.apache.spark.deploy.yarn.ApplicationMaster",
        """\
26/11/30 07:10:05 INFO ApplicationMaster: Final app status: SUCCEEDED, exitCode: 0
""",
    ),
    "a program that speaks of memory": Excerpt(
        None,
        "made: a program's own words at a quiet level",
        """\
26/11/30 07:10:01 INFO Main: handler for OutOfMemoryError, ClassNotFoundException and AccessControlException installed
26/11/30 07:10:05 ERROR Main: gave up
""",
    ),
    "two causes at once, no root": Excerpt(
        None,
        "made: a summary of several tasks",
        """\
26/11/30 07:10:05 ERROR Main: tasks failed: java.io.IOException: No space left on device; java.lang.OutOfMemoryError: Java heap space
""",
    ),
    "two causes, the root of the stack counts": Excerpt(
        "disk",
        "made of IOException within a wrapper",
        """\
26/11/30 07:10:05 ERROR Main: java.lang.ClassNotFoundException: cannot load cache
	at com.example.Main$.main(Main.scala:12)
Caused by: java.io.IOException: No space left on device
	at java.io.FileOutputStream.writeBytes(Native Method)
""",
    ),
}
