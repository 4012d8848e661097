"""What survives a restart, and how: the state file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support import clocks
from tests.unit.emulator import cluster_requests, http_client, test_policies

from mrs_emulator.core import core, failures, persistence, tasks
from mrs_emulator.jobs import life


@asynccontextmanager
async def started(path: Path, clock: clocks.HandClock, **changes: object) -> AsyncIterator[http_client.Client]:
    """Yield an emulator with a state file, for the time of the block."""
    async with core.Emulator(http_client.options(state_file=path, **changes), clock) as emulator:
        yield http_client.Client(emulator, clock)


async def test_clusters_jobs_tags_policies_and_effects_are_there_again(tmp_path: Path) -> None:
    """A restart is a pause: what was going on continues, by the times decided before."""
    clock, path = clocks.HandClock(), tmp_path / "state"
    async with started(path, clock) as client:
        old, deleted = await client.submitted("old", arguments=["a", "b"]), await client.submitted("deleted")
        clock.pass_s(60)
        await client.ask("POST", f"{client.base}/job-executions/batch-delete", {"job_id_list": [deleted]})
        fresh = await client.submitted("fresh", properties={"emulator.duration_s": "100"})
        made = await cluster_requests.created(client, cluster_requests.v11(add_jobs=[]))
        clock.pass_s(5)
        await cluster_requests.tag(made, "owner", "etl")
        await cluster_requests.resize(made, 3)
        task_group = "task_node_default_group"
        assert (await test_policies.put(made, test_policies.policy(), task_group))[0] == 200
        before = (await client.job(old), await cluster_requests.hosts(made), await client.effects())

    async with started(path, clock) as client:
        made = http_client.Client(client.emulator, clock, made.cluster)
        assert before == (await client.job(old), await cluster_requests.hosts(made), await client.effects())
        assert await client.listed() == (2, ["fresh", "old"])
        assert await client.seen(fresh) == ("RUNNING", "UNDEFINED")
        assert (await cluster_requests.details(made))["clusterState"] == "scaling-out"

        clock.pass_s(100)
        assert await client.seen(fresh) == ("FINISHED", "SUCCEEDED")

        found = await cluster_requests.details(made)
        assert (found["coreNodeNum"], found["tags"]) == ("7", "owner=etl")

        again = await client.submitted("again")
        assert again not in {old, deleted, fresh}

        launchers = [(await client.job(one)).get("launcher_id") for one in (old, fresh)]
        clock.pass_s(60)
        assert (await client.job(again))["launcher_id"] not in launchers


async def test_flow_continues_after_a_restart(tmp_path: Path) -> None:
    """Jobs that come with a cluster start, and the cluster goes, whenever the emulator is there again."""
    clock, path = clocks.HandClock(), tmp_path / "state"
    async with started(path, clock) as client:
        body = cluster_requests.v2(steps=[cluster_requests.step("one")], delete_when_no_steps=True)
        made = await cluster_requests.created(client, body, cluster_requests.V2_FLOW)
    clock.pass_s(9999)
    async with started(path, clock) as client:
        made = http_client.Client(client.emulator, clock, made.cluster)
        assert await made.listed() == (1, ["one"])
        clock.pass_s(60)
        assert await cluster_requests.state(made) == "terminated"


async def test_sql_job_that_was_cut_off_has_failed(tmp_path: Path) -> None:
    """Its SQL stopped with the emulator; results of earlier ones are lost, which MRS words as 0172."""
    clock, path = clocks.HandClock(), tmp_path / "state"
    pace = {"new_s": 0, "submitted_s": 0, "accepted_s": 0}
    async with started(path, clock, pace=pace) as client:
        done = await client.submitted("done", "SparkSql", arguments=["select 1"])
        await client.ended(done)
        assert (await client.results(done)).status == 202
    async with started(path, clock, pace={**pace, "accepted_s": 3600}) as client:
        cut = await client.submitted("cut", "HiveSql", arguments=["select 1"])
    async with started(path, clock, pace=pace) as client:
        assert await client.seen(done) == ("FINISHED", "SUCCEEDED")
        assert http_client.code(await client.results(done)) == "0172"
        assert await client.seen(cut) == ("FAILED", "FAILED")
        assert (await client.effects(name="cut"))["effects"][0]["error"] == "the emulator was restarted"


async def test_settings_add_clusters_and_the_file_wins(tmp_path: Path) -> None:
    """A cluster from the settings is as the file remembers it; a new one is added."""
    clock, path = clocks.HandClock(), tmp_path / "state"
    async with started(path, clock) as client:
        await cluster_requests.delete(client)
    clock.pass_s(60)
    async with started(path, clock, clusters=[{}, {"cluster_id": "second", "name": "second"}]) as client:
        assert await cluster_requests.state(client) == "terminated"
        assert await cluster_requests.state(http_client.Client(client.emulator, clock, "second")) == "running"
    async with started(path, clock) as client:
        assert await cluster_requests.state(http_client.Client(client.emulator, clock, "second")) == "running"


async def test_forgotten_clusters_leave_no_rows(tmp_path: Path) -> None:
    """Neither they nor their jobs come back."""
    clock, path = clocks.HandClock(), tmp_path / "state"
    async with started(path, clock, cluster_rules={"terminated_kept_s": 10}) as client:
        made = await cluster_requests.created(client)
        clock.pass_s(5)
        await made.submitted()
        await cluster_requests.delete(made)
        clock.pass_s(60)
        assert (await client.ask("GET", cluster_requests.INFOS)).json()["clusterTotal"] == 1
    with sqlite3.connect(path) as file:
        shelves = [row[0] for row in file.execute("SELECT shelf FROM rows ORDER BY place")]
    file.close()
    assert sorted(set(shelves) - {"effects"}) == ["clusters"]


async def test_what_a_reply_has_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """The file is complete when the reply leaves, for one request and for many at the same time."""
    path, copy, clock = tmp_path / "state", tmp_path / "copy", clocks.HandClock()
    async with started(path, clock, clusters=[{"slots": 0}]) as client:
        await client.submitted("first")
        copy.write_bytes(path.read_bytes())
        async with asyncio.TaskGroup() as tasks_:
            for number in range(20):
                tasks_.create_task(client.submitted(f"job-{number}"))
        many = path.read_bytes()
    async with started(copy, clock, clusters=[{"slots": 0}]) as client:
        assert (await client.listed(limit=100))[1] == ["first"]
    copy.write_bytes(many)
    async with started(copy, clock, clusters=[{"slots": 0}]) as client:
        assert len((await client.listed(limit=100))[1]) == 21


async def test_change_that_cannot_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    """A reply that says yes would be a lie after a kill; the change is written as soon as it can be."""
    path = tmp_path / "state"
    async with started(path, clocks.HandClock()) as client:
        file = client.emulator._state_file._file
        assert file is not None
        file.execute("PRAGMA query_only = ON")
        assert (await client.submit("lost")).status == 500
        file.execute("PRAGMA query_only = OFF")
        await client.submitted("kept")
        assert (await client.listed())[0] == 2


class Shop:
    """A part that keeps rows, as others do."""

    def __init__(self, state_file: persistence.StateFile) -> None:
        self.rows: dict[str, life.Ending] = {}
        self.table = state_file.table("shop", self._restore)

    def _restore(self, rows: Iterable[persistence.Row]) -> None:
        self.rows = {row.key: row.read(life.Ending) for row in rows}


@asynccontextmanager
async def shop(path: Path | None) -> AsyncIterator[tuple[Shop, int]]:
    """Yield a part with its keeper, and how often the file was opened before."""
    errors: list[BaseException] = []
    task_supervisor = tasks.TaskSupervisor(lambda _, error: errors.append(error))
    state_file = persistence.StateFile(path, task_supervisor)
    part = Shop(state_file)
    starts = await state_file.open()
    yield part, starts
    await task_supervisor.close()
    await state_file.close()
    assert not errors


async def test_rows_come_back_in_the_order_of_their_first_put(tmp_path: Path) -> None:
    """Changes keep a row's place; a row dropped and put again is still one row."""
    path = tmp_path / "state"
    async with shop(path) as (part, starts):
        assert starts == 0
        for key in "bac":
            part.table.put(key, life.Ending(1, key, ""))
    async with shop(path) as (part, starts):
        assert (starts, list(part.rows)) == (1, ["b", "a", "c"])
        part.table.put("b", life.Ending(2, "b", "new"))
        part.table.drop("a")
        part.table.drop("never there")
    async with shop(path) as (part, _):
        assert part.rows == {"b": life.Ending(2, "b", "new"), "c": life.Ending(1, "c", "")}


async def test_without_a_file_nothing_is_kept_and_no_thread_is_made() -> None:
    """The shelves take what they are given."""
    async with shop(None) as (part, starts):
        part.table.put("a", life.Ending(1, "", ""))
        assert starts == 0


async def test_shelf_has_one_owner() -> None:
    """Two parts with one shelf would mix their rows."""
    state_file = persistence.StateFile(None, tasks.TaskSupervisor(lambda *_: None))
    state_file.table("shop", lambda _: None)
    with pytest.raises(ValueError, match="shop"):
        state_file.table("shop", lambda _: None)


async def test_second_emulator_on_the_same_file_cannot_start(tmp_path: Path) -> None:
    """Two writers would overwrite each other."""
    path = tmp_path / "state"
    async with started(path, clocks.HandClock()):
        with pytest.raises(failures.CannotStart, match="locked"):
            async with started(path, clocks.HandClock()):
                pass
    async with started(path, clocks.HandClock()):
        pass


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 100, b"{}"])
async def test_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """The message names the file."""
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(failures.CannotStart, match="state"):
        async with started(path, clocks.HandClock()):
            pass
    assert path.read_bytes() == content


async def test_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """Never guess at a layout."""
    path = tmp_path / "state"
    async with started(path, clocks.HandClock()):
        pass
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(failures.CannotStart, match="version 99"):
        async with started(path, clocks.HandClock()):
            pass


async def test_unreadable_row_is_named(tmp_path: Path) -> None:
    """A file that was edited by hand does not start half an emulator."""
    path = tmp_path / "state"
    async with started(path, clocks.HandClock()) as client:
        job_id = await client.submitted()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE rows SET value = X'7B7D' WHERE shelf = 'jobs'")
    file.close()
    with pytest.raises(failures.CannotStart, match=job_id):
        async with started(path, clocks.HandClock()):
            pass


async def test_missing_folder_is_reported(tmp_path: Path) -> None:
    """The file is made, its folder is not."""
    with pytest.raises(failures.CannotStart, match="nowhere"):
        async with started(tmp_path / "nowhere" / "state", clocks.HandClock()):
            pass
