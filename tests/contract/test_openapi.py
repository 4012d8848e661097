"""The OpenAPI document is valid and true: schemathesis asks all that it allows, and much that it does not."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.core import result
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.support import cells, web_role

_EXAMPLES = 15
_OPAQUE = {"cursor", "after", "Last-Event-ID"}
_SLOW = list(hypothesis.HealthCheck)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A role with some requests in a thread of its own, because schemathesis blocks the test's."""
    loop, started, url = asyncio.new_event_loop(), threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        stage = web_role.Stage()
        await stage.put(*web_role.story("r-1", cluster="c-1", labels={"team": "a"}), web_role.failed("r-2"))
        await stage.put(web_role.letter(1))
        async with web_role.role(stage) as client:
            url.append(client.url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield url[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _narrowed(address: str) -> dict[str, Any]:
    """Return the document without the parameters whose texts only the service can make, and with ids that there are."""
    with urllib.request.urlopen(f"{address}/v1/openapi.json") as response:
        document: dict[str, Any] = json.load(response)
    for path in document["paths"].values():
        for one in path.values():
            one["parameters"] = [parameter for parameter in one["parameters"] if parameter["name"] not in _OPAQUE]
            for parameter in one["parameters"]:
                if parameter["in"] == "path" and parameter["name"] == "id":
                    parameter["schema"] = {"type": "string", "enum": ["r-1", "r-2", "r-3"]}
    return document


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_answer_is_one_that_the_document_describes(address: str, mode: schemathesis.GenerationMode) -> None:
    """Statuses, content types and bodies; wrong parameters are refused and right ones accepted."""
    schema = schemathesis.openapi.from_dict(_narrowed(address))
    schema.config.update(base_url=address)
    answered: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        assert isinstance(found, result.Ok)
        operation = found.ok()

        @hypothesis.settings(max_examples=_EXAMPLES, derandomize=True, suppress_health_check=_SLOW)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            if case.path == "/v1/events":  # an endless stream without it
                case.query = {**(case.query or {}), "wait": 0}
            # What the data of a request must be depends on its type, and which modes a scope has on its kind; of a
            # request to retry the topic must have the message.
            depends = case.method == "PUT" or (case.method == "POST" and "{id}" not in case.path)
            depends = depends or case.path.endswith("/retry")
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance] if depends else [])
            answered.setdefault(case.operation.label, set()).add(response.status_code)

        with cells.cell(operation.label):
            ask()

    document = schema.raw_schema["paths"]
    assert answered.keys() == {f"{verb.upper()} {path}" for path, one in document.items() for verb in one}
    if mode is schemathesis.GenerationMode.POSITIVE:
        of_one = {label: found for label, found in answered.items() if "/{id}" in label}
        assert not [label for label, found in of_one.items() if not found & {200, 202, 409, 410}], of_one


async def test_the_document_describes_every_route() -> None:
    """What is served is described, and the other way round."""
    async with web_role.role(web_role.Stage()) as client:
        document = await client.get("/v1/openapi.json")
        assert document["openapi"] == "3.1.0"

        assert list(document["paths"]) == [
            "/v1/requests",
            "/v1/requests/{id}",
            "/v1/requests/{id}/events",
            "/v1/events",
            "/v1/dead-letters",
            "/v1/dead-letters/{position}",
            "/v1/dead-letters/replay",
            "/v1/requests/{id}/why",
            "/v1/clusters",
            "/v1/tenants",
            "/v1/queues",
            "/v1/budgets",
            "/v1/partitions",
            "/v1/requests/{id}/cancel",
            "/v1/requests/{id}/resolve",
            "/v1/requests/{id}/retry",
            "/v1/requests/validate",
            "/v1/requests/dry-run",
            "/v1/controls",
            "/v1/controls/{scope}",
            "/v1/audit",
        ]

        assert list(document["paths"]["/v1/requests"]) == ["get", "post"]

        parameters = {one["name"] for one in document["paths"]["/v1/requests"]["get"]["parameters"]}
        assert {"tenant", "state", "type", "cluster", "label", "reason", "since", "until", "text"} <= parameters
