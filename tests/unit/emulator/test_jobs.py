"""The job operations, reported from the client's side; time is moved by hand."""

from __future__ import annotations

import pytest
from tests.unit.emulator import http_client

from mrs_emulator.core import settings

PACE = {"new_s": 1, "submitted_s": 1, "accepted_s": 1, "run_s": 10, "kill_s": 1}


async def test_a_job_is_submitted_watched_and_read_to_its_end() -> None:
    """The whole life of one job as a poller sees it, in the members and types of the samples."""
    client = http_client.create(pace=PACE)
    reply = await client.submit(
        "wc-7f3a9c1e",
        "MapReduce",
        arguments=["obs://demo/examples.jar", "wordcount", "obs://demo/in/"],
        properties={"fs.obs.endpoint": "obs.example", "k": "v"},
    )

    assert reply.status == 202

    result = reply.json()["job_submit_result"]
    assert result["state"] == "COMPLETE"

    client.clock.pass_s(2)
    accepted = await client.job(result["job_id"])

    assert accepted == {
        "job_id": result["job_id"],
        "user": "emulator",
        "job_name": "wc-7f3a9c1e",
        "job_result": "UNDEFINED",
        "job_state": "ACCEPTED",
        "job_progress": 0,
        "job_type": "MapReduce",
        "started_time": 0,
        "submitted_time": http_client.START_MS,
        "finished_time": 0,
        "elapsed_time": 0,
        "queue": "default",
        "arguments": "[obs://demo/examples.jar, wordcount, obs://demo/in/]",
        "properties": "{fs.obs.endpoint=obs.example, k=v}",
        "launcher_id": f"application_{http_client.START_MS}_0001",
    }

    client.clock.pass_s(11)
    finished = await client.job(result["job_id"])
    assert (finished["job_state"], finished["job_result"], finished["job_progress"]) == ("FINISHED", "SUCCEEDED", 100)
    assert finished["started_time"] == http_client.START_MS + 3_000
    assert finished["finished_time"] == http_client.START_MS + 13_000
    assert finished["elapsed_time"] == 10_000
    assert finished["app_id"] == f"application_{http_client.START_MS}_0002"


async def test_spark_python_becomes_spark_submit() -> None:
    """SparkPython is accepted, shown as SparkSubmit, and found only as that."""
    client = http_client.create()
    job_id = await client.submitted("py", "SparkPython")
    assert (await client.job(job_id))["job_type"] == "SparkSubmit"
    assert await client.listed(job_type="SparkSubmit") == (1, ["py"])
    assert await client.listed(job_type="SparkPython") == (0, [])


async def test_spark_job_has_a_tracking_url_once_it_runs() -> None:
    """Only SparkSubmit jobs have one."""
    client = http_client.create(pace=PACE)
    spark, flink = await client.submitted("s", "SparkSubmit"), await client.submitted("f", "Flink")
    assert "tracking_url" not in await client.job(spark)
    client.clock.pass_s(3)
    assert "tracking_url" in await client.job(spark)
    assert "tracking_url" not in await client.job(flink)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"job_type": "Flink"}, "job_name"),
        ({"job_name": "a b", "job_type": "Flink"}, "job_name"),
        ({"job_name": "x" * 65, "job_type": "Flink"}, "job_name"),
        ({"job_name": "ok", "job_type": "flink"}, "job_type"),
        ({"job_name": "ok"}, "job_type"),
        ({"job_name": "ok", "job_type": "Flink", "arguments": "run"}, "arguments"),
        ({"job_name": "ok", "job_type": "Flink", "arguments": [1]}, "arguments"),
        ({"job_name": "ok", "job_type": "Flink", "arguments": ["x" * 75_001, "y" * 75_000]}, "150000"),
        ({"job_name": "ok", "job_type": "Flink", "properties": ["a"]}, "properties"),
        ({"job_name": "ok", "job_type": "Flink", "properties": {"a": 1}}, "properties"),
        ({"job_name": "ok", "job_type": "Flink", "properties": {"k": "v" * 2048}}, "2048"),
        ([], "JSON object"),
        (b"{not json", "JSON"),
        (b"", "JSON"),
    ],
)
async def test_invalid_submission_is_12000002_and_names_the_parameter(body: object, named: str) -> None:
    """Nothing is created by a refused submission."""
    client = http_client.create()
    reply = await client.ask("POST", f"{client.base}/job-executions", body)
    assert (reply.status, http_client.code(reply)) == (400, "12000002")
    assert named in reply.json()["error_msg"]
    assert (await client.effects())["count"] == 0


async def test_limits_of_a_submission_are_inclusive() -> None:
    """64 characters of name, 150,000 of arguments and 2,048 of properties are still fine."""
    client = http_client.create()
    await client.submitted("x" * 64, "Flink", arguments=["x" * 150_000], properties={"k": "v" * 2047})


async def test_special_characters_pass_unless_strict() -> None:
    """The documents forbid characters that their own samples use, so refusing them is a quirk."""
    body: dict[str, object] = {"arguments": ["a;b", "$X"], "properties": {"p": "a'b"}}
    await http_client.create().submitted("a", "Flink", **body)
    assert (
        http_client.code(await http_client.create(quirks={"strict_characters": True}).submit("a", "Flink", **body))
        == "12000002"
    )


async def test_unknown_job_and_unknown_cluster_have_different_shapes() -> None:
    """0176 comes as error_code, 12000003 as errorCode; both are 400, never 404."""
    client = http_client.create()
    reply = await client.ask("GET", f"{client.base}/job-executions/nope")
    assert (reply.status, reply.json()) == (400, {"error_code": "0176", "error_msg": "The job does not exist."})
    client.cluster = "nowhere"
    for verb, path in (("GET", "/nope"), ("GET", ""), ("POST", ""), ("POST", "/batch-delete"), ("POST", "/nope/kill")):
        reply = await client.ask(verb, f"{client.base}/job-executions{path}", {})
        assert (reply.status, reply.json()["errorCode"]) == (400, "12000003")


async def test_older_versions_answer_business_errors_with_500() -> None:
    """The quirk changes the status and nothing else."""
    client = http_client.create(quirks={"business_errors_as_500": True})
    reply = await client.ask("GET", f"{client.base}/job-executions/nope")
    assert (reply.status, http_client.code(reply)) == (500, "0176")


async def test_job_operations_succeed_with_200_by_quirk() -> None:
    """Whatever a client does with 202 can be seen without it."""
    client = http_client.create(quirks={"job_status": 200})
    assert (await client.submit()).status == 200
    assert (await client.ask("GET", f"{client.base}/job-executions")).status == 200


async def test_eleventh_unfinished_job_is_0177_until_one_ends() -> None:
    """A cluster holds ten unfinished jobs; the eleventh is refused, and again welcome when one has ended."""
    client = http_client.create(pace=PACE)
    for number in range(10):
        await client.submitted(f"job-{number}")
    refused = await client.submit("one-more")
    assert (refused.status, http_client.code(refused)) == (400, "0177")
    assert refused.json()["error_msg"] == "The number of jobs running in each cluster cannot exceed 10."
    client.clock.pass_s(12.999)
    assert http_client.code(await client.submit("one-more")) == "0177"
    client.clock.pass_s(0.001)
    await client.submitted("one-more")
    assert (await client.effects(name="one-more"))["count"] == 1


async def test_killed_job_frees_its_slot() -> None:
    """A kill counts from the moment the job is KILLED."""
    client = http_client.create(pace=PACE, clusters=[{"slots": 1}])
    job_id = await client.submitted("stuck")
    client.clock.pass_s(5)
    assert (await client.kill(job_id)).status == 202
    assert http_client.code(await client.submit("next")) == "0177"
    client.clock.pass_s(1)
    await client.submitted("next")


async def test_no_slots_means_no_limit() -> None:
    """With slots = 0 it takes any number of jobs."""
    client = http_client.create(clusters=[{"slots": 0}])
    for number in range(50):
        await client.submitted(f"stuck-{number}")
    assert (await client.listed(job_result="UNDEFINED"))[0] == 50


async def test_kill_is_accepted_with_an_empty_body_and_seen_later() -> None:
    """202 means accepted; the job is KILLED a moment later, with result KILLED."""
    client = http_client.create(pace=PACE)
    job_id = await client.submitted()
    client.clock.pass_s(5)
    reply = await client.kill(job_id)
    assert (reply.status, reply.body) == (202, b"")
    assert await client.seen(job_id) == ("RUNNING", "UNDEFINED")
    client.clock.pass_s(1)
    killed = await client.job(job_id)
    assert (killed["job_state"], killed["job_result"]) == ("KILLED", "KILLED")
    assert killed["finished_time"] == http_client.START_MS + 6_000


async def test_kill_before_the_job_runs_leaves_it_without_application() -> None:
    """A job killed while ACCEPTED never started."""
    client = http_client.create(pace={**PACE, "kill_s": 0})
    job_id = await client.submitted()
    client.clock.pass_s(2.5)
    await client.kill(job_id)
    killed = await client.job(job_id)
    assert (killed["job_state"], killed["started_time"], killed["elapsed_time"]) == ("KILLED", 0, 0)
    assert "app_id" not in killed


async def test_kill_of_a_new_job_is_0180() -> None:
    """A job that is still being submitted cannot be killed yet."""
    client = http_client.create(pace=PACE)
    job_id = await client.submitted()
    assert http_client.code(await client.kill(job_id)) == "0180"
    client.clock.pass_s(1)
    assert (await client.kill(job_id)).status == 202


async def test_job_that_ends_before_the_kill_arrives_keeps_its_end() -> None:
    """After a 202 the job may still end SUCCEEDED."""
    client = http_client.create(pace=PACE)
    job_id = await client.submitted()
    client.clock.pass_s(12.5)
    assert (await client.kill(job_id)).status == 202
    client.clock.pass_s(5)
    assert await client.seen(job_id) == ("FINISHED", "SUCCEEDED")


async def test_second_kill_does_not_delay_the_first() -> None:
    """Killing twice is as killing once."""
    client = http_client.create(pace=PACE)
    job_id = await client.submitted()
    client.clock.pass_s(5)
    await client.kill(job_id)
    client.clock.pass_s(0.9)
    await client.kill(job_id)
    client.clock.pass_s(0.1)
    assert (await client.job(job_id))["finished_time"] == http_client.START_MS + 6_000


async def test_kill_of_an_ended_job_changes_nothing() -> None:
    """Accepted by default, 0175 by quirk; the end stays what it was."""
    for quirk, status in ((False, 202), (True, 400)):
        client = http_client.create(pace=PACE, quirks={"stop_of_ended_refused": quirk})
        job_id = await client.submitted()
        client.clock.pass_s(60)
        assert (await client.kill(job_id)).status == status
        assert await client.seen(job_id) == ("FINISHED", "SUCCEEDED")


async def test_deleted_job_is_gone_but_remains_an_effect() -> None:
    """Deleting a record hides the job from queries; that it was created stays true."""
    client = http_client.create(pace=PACE)
    job_id, other = await client.submitted("gone"), await client.submitted("stays")
    client.clock.pass_s(60)
    reply = await client.ask("POST", f"{client.base}/job-executions/batch-delete", {"job_id_list": [job_id, job_id]})
    assert (reply.status, reply.body) == (202, b"")
    assert http_client.code(await client.ask("GET", f"{client.base}/job-executions/{job_id}")) == "0176"
    assert await client.listed() == (1, ["stays"])
    assert await client.seen(other) == ("FINISHED", "SUCCEEDED")
    gone = (await client.effects(name="gone"))["effects"]
    assert [one["deleted"] for one in gone] == [True]


@pytest.mark.parametrize(
    ("second", "extra", "expected"),
    [(5, [], "0183"), (60, ["unknown"], "0176"), (60, [7], "12000002"), (5, ["unknown"], "0176")],
)
async def test_batch_delete_is_all_or_nothing(second: int, extra: list[object], expected: str) -> None:
    """A running, unknown or malformed id refuses the whole batch."""
    client = http_client.create(pace=PACE)
    job_id = await client.submitted()
    client.clock.pass_s(second)
    reply = await client.ask("POST", f"{client.base}/job-executions/batch-delete", {"job_id_list": [job_id, *extra]})
    assert http_client.code(reply) == expected
    assert (await client.listed())[0] == 1


async def test_batch_delete_of_nothing_is_invalid() -> None:
    """The list of ids is required."""
    client = http_client.create()
    bodies: tuple[dict[str, object], ...] = ({}, {"job_id_list": []}, {"job_id_list": "x"})
    for body in bodies:
        assert (
            http_client.code(await client.ask("POST", f"{client.base}/job-executions/batch-delete", body)) == "12000002"
        )


@pytest.mark.parametrize("state", ["starting", "frozen", "abnormal", "terminating", "terminated", "failed"])
async def test_cluster_that_is_not_ready_is_0056(state: str) -> None:
    """Jobs need a running cluster; its state is named."""
    reply = await http_client.create(clusters=[{"state": state}]).submit()
    assert (reply.status, http_client.code(reply)) == (400, "0056")
    assert state in reply.json()["error_msg"]


async def test_scaling_cluster_takes_jobs() -> None:
    """Scaling does not stop submissions."""
    for state in ("scaling-out", "scaling-in"):
        await http_client.create(clusters=[{"state": state}]).submitted()


@pytest.mark.parametrize(
    ("job_type", "expected"),
    [("SparkSubmit", "0057"), ("SparkSql", "0057"), ("HiveSql", "0168"), ("HiveScript", "0168"), ("Flink", "0169")],
)
async def test_job_without_its_component_is_refused(job_type: str, expected: str) -> None:
    """The cluster needs Spark, Hive or Flink for their jobs; MapReduce needs none of them."""
    client = http_client.create(clusters=[{"components": ["Hadoop"]}])
    assert http_client.code(await client.submit("a", job_type, arguments=["select 1"])) == expected
    await client.submitted("b", "MapReduce")


async def test_submission_can_report_failure_on_success_status() -> None:
    """A 202 may say state FAILED; then there is no job id and no job."""
    client = http_client.create()
    reply = await client.submit(properties={"emulator.submit": "failed"})
    assert (reply.status, reply.json()) == (202, {"job_submit_result": {"state": "FAILED"}})
    assert (await client.effects())["count"] == 0


async def test_numbers_become_strings_by_quirk() -> None:
    """Old samples print every number as a string."""
    client = http_client.create(quirks={"numbers_as_strings": True})
    job_id = await client.submitted()
    detail = await client.job(job_id)
    assert (detail["submitted_time"], detail["job_progress"]) == (str(http_client.START_MS), "0")
    assert (await client.listed())[0] == "1"


async def test_jobs_are_those_of_their_cluster() -> None:
    """A job is not found through another cluster, and slots are counted by cluster."""
    clusters = (settings.Cluster(slots=1), settings.Cluster(cluster_id="other", name="other", slots=1))
    client = http_client.create(clusters=clusters)
    job_id = await client.submitted("stuck")
    client.cluster = "other"
    await client.submitted("stuck")
    assert http_client.code(await client.ask("GET", f"{client.base}/job-executions/{job_id}")) == "0176"
    assert (await client.listed())[0] == 1


async def test_result_of_a_job_that_is_no_sql_is_0179() -> None:
    """Only SparkSql and SparkScript have results."""
    client = http_client.create()
    assert http_client.code(await client.results(await client.submitted())) == "0179"


async def test_ids_repeat_with_the_seed_and_differ_without() -> None:
    """Simulations get the same ids each time; real runs never do."""
    first, second = (await http_client.create(seed=1).submitted(), await http_client.create(seed=1).submitted())
    assert first == second
    assert await http_client.create(seed=None).submitted() != await http_client.create(seed=None).submitted()
