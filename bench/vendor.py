"""The same submissions with the vendor's SDK on threads, as its users would make them; for `client.py`."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Mapping
from typing import Any

THREADS = 32


def installed() -> bool:
    """Return whether the SDK is there; without it its figure is left out."""
    return importlib.util.find_spec("huaweicloudsdkmrs") is not None


def calls_per_s(url: str, project: str, cluster: str, body: Mapping[str, Any], calls: int) -> float:
    """Return calls a second of `THREADS` threads that share one client and `calls` calls."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - may be absent
    from huaweicloudsdkmrs import v2  # noqa: PLC0415 - may be absent

    pair = BasicCredentials("EXAMPLEACCESSKEY0001", "example-secret-key-for-benchmarks", project)
    sdk = v2.MrsClient.new_builder().with_credentials(pair).with_endpoint(url).build()
    failed: list[BaseException] = []

    def work(own: int) -> None:
        try:
            for number in range(own):
                job = v2.JobExecution(**{**body, "job_name": f"{body['job_name']}-{number}"})
                reply = sdk.create_execute_job(v2.CreateExecuteJobRequest(cluster_id=cluster, body=job))
                assert reply.job_submit_result.job_id
        except BaseException as error:  # noqa: BLE001 - asked to the caller, who runs in another thread
            failed.append(error)

    work(1)
    threads = [threading.Thread(target=work, args=(calls // THREADS,)) for _ in range(THREADS)]
    started_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return calls // THREADS * THREADS / (time.perf_counter() - started_s)
