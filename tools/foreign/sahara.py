"""OpenStack's Sahara client, whose API MRS V1.1 inherited, as a client that the runner steers."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from keystoneauth1 import session
from keystoneauth1.identity import v3
from saharaclient.api import client as sahara_client
from tools.foreign import lines

_MANAGERS = ("data_sources", "job_binaries", "jobs", "job_executions")
_VERBS = ("create", "list", "get", "update", "delete")
_NOT_OF_MRS = {"job_executions.update"}  # Sahara's own; MRS has no such operation


def main() -> None:
    """Answer calls until the runner ends."""
    login = v3.Password(
        auth_url=f"{lines.ENDPOINT}/v3",
        username="emulator",
        password="emulator-password",  # noqa: S106 - the emulator's, and public
        user_domain_name="emulator-account",
        project_id=lines.PROJECT,
    )
    at = f"{lines.ENDPOINT}/v1.1/{lines.PROJECT}"
    client = sahara_client.Client(session=session.Session(auth=login), sahara_url=at)

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        manager, _, verb = wanted["call"].partition(".")
        reply = getattr(getattr(client, manager), verb)(*wanted["values"], **wanted["fields"])
        return {"reply": [one.to_dict() for one in reply] if isinstance(reply, list) else reply and reply.to_dict()}

    has = [f"{one}.{verb}" for one in _MANAGERS for verb in _VERBS if hasattr(getattr(client, one), verb)]
    methods = [name for name in has if name not in _NOT_OF_MRS]
    lines.serve(importlib.metadata.version("python-saharaclient"), {"": methods}, answer)


if __name__ == "__main__":
    main()
