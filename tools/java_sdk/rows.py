"""
A life of rows through the vendor's former Java SDK, told as one line of JSON: `python rows.py LIBS URL`.

A process of its own, because a JVM cannot leave the one it was started in. JAVA_HOME says which Java; the login comes
from the environment, as the emulator's settings name it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import jpype

_HOME = "com.huawei.openstack4j."
_WAIT_S = 20.0


def _class(name: str) -> Any:
    return jpype.JClass(_HOME + name)


def _options(kind: str) -> Any:
    return _class(f"model.map.reduce.options.{kind}ListOptions").create()


def _connected(url: str) -> Any:
    """Connect the service, logged in by password; the catalogue is not asked where MRS is."""
    project = os.environ["PROJECT"]
    addresses = _class("openstack.identity.internal.OverridableEndpointURLResolver")()
    addresses.addOverrideEndpoint(_class("api.types.ServiceType").MAP_REDUCE, f"{url}/v1.1/{project}")
    by_name, by_id = _class("model.common.Identifier").byName, _class("model.common.Identifier").byId
    login = _class("openstack.OSFactory").builderV3().endpoint(f"{url}/v3")
    login = login.withConfig(_class("core.transport.Config").newConfig().withEndpointURLResolver(addresses))
    login = login.credentials(os.environ["USER_NAME"], os.environ["PASSWORD"], by_name(os.environ["ACCOUNT"]))
    return login.scopeToProject(by_id(project)).authenticate().mrs()


def _sources(mrs: Any, make: Any) -> tuple[dict[str, Any], list[Any]]:
    hdfs = _class("model.map.reduce.DataSource$DataSourceType").HDFS
    rows = [
        mrs.dataSources().create(make.dataSource().name(name).type(hdfs).url(f"/data/{name}").build())
        for name in ("in", "out")
    ]
    changed = mrs.dataSources().update(rows[0].toBuilder().name("raw").build())
    listed = sorted(str(one.getName()) for one in mrs.dataSources().list(_options("DataSource")))
    read = mrs.dataSources().get(rows[0].getId())
    reported = {"changed": str(changed.getName()), "listed": listed, "read": [str(read.getName()), str(read.getURL())]}
    return reported, rows


def _binary(mrs: Any, make: Any) -> tuple[dict[str, Any], Any]:
    wanted = make.jobBinary().name("etl").url("/libs/etl.jar").description("first").build()
    row = mrs.jobBinaries().create(wanted)
    changed = mrs.jobBinaries().update(row.toBuilder().description("second").build())
    listed = [str(one.getName()) for one in mrs.jobBinaries().list(_options("JobBinary"))]
    read = mrs.jobBinaries().get(row.getId())
    return {"changed": str(changed.getDescription()), "listed": listed, "read": str(read.getURL())}, row


def _job(mrs: Any, make: Any, library: str) -> tuple[dict[str, Any], Any]:
    kind = _class("model.map.reduce.Job$JobType").MapReduce
    wanted = make.job().name("nightly").type(kind).addLib(library).description("sums").build()
    row = mrs.jobs().create(wanted)
    changed = mrs.jobs().update(row.toBuilder().name("hourly").build())
    listed = [str(one.getName()) for one in mrs.jobs().list(_options("Job"))]
    read = mrs.jobs().get(row.getId())
    return {"changed": str(changed.getName()), "listed": listed, "read": str(read.getDescription())}, row


def _run(mrs: Any, make: Any, job: str, ends: list[Any]) -> tuple[dict[str, Any], Any]:
    wanted = make.jobExecution().jobId(job).clusterId(os.environ["CLUSTER"])
    wanted = wanted.inputId(ends[0].getId()).outputId(ends[1].getId())
    run = mrs.jobExecutions().create(wanted.setJobConfig(make.jobConfig().addArg("sum").build()).build())
    listed = [str(one.getId()) for one in mrs.jobExecutions().list(_options("JobExecution"))]
    before = mrs.jobExecutions().get(run.getId()).getEndTime() is None
    mrs.jobExecutions().cancel(run.getId())
    deadline = time.monotonic() + _WAIT_S
    while mrs.jobExecutions().get(run.getId()).getEndTime() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = mrs.jobExecutions().get(run.getId()).getEndTime() is not None

    return {
        "of": str(run.getJobId()) == job,
        "listed": listed == [str(run.getId())],
        "before": before,
        "ended": ended,
    }, run


def main() -> None:
    """Make, change, list, read, run, cancel and delete; the readings go to standard output."""
    libs, url = sys.argv[1:]
    # The SDK's HTTP library reaches into the JDK to send PATCH.
    jpype.startJVM(
        "--add-opens=java.base/java.net=ALL-UNNAMED", classpath=[str(jar) for jar in Path(libs).glob("*.jar")]
    )
    mrs = _connected(url)
    make = _class("openstack.map.reduce.builder.MapReduceBuilders")()
    reported: dict[str, Any] = {}
    reported["sources"], ends = _sources(mrs, make)
    reported["binaries"], library = _binary(mrs, make)
    reported["jobs"], job = _job(mrs, make, library.getId())
    reported["runs"], run = _run(mrs, make, job.getId(), ends)

    reported["deleted"] = [
        bool(part.delete(row.getId()).isSuccess())
        for part, row in (
            (mrs.jobExecutions(), run),
            (mrs.jobs(), job),
            (mrs.jobBinaries(), library),
            (mrs.dataSources(), ends[0]),
        )
    ]

    reported["gone"] = mrs.dataSources().get(ends[0].getId()) is None
    print(json.dumps(reported))


if __name__ == "__main__":
    main()
