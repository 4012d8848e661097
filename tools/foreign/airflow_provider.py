"""Airflow's provider for Huawei Cloud as a client that the runner steers: hooks, operators, sensors and triggers."""

from __future__ import annotations

import asyncio
import importlib.metadata
import itertools
import json
import os
from collections.abc import Mapping
from typing import Any

from tools.foreign import lines

os.environ["AIRFLOW_CONN_HUAWEICLOUD_DEFAULT"] = json.dumps(
    {
        "conn_type": "huaweicloud",
        "login": lines.AK,
        "password": lines.SK,
        "extra": {"project_id": lines.PROJECT, "region": "cn-north-4"},
    }
)
os.environ["HUAWEICLOUD_SDK_REGION_MRS_CN_NORTH_4"] = lines.ENDPOINT

from airflow.providers.huawei.cloud.hooks import mrs as hooks
from airflow.providers.huawei.cloud.operators import mrs as operators
from airflow.providers.huawei.cloud.sensors import mrs as sensors
from airflow.providers.huawei.cloud.triggers import mrs as triggers
from huaweicloudsdkcore.utils import http_utils

_PACKAGES = ("apache-airflow-providers-huawei", "apache-airflow", "huaweicloudsdkmrs")
_HOOK = (
    "create_cluster",
    "create_cluster_run_job",
    "delete_cluster",
    "show_cluster_details",
    "create_execute_job",
    "show_single_job_exe",
    "stop_job",
)


class _Instance:
    """What an operator is given as its task instance; it keeps the value that is pushed."""

    value: Any = None

    def xcom_push(self, key: str, value: Any) -> None:
        assert key == "return_value"
        self.value = value


def main() -> None:
    """Answer calls until the runner ends."""
    numbers = itertools.count(1)

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        call, fields = wanted["call"], wanted["fields"]
        if call.startswith("hook."):
            reply = getattr(hooks.MRSHook(), call.removeprefix("hook."))(**fields)
            return {"reply": http_utils.sanitize_for_serialization(reply)}
        if call.endswith("Trigger"):
            return {"reply": asyncio.run(_first(getattr(triggers, call)(**fields)))}
        module = sensors if call.endswith("Sensor") else operators
        task = getattr(module, call)(task_id=f"task-{next(numbers)}", **fields)
        if module is sensors:
            return {"reply": task.poke({})}
        pushed = _Instance()
        returned = task.execute({"ti": pushed})
        return {"reply": returned or pushed.value}

    found = [name for module in (operators, sensors, triggers) for name in vars(module) if _is_own(module, name)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    lines.serve(versions, {"": [*(f"hook.{name}" for name in _HOOK), *found]}, answer)


def _is_own(module: Any, name: str) -> bool:
    one = getattr(module, name)
    return name.startswith("MRS") and getattr(one, "__module__", "") == module.__name__


async def _first(trigger: Any) -> Any:
    """Return the payload of the first event that a trigger yields."""
    async for event in trigger.run():
        return event.payload
    return None


if __name__ == "__main__":
    main()
