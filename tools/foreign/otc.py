"""Open Telekom Cloud's extensions of the OpenStack SDK as a client that the runner steers."""

from __future__ import annotations

import importlib.metadata
import types
from collections.abc import Mapping
from typing import Any

import openstack
from otcextensions import sdk
from tools.foreign import lines

_METHODS = ("cluster", "host", "datasource", "jobbinar", "job")


def main() -> None:
    """Answer calls until the runner ends."""
    cloud: Any = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth={
            "auth_url": f"{lines.ENDPOINT}/v3",
            "username": "emulator",
            "password": "emulator-password",
            "user_domain_name": "emulator-account",
            "project_id": lines.PROJECT,
        },
        region_name="cn-north-4",
        mrs_endpoint_override=f"{lines.ENDPOINT}/v1.1/{lines.PROJECT}",
    )
    sdk.register_otc_extensions(cloud)
    names = [name for name in dir(type(cloud.mrs)) if any(part in name for part in _METHODS)]

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = getattr(cloud.mrs, wanted["call"])(*wanted.get("values", ()), **wanted["fields"])
        return {"reply": _plain(reply)}

    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("otcextensions", "openstacksdk")]
    lines.serve(", ".join(versions), {"": [name for name in names if name[0] != "_"]}, answer)


def _plain(reply: Any) -> Any:
    if isinstance(reply, list | tuple | types.GeneratorType):
        return [_plain(one) for one in reply]
    return reply.to_dict() if hasattr(reply, "to_dict") else reply


if __name__ == "__main__":
    main()
