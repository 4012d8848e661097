"""Everything that is served, as values: the application and the OpenAPI document are both made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pydantic
from aiohttp import web

from mrs_relay.api import models, problems, requests, streams

JSON: Final = "application/json"
LAST_EVENT_ID: Final = "Last-Event-ID"


@dataclass(frozen=True, slots=True)
class Route:
    """
    One operation.

    Attributes:
        path: as aiohttp and OpenAPI write it.
        name: its operationId.
        summary: one line.
        handler: answers it.
        query: the model of its query parameters.
        answer: the model of its answer.
        others: further content types of its answer, with what they are.
        problems: the statuses of its problems, and when they come.
        headers: header parameters, with what they are.
    """

    path: str
    name: str
    summary: str
    handler: problems.Handler
    query: type[pydantic.BaseModel]
    answer: type[pydantic.BaseModel]
    problems: dict[int, str]
    others: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def routes(asked: requests.Requests, streamed: streams.Streams) -> Sequence[Route]:
    """Return all operations of the API."""
    wrong, limited = "A parameter is wrong or unknown.", "More requests than `api.requests_per_s` allows."
    common = {400: wrong, 403: "A foreign Host or Origin.", 429: limited, 503: "The database does not answer."}
    one = {**common, 404: "No request has this id.", 409: "Several requests have this id: name source and tenant."}
    return (
        Route(
            "/v1/requests",
            "listRequests",
            "List requests, those that began last first.",
            asked.list_requests,
            models.RequestsQuery,
            models.RequestPage,
            common,
        ),
        Route(
            "/v1/requests/{id}",
            "showRequest",
            "Show the present state of a request, with the event that brought it.",
            asked.show_request,
            models.RequestQuery,
            models.RequestDetail,
            one,
        ),
        Route(
            "/v1/requests/{id}/events",
            "listRequestEvents",
            "List the events of a request, in order.",
            asked.list_events,
            models.RequestQuery,
            models.EventList,
            one,
        ),
        Route(
            "/v1/dead-letters",
            "listDeadLetters",
            "List messages that no event could answer, those written last first.",
            asked.list_dead_letters,
            models.DeadLettersQuery,
            models.DeadLetterPage,
            common,
        ),
        Route(
            "/v1/events",
            "streamEvents",
            "Follow events: a stream of server-sent events or of lines of JSON, or with `wait` one answer.",
            streamed.events,
            models.EventsQuery,
            models.EventBatch,
            {**common, 410: "With `wait`: events behind the position are no longer kept; go on after `position`."},
            others={
                "text/event-stream": "The default without `wait`. `data` is CloudEvents JSON, `id` the position behind "
                "it. `event: reset`: events are missing; load /v1/requests again.",
                "application/x-ndjson": "Objects with `position` and either `event`, `reset` or nothing.",
            },
            headers={LAST_EVENT_ID: "As `after`, which wins; sent by browsers that reconnect."},
        ),
    )


def resources(all_routes: Sequence[Route]) -> list[web.RouteDef]:
    """Return the routes as aiohttp takes them."""
    return [web.get(route.path, route.handler) for route in all_routes]
