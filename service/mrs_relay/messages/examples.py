"""
One realistic request of each type: for the documents, the command line and the tests of the schemas.

Names and places are made up; the cluster is the one that the emulator starts with.
"""

from __future__ import annotations

from typing import Any, Final

_CLUSTER: Final = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
_NODE: Final = {"node_size": "rc3.4xlarge.4.linux.bigdata", "root_volume": {"type": "SAS", "size": 480}}
_DATA: Final = {"data_volume": {"type": "SAS", "size": 600}, "data_volume_count": 1}
_ORDER: Final[dict[str, Any]] = {
    "cluster_version": "MRS 3.1.0",
    "cluster_type": "ANALYSIS",
    "region": "cn-north-4",
    "availability_zone": "cn-north-4a",
    "vpc_name": "vpc-data",
    "subnet_name": "subnet-data",
    "components": "Hadoop,Spark2x,Hive",
    "safe_mode": "SIMPLE",
    "manager_admin_password": "Example@2026x",
    "login_mode": "KEYPAIR",
    "node_keypair_name": "kp-data",
    "node_groups": [
        {"group_name": "master_node_default_group", "node_num": 2, **_NODE, **_DATA},
        {"group_name": "core_node_analysis_group", "node_num": 3, **_NODE, **_DATA},
    ],
}
_STEP: Final = {"job_type": "SparkSubmit", "job_name": "nightly", "arguments": ["obs://shop/nightly.py", "2026-11-23"]}

DATA: Final[dict[str, dict[str, Any]]] = {
    "mrs.job.submit": {
        "cluster": _CLUSTER,
        "job": {
            "job_type": "SparkSubmit",
            "job_name": "nightly",
            "arguments": ["--class", "com.example.Nightly", "obs://shop/nightly.jar", "2026-11-23"],
        },
        "run_deadline_s": 7200,
        "retry": {"attempts": 3, "backoff_s": 60, "on": ["job_failed", "job_killed"]},
        "labels": {"team": "billing"},
    },
    "mrs.sql.submit": {"cluster": _CLUSTER, "engine": "presto", "statement": "show tables"},
    "mrs.job.delete": {"cluster": _CLUSTER, "job_ids": ["02131467-64e5-4eeb-b7a8-5d5a5d4ab3b5"]},
    "mrs.job.cancel": {"request": {"id": "order-4711"}, "note": "wrong date"},
    "mrs.job.resolve": {"request": {"id": "load-3"}, "verdict": "succeeded", "note": "the rows are there"},
    "mrs.cluster.create": {"body": {"cluster_name": "nightly", **_ORDER}},
    "mrs.cluster.flow": {
        "body": {
            "cluster_name": "nightly-flow",
            **_ORDER,
            "delete_when_no_steps": True,
            "steps": [{"job_execution": _STEP}],
        }
    },
    "mrs.cluster.resize": {"cluster": _CLUSTER, "parameters": {"scale_type": "scale_out", "instances": 2}},
    "mrs.cluster.delete": {"cluster": _CLUSTER},
    "mrs.call": {"operation": "ShowClusterDetails", "path": {"cluster_id": _CLUSTER}},
}
"""Request type → example of its `data`."""


def message(kind: str) -> dict[str, Any]:
    """
    Return a whole request of type `kind`, in structured mode.

    Raises:
        KeyError: there is no example for this type.
    """
    number = list(DATA).index(kind) + 4711
    return {"specversion": "1.0", "id": f"order-{number}", "source": "/billing", "type": kind, "data": DATA[kind]}
