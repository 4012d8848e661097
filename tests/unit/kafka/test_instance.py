"""Which names a replica may keep through restarts."""

from __future__ import annotations

import pytest

from mrs_relay import settings
from mrs_relay.kafka import instance

_KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "host", "found"),
    [
        (_KUBERNETES, "mrs-relay-0", "mrs-relay-0"),
        (_KUBERNETES, "mrs-relay-1203", "mrs-relay-1203"),
        (_KUBERNETES | {"POD_NAME": "relay-2"}, "node-7", "relay-2"),
        (_KUBERNETES, "mrs-relay-7d9f8b6c5-x2k9z", None),
        (_KUBERNETES, "mrs-relay-7d9f8b6c5-24567", None),
        (_KUBERNETES | {"POD_NAME": "mrs-relay-7d9f8b6c5-x2k9z"}, "node-7", None),
        (_KUBERNETES, "mrs-relay-01", None),
        ({}, "build-1", None),
        ({"POD_NAME": "relay-2"}, "relay-2", None),
    ],
)
def test_only_a_pod_of_a_stateful_set_has_a_name_that_stays(
    environ: dict[str, str], host: str, found: str | None
) -> None:
    """A pod of a Deployment never comes back under its name, and one host may run several replicas."""
    assert instance.stable_name(environ, host) == found


@pytest.mark.parametrize(("variable", "found"), [(None, "mrs-relay-3"), ("replica-b", "replica-b"), ("", None)])
def test_pods_name_is_the_instance_id_unless_another_is_set(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, found: str | None
) -> None:
    """An empty setting means none."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("POD_NAME", "mrs-relay-3")
    if variable is not None:
        monkeypatch.setenv("MRS_RELAY_KAFKA__INSTANCE_ID", variable)
    mrs = {"endpoint": "http://mrs.invalid", "project_id": "p", "access_key": "A", "secret_key": "s"}
    assert settings.load(mrs=mrs).kafka.instance_id == found
