"""
All that can be set on the emulator, in frozen groups; the defaults make a useful MRS on a laptop.

Nothing here reads the environment: the caller builds an `EmulatorSettings` and hands it over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pydantic

from mrs_emulator.core import iam_settings

JOB_TYPES = (
    "MapReduce",
    "SparkSubmit",
    "SparkPython",
    "HiveScript",
    "HiveSql",
    "DistCp",
    "SparkScript",
    "SparkSql",
    "Flink",
)


Credential = iam_settings.Credential
IamUser = iam_settings.IamUser
Agency = iam_settings.Agency
Project = iam_settings.Project
Iam = iam_settings.Iam


class Cluster(iam_settings.Group):
    """One cluster of the project."""

    cluster_id: str = pydantic.Field(default="6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Id used in paths."""

    name: str = pydantic.Field(default="emulator", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name shown in the cluster list."""

    state: Literal[
        "starting",
        "running",
        "scaling-out",
        "scaling-in",
        "abnormal",
        "frozen",
        "terminating",
        "terminated",
        "failed",
    ] = "running"
    """clusterState. Only a running or scaling cluster takes jobs."""

    components: tuple[str, ...] = ("Hadoop", "Spark2x", "Hive", "Tez", "Flink", "Presto")
    """Installed components; a job whose component is missing is refused (0057, 0168, 0169, MRS.0011)."""

    version: str = "MRS 3.1.2-LTS.3"
    """clusterVersion; the first 3.x line with SQL through Presto."""

    kerberos: bool = False
    """A security cluster: V1.1 jobs cannot be submitted to it or queried (12000064)."""

    tags: dict[str, str] = pydantic.Field(default_factory=dict)
    """Tags with their values."""

    slots: int = pydantic.Field(default=10, ge=0)
    """Unfinished jobs the cluster holds before it answers 0177; 10 is the documented number, 0 means no limit."""


class OldApi(iam_settings.Group):
    """V1.1 jobs and data, on which the documents say little and disagree much; each reading can be chosen."""

    needs_old_version: bool = False
    """True refuses V1.1 jobs on clusters of MRS 3.x with 12000085 (pages of 2025); the default lets every version take
    them (Open Telekom Cloud)."""

    paths: Literal["s3a", "obs", "both"] = "both"
    """Which object paths jobs and data name: `s3a` as the pages say, `obs` refuses s3a with 12000086 as newer clusters
    do, `both` takes either."""

    sql_types: bool = False
    """True runs HiveSQL (4) and Spark SQL (7) jobs with their encoded `hql`; the pages call both not supported, so the
    default refuses them with 12000054."""

    flat_submit_reply: bool = False
    """True answers submit-job without the key `job_execution`, the shape that the vendor's SDK can read."""

    starting_shown: bool = True
    """Single reads show 1 (Starting) until a job runs; False shows 2 (Running) from the start. Lists know no 1."""

    execution_info: bool = False
    """True fills `info` of job executions with `{"status": …}` as OpenStack Sahara does; MRS's examples show null."""

    unique_names: bool = True
    """Names of data sources, of binaries and of job objects are unique, as in Sahara; False allows namesakes."""

    times_as_text: bool = False
    """True prints the times of submit-job and job-exes as texts of digits, as the examples of 2021 do; other numbers
    stay numbers (`quirks.numbers_as_strings` turns all of them into texts)."""

    in_use_refused: bool = True
    """What others refer to cannot be deleted, as in Sahara; False deletes it all the same."""

    missing_status: Literal[400, 404] = 404
    """HTTP status for an unknown data source, binary, job object or job execution; job-exes always answer 400."""

    strict_required: bool = True
    """False forgives clients that leave out the description of a binary, or the type when they change a data source."""

    jar_path_code: Literal["12000081", "12000113"] = "12000081"
    """Code for an empty jar_path; the tables disagree."""


class Pace(iam_settings.Group):
    """How long a job spends in each state; the real service takes tens of seconds where these defaults take one."""

    new_s: float = pydantic.Field(default=0.2, ge=0)
    """Seconds in NEW. A kill in this state is refused with 0180."""

    submitted_s: float = pydantic.Field(default=0.3, ge=0)
    """Seconds in SUBMITTED."""

    accepted_s: float = pydantic.Field(default=0.5, ge=0)
    """Seconds in ACCEPTED, when the launcher exists and the application does not."""

    run_s: float = pydantic.Field(default=3.0, ge=0)
    """Seconds in RUNNING of a scripted job that does not say otherwise; SQL takes as long as it takes."""

    kill_s: float = pydantic.Field(default=0.3, ge=0)
    """Seconds between an accepted kill and the state KILLED; a job may still end by itself in between."""

    create_s: float = pydantic.Field(default=5.0, ge=0)
    """Seconds a cluster is `starting`; the real service takes ten minutes or more."""

    resize_s: float = pydantic.Field(default=3.0, ge=0)
    """Seconds a cluster is `scaling-out` or `scaling-in`."""

    delete_s: float = pydantic.Field(default=2.0, ge=0)
    """Seconds a cluster is `terminating`."""

    speed: float = pydantic.Field(default=1.0, gt=0)
    """Divides all durations above and those of scripted jobs: 60 turns a minute into a second."""


class Quirks(iam_settings.Group):
    """Behaviour on which the documents disagree or which only some versions show; each can be chosen."""

    late_listing_s: float = pydantic.Field(default=0.0, ge=0)
    """Seconds for which a fresh job is missing from the job list (a single read finds it at once)."""

    late_steps_s: float = pydantic.Field(default=0.0, ge=0)
    """Seconds after `running` until the jobs that come with a new cluster (run-job-flow) exist; about 50 on the real
    service. Until then no read shows them."""

    numbers_as_strings: bool = False
    """True prints numbers of replies as JSON strings, as the samples of 2021 do."""

    business_errors_as_500: bool = False
    """True answers the four-digit codes and MRS.0011 with HTTP 500, as older versions do, instead of 400."""

    offset_is_page: bool = True
    """`offset` of the job list counts pages from 1, as production clients found; False counts records from 1."""

    job_name_contains: bool = False
    """True lets the filter `job_name` match parts of names; the default compares whole names."""

    job_status: Literal[200, 202] = 202
    """HTTP status of every success of the V2 job operations: 202, as in all samples, or the 200 of other APIs."""

    list_limit_default: int = pydantic.Field(default=10, ge=1)
    """Jobs on a list page when the client names no `limit`."""

    list_limit_max: int = pydantic.Field(default=100, ge=1)
    """Largest `limit` of a job list; more is refused with 12000002. 100 is what production clients use."""

    arguments_max: int = pydantic.Field(default=150_000, ge=1)
    """Characters all arguments of a job may have together; older versions take 4096."""

    strict_characters: bool = False
    """True refuses the characters documented as forbidden in arguments (other than SQL text) and properties."""

    stop_of_ended_refused: bool = False
    """True answers 0175 to a kill of a job that has ended; the default accepts it and changes nothing."""


class ClusterRules(iam_settings.Group):
    """Clusters and tags: what the documents leave open or disagree about, and what this MRS has on offer."""

    versions: tuple[str, ...] = ()
    """Cluster versions on offer; others are refused with 12000093. Empty offers all."""

    flavors: tuple[str, ...] = ()
    """Node flavors on offer; others are refused with 12000048. Empty offers all."""

    nodes_max: int = pydantic.Field(default=500, ge=1)
    """Core and Task nodes a cluster may have together; more is 12000028."""

    slots: int = pydantic.Field(default=10, ge=0)
    """`slots` of clusters that clients create."""

    late_state_s: float = pydantic.Field(default=0.0, ge=0)
    """Seconds after an accepted resize or delete until clusterState shows it; the real delay is not documented."""

    words: Literal["expansion", "scale-out"] = "expansion"
    """stageDesc: `Preparing for cluster expansion`, `Creating VM` (Huawei Cloud) or `Preparing for scale-out`,
    `Creating VMs` (Open Telekom Cloud)."""

    stage_tells_cause: bool = False
    """True puts the cause of a failure into stageDesc, as the text says; the default shows the listed words there, as
    the example does, and the cause in errorInfo."""

    failed_cleaned_s: float | None = pydantic.Field(default=None, ge=0)
    """Seconds after which a cluster whose creation failed is terminated by itself, as a user guide says; None never."""

    names_freed: bool = True
    """The names of failed and terminated clusters can be used again; False keeps them taken (12000043)."""

    terminated_kept_s: float = pydantic.Field(default=180 * 86_400.0, ge=0)
    """Seconds a terminated cluster can still be read; the console shows half a year, of the API nothing is known."""

    resize_refused_code: Literal["12000012", "12000017"] = "12000012"
    """Code for a resize of a cluster that is not running: of the general table, or of the page of the operation."""

    delete_status: Literal[200, 204] = 204
    """200 answers a delete with `{"result": "succeeded"}`, which newer pages name beside 204."""

    delete_after_failed_job: bool = True
    """A cluster that goes with its jobs goes even when a job failed; False keeps it then. Not documented."""

    tags_max: int = pydantic.Field(default=10, ge=1)
    """Tags a cluster may have; the newest international page says 20."""

    strict_tags: bool = False
    """True allows letters, digits, hyphen and underscore only in tags, as Open Telekom Cloud does."""

    first_tag_value_only: bool = True
    """A query by tags looks at the first value of a key only, as documented; False takes any of the values."""


class Limits(iam_settings.Group):
    """Calls per minute, as the gateway counts them: per operation, over all clusters and users."""

    on: bool = True
    """False lets every call through."""

    per_minute: Mapping[str, int] = pydantic.Field(default_factory=dict)
    """Limits by operation name that replace the documented ones; 0 means none."""

    window: Literal["fixed", "sliding"] = "fixed"
    """`fixed` counts from the first call of a minute; `sliding` allows the number in any 60 seconds: stricter."""


class Sql(iam_settings.Group):
    """How SQL runs."""

    ddl_without_id: bool = True
    """DDL and DML over the SQL endpoint are answered without an id, as observed; False gives them one to read again."""

    threads: int = pydantic.Field(default=2, ge=1, le=64)
    """Statements or SQL jobs that run at the same time; others wait in a queue."""

    engine_threads: int = pydantic.Field(default=2, ge=1)
    """Threads DuckDB uses inside for all statements together."""

    queue_size: int = pydantic.Field(default=1000, ge=1)
    """Statements and SQL jobs that may wait or run; one more is answered as a cluster that takes no more."""

    rows_kept: int = pydantic.Field(default=10_000, ge=1)
    """Rows kept of one statement of a SQL job; a longer result ends in 0182, never in a shortened answer."""

    results_kept: int = pydantic.Field(default=1000, ge=1)
    """SQL jobs whose results, and Presto statements whose records, are remembered; the oldest are forgotten first."""

    reply_limit_s: float = pydantic.Field(default=60.0, gt=0)
    """Seconds that ExecuteSql waits for a statement which it answers at once (SHOW, DESC, DDL, DML)."""

    csv_header: bool = True
    """The CSV of a Presto SELECT starts with the column names."""

    archive_path: str = "obs://emulator/sql-results"
    """Where rows of a SELECT without archive_path go; the service's own behaviour is not documented."""


class EmulatorSettings(iam_settings.Group):
    """The emulator as a whole."""

    host: str = "127.0.0.1"
    """Address to listen on; others than loopback expose the admin paths, see `admin`."""

    port: int = pydantic.Field(default=8181, ge=0, le=65535)
    """TCP port; 0 takes a free one."""

    project_id: str = pydantic.Field(default="0a1b2c3d4e5f60718293a4b5c6d7e8f9", pattern=r"^[A-Za-z0-9]{1,64}$")
    """The one project this MRS knows."""

    auth: bool = True
    """False accepts unsigned requests; the user is then that of the first credential."""

    credentials: tuple[Credential, ...] = pydantic.Field(default=(Credential(),), min_length=1)
    """AK/SK pairs that may sign."""

    clusters: tuple[Cluster, ...] = (Cluster(),)
    """Clusters of the project; ids are unique."""

    data: Path | None = None
    """Folder with Parquet and CSV files, a table each (or a folder of files each); None starts without tables."""

    obs_dir: Path | None = None
    """Folder that plays OBS: obs://bucket/key is obs_dir/bucket/key. None means `obs` in the data folder, or a
    temporary folder that goes away with the emulator when there is no data folder."""

    obs_port: int | None = pydantic.Field(default=None, ge=0, le=65535)
    """TCP port on which that folder is served as OBS, by S3's protocol and OBS's own, with the same keys; 0 takes a
    free one, None serves it not."""

    obs_job_logs: str | None = pydantic.Field(
        default=None, pattern=r"^obs://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$"
    )
    """obs:// path below which each job that has ended leaves its driver's log, as CLUSTER/JOB/stdout and stderr; None
    keeps none. They are there for who reads OBS."""

    obs_domains: tuple[str, ...] = ("localhost", "obs.localhost")
    """Hosts whose sub-domains are buckets: `bucket.localhost/key` is `localhost/bucket/key`."""

    pace: Pace = Pace()
    """Durations of job states."""

    quirks: Quirks = Quirks()
    """Disputed behaviour."""

    cluster_rules: ClusterRules = ClusterRules()
    """Disputed behaviour of clusters and tags."""

    limits: Limits = Limits()
    """Calls per minute."""

    state_file: Path | None = None
    """File that keeps clusters, jobs, tags and all else over a restart; made when it is missing. A reply leaves when
    all that it reports is in the file, so a kill loses nothing that was acknowledged. Lost all the same:
    Presto statements, rows of SQL results, and tables that SQL wrote. None keeps nothing."""

    sql: Sql = Sql()
    """How SQL runs."""

    v11: OldApi = OldApi()
    """Disputed behaviour of V1.1 jobs and data."""

    iam: Iam = Iam()
    """Users, agencies and tokens."""

    faults_file: Path | None = None
    """TOML or JSON file with faults that are in force from the start."""

    admin: bool = True
    """Serve the page at / and /emulator/ (health, effects, faults, clock), unsigned; turn it off when strangers can
    reach the port."""

    seed: int | None = None
    """Makes ids repeatable in simulations; None draws them at random."""

    @pydantic.field_validator("credentials")
    @classmethod
    def _keys_are_unique(cls, credentials: tuple[Credential, ...]) -> tuple[Credential, ...]:
        if len({one.access_key for one in credentials}) != len(credentials):
            raise ValueError("two credentials have the same access_key")
        return credentials

    @pydantic.field_validator("clusters")
    @classmethod
    def _ids_are_unique(cls, clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
        if len({one.cluster_id for one in clusters}) != len(clusters):
            raise ValueError("two clusters have the same cluster_id")
        return clusters
