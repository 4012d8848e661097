"""The vendor's Python SDK as a client that the runner steers; requests are built of the SDK's own models."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.utils import http_utils
from huaweicloudsdkmrs import v1, v2
from tools.foreign import lines

_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")
_APIS: Mapping[str, ModuleType] = {"v1": v1, "v2": v2}


def main() -> None:
    """Answer calls until the runner ends."""
    keys = BasicCredentials(lines.AK, lines.SK, lines.PROJECT)
    clients = {
        api: module.MrsClient.new_builder().with_credentials(keys).with_endpoint(lines.ENDPOINT).build()
        for api, module in _APIS.items()
    }

    def answer(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        api, call = wanted["api"], wanted["call"]
        request = _built(_APIS[api], f"{call}Request", wanted["fields"])
        reply = getattr(clients[api], _SNAKE.sub("_", call).lower())(request)
        return {"status": reply.status_code, "reply": http_utils.sanitize_for_serialization(reply)}

    methods = {api: _methods(module) for api, module in _APIS.items()}
    lines.serve(importlib.metadata.version("huaweicloudsdkmrs"), methods, answer)


def _methods(module: ModuleType) -> list[str]:
    names = [name.removesuffix("Request") for name in dir(module) if name.endswith("Request")]
    return [name for name in names if hasattr(module.MrsClient, _SNAKE.sub("_", name).lower())]


def _built(module: ModuleType, kind: str, value: Any) -> Any:
    """Return JSON as the SDK's model `kind`; what is no model stays as it is."""
    if kind.startswith("list[") and isinstance(value, list):
        return [_built(module, kind[5:-1], one) for one in value]
    model = getattr(module, kind, None)
    if model is None or not isinstance(value, dict):
        return value
    names = {wire: own for own, wire in model.attribute_map.items()}
    return model(**{names[key]: _built(module, model.openapi_types[names[key]], one) for key, one in value.items()})


if __name__ == "__main__":
    main()
