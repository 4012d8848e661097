"""The code of docs/from-other-tools.md, before and after: programs, an operator and a flow do what the page says."""

from __future__ import annotations

import asyncio
import sys
import types
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.support import brokers, pages, service, waiting

from mrs_emulator.core import settings as emulator_settings
from mrs_relay import client
from mrs_relay.kafka import settings

pytestmark = pytest.mark.embedded

_BLOCKS = {
    head: [each for each in pages.blocks("from-other-tools.md") if each.head == head]
    for head in ("The vendor's SDK", "Airflow", "Kestra")
}
_JAR = "obs://b/agg.jar"


@pytest.fixture(scope="module")
def here(
    embedded: brokers.TansuNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[service.Deployment, service.Emulator]]:
    """A relay and its MRS."""
    folder = tmp_path_factory.mktemp("tools")
    with service.emulator(folder, "--run-s", "2") as mrs:
        name = f"tools-{uuid.uuid4().hex[:6]}"
        deployment = service.Deployment(embedded.bootstrap, name, mrs.url, folder, guarantee="at-least-once")
        deployment.create_topics(2)
        relay = deployment.start_relay("one")
        yield deployment, mrs
        assert relay.stop() == 0


def _kafka(deployment: service.Deployment) -> settings.KafkaSettings:
    return settings.KafkaSettings.model_validate(deployment._group("kafka"))


def _jobs(mrs: service.Emulator, name: str) -> int:
    return sum(str(one["name"]).startswith(name) for one in mrs.effects())


async def test_program_with_the_sdk_and_the_one_with_messages_run_the_same_job(
    here: tuple[service.Deployment, service.Emulator],
) -> None:
    """The second one may run again with the same id: there is one job."""
    deployment, mrs = here
    before, after = (each.text for each in _BLOCKS["The vendor's SDK"])
    key = emulator_settings.Credential()
    known = {"access_key": key.access_key, "secret_key": key.secret_key.get_secret_value(), "jar": _JAR}
    known |= {"project_id": service.PROJECT, "endpoint": mrs.url, "cluster": service.CLUSTER}
    assert before.count("time.sleep(10)") == 1
    code = compile(before.replace("time.sleep(10)", "time.sleep(0.2)"), "from-other-tools.md", "exec")
    await asyncio.to_thread(exec, code, dict(known))
    assert _jobs(mrs, "nightly") == 1

    assert after.count("bootstrap_servers=kafka") == 1
    code = compile(after.replace("bootstrap_servers=kafka", "kafka"), "from-other-tools.md", "exec")
    for _ in range(2):
        await asyncio.to_thread(exec, code, {**known, "kafka": _kafka(deployment)})
    assert _jobs(mrs, "nightly") == 2


class _BaseOperator:
    """
    What Airflow's BaseOperator is for the operator of the page: it takes the task's arguments and keeps the id.

    Source: Airflow 3, airflow.sdk.BaseOperator (`task_id`, `execute`, `on_kill`, `template_fields`).
    """

    def __init__(self, *, task_id: str) -> None:
        self.task_id = task_id


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The operator's class, over a stand-in for Airflow."""
    sdk = types.ModuleType("airflow.sdk")
    sdk.BaseOperator = _BaseOperator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    (block,) = _BLOCKS["Airflow"]
    assert block.text.count("bootstrap_servers=self.kafka") == 1
    known: dict[str, Any] = {"__name__": "operators"}
    exec(compile(block.text.replace("bootstrap_servers=", ""), "from-other-tools.md", "exec"), known)  # noqa: S102 - our own page
    return known["MrsJobOperator"]


async def test_operator_goes_on_with_its_job_and_stops_it(
    here: tuple[service.Deployment, service.Emulator], operator: Any
) -> None:
    """A try after a worker's death follows the same job; one after a bad end starts another."""
    deployment, mrs = here
    name = f"task-{uuid.uuid4().hex[:6]}"
    context = {"ti": SimpleNamespace(dag_id="nightly", task_id=name, run_id="manual__1", map_index=-1)}

    def task() -> Any:
        given = {"cluster": service.CLUSTER, "job_type": "SparkSubmit", "arguments": ["--class", "A", _JAR]}
        return operator(task_id=name, kafka=_kafka(deployment), **given)

    first = task()
    with ThreadPoolExecutor(1) as worker:
        running = worker.submit(first.execute, context)
        await waiting.until(lambda: _jobs(mrs, name) == 1)
        await asyncio.to_thread(first.on_kill)
        with pytest.raises(client.RequestCancelled):
            await asyncio.wrap_future(running)

    again = await asyncio.to_thread(task().execute, context)
    assert _jobs(mrs, name) == 2
    assert await asyncio.to_thread(task().execute, context) == again
    assert _jobs(mrs, name) == 2


async def test_flow_has_kestra_s_shape_and_its_command_runs_a_job_once(
    here: tuple[service.Deployment, service.Emulator],
) -> None:
    """Each task and trigger has an id and the name of a plug-in; an execution that is restarted runs no second job."""
    deployment, mrs = here
    (block,) = _BLOCKS["Kestra"]
    flow = yaml.safe_load(block.text)
    assert set(flow) == {"id", "namespace", "tasks", "triggers"}
    for part in (*flow["tasks"], *flow["triggers"]):
        assert part["type"].startswith("io.kestra.plugin.")
        assert part["id"].isidentifier()
    (task,) = flow["tasks"]
    ((command,),) = (task["commands"],)
    assert all(name.startswith("MRS_RELAY_") and isinstance(value, str) for name, value in task["env"].items())

    fitted = command.replace("{{ execution.id }}", uuid.uuid4().hex).replace("CLUSTER-ID", service.CLUSTER)
    fitted = fitted.replace("--name nightly", "--name kestra").replace('"', "")
    for _ in range(2):
        code, shown = await asyncio.to_thread(deployment.command, *fitted.split()[1:])
        assert code == 0, shown
    assert _jobs(mrs, "kestra") == 1
