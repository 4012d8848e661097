"""Settings of lineage: what the run events show, and what Spark programs get to know of their run."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from mrs_relay.common import described

Sql = Literal["none", "redacted", "full"]

Namespace = Annotated[str, pydantic.Field(pattern=r"^[^\s]{1,200}$")]


class LineageSettings(described.Described):
    """What OpenLineage events show. They are written if `kafka.topics.lineage` names a topic."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    namespace: Namespace | None = None
    """OpenLineage namespace of jobs; the `source` of events unless it is set."""

    tables: Namespace | None = None
    """
    OpenLineage namespace of tables, such as hive://metastore:9083; `hive://<cluster id>` unless it is set. Clusters
    that share a metastore need one name for it, or their tables are different ones.
    """

    sql: Sql = "none"
    """
    SQL in run events: "none"; "redacted", with ? for each literal and without comments, where sqlglot can parse it; or
    "full". Everyone who reads the topic, or what it is forwarded to, sees it.
    """

    spark_parent: bool = False
    """
    Pass the run to Spark programs (SparkSubmit and SparkPython), as `--conf spark.openlineage.parentRunId=…` and so on
    before their other arguments, so that the lineage which Spark itself reports is linked to it. Needs a topic of
    lineage: without one the relay does not start.
    """
