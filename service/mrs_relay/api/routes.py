"""Everything that is served, as values: the application and the OpenAPI document are both made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pydantic
from aiohttp import web

from mrs_relay.api import (
    controls,
    decisions,
    letter_models,
    letters,
    models,
    problems,
    relay_models,
    relays,
    replays,
    requests,
    retries,
    streams,
    submissions,
    trials,
)

JSON: Final = "application/json"
LAST_EVENT_ID: Final = "Last-Event-ID"


_COMMON: Final = {
    400: "A parameter is wrong or unknown.",
    401: "Authentication is needed, or the token is not accepted any longer.",
    403: "A foreign Host or Origin, or the caller's role does not suffice.",
    429: "More requests than `api.requests_per_s` allows.",
    503: "The database or Kafka does not answer, or too many streams, calls or messages wait.",
}
_ONE: Final = {
    **_COMMON,
    404: "No request has this id.",
    409: "Several requests have this id: name source and tenant.",
}
_SENT: Final = {
    403: "A foreign Host or Origin, the caller's role does not suffice, or `api.read_only` is set.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "The message would be rejected, or its key was used for another request.",
}


@dataclass(frozen=True, slots=True)
class Route:
    """
    One operation.

    Attributes:
        path: as aiohttp and OpenAPI write it.
        name: its operationId.
        summary: one line.
        handler: answers it.
        query: the model of its query parameters; None: it has none.
        answer: the model of its answer.
        problems: the statuses of its problems, and when they come.
        verb: HTTP method in small letters.
        body: the model of its body.
        others: further content types of its answer, with what they are.
        headers: header parameters, with what they are.
        sends: whether a body becomes a message, so that the status may be 202.
    """

    path: str
    name: str
    summary: str
    handler: problems.Handler
    query: type[pydantic.BaseModel] | None
    answer: type[pydantic.BaseModel]
    problems: dict[int, str]
    verb: str = "get"
    body: type[pydantic.BaseModel] | None = None
    others: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    sends: bool = True


@dataclass(frozen=True, slots=True)
class Handlers:
    """What answers: an object for each subject."""

    asked: requests.Requests
    streamed: streams.Streams
    submitted: submissions.Submissions
    repeated: retries.Retries
    tried: trials.Trials
    controlled: controls.Controls
    noted: decisions.Decisions
    reported: relays.Relays
    lettered: letters.Letters
    replayed: replays.Replays


def routes(handlers: Handlers) -> Sequence[Route]:
    """Return all operations of the API."""
    return (
        *_questions(handlers.asked, handlers.streamed),
        *_of_letters(handlers.lettered, handlers.replayed),
        *_of_relays(handlers.reported),
        *_messages(handlers.submitted, handlers.repeated),
        *_trials(handlers.tried),
        *_controls(handlers.controlled),
        Route(
            "/v1/audit",
            "listDecisions",
            "List the decisions of people and programs, the newest first.",
            handlers.noted.list_decisions,
            models.AuditQuery,
            models.DecisionPage,
            _COMMON,
        ),
    )


def _questions(asked: requests.Requests, streamed: streams.Streams) -> Sequence[Route]:
    return (
        Route(
            "/v1/requests",
            "listRequests",
            "List requests, those that began last first.",
            asked.list_requests,
            models.RequestsQuery,
            models.RequestPage,
            _COMMON,
        ),
        Route(
            "/v1/requests/{id}",
            "showRequest",
            "Show the present state of a request, with the event that brought it.",
            asked.show_request,
            models.RequestQuery,
            models.RequestDetail,
            _ONE,
        ),
        Route(
            "/v1/requests/{id}/events",
            "listRequestEvents",
            "List the events of a request, in order.",
            asked.list_events,
            models.RequestQuery,
            models.EventList,
            _ONE,
        ),
        Route(
            "/v1/events",
            "streamEvents",
            "Follow events: a stream of server-sent events or of lines of JSON, or with `wait` one answer.",
            streamed.events,
            models.EventsQuery,
            models.EventBatch,
            {**_COMMON, 410: "With `wait`: events behind the position are no longer kept; continue after `position`."},
            others={
                "text/event-stream": "The default without `wait`. `data` is CloudEvents JSON, `id` the position behind "
                "it. `event: reset`: events are missing; load /v1/requests again.",
                "application/x-ndjson": "Objects with `position` and either `event`, `reset` or nothing.",
            },
            headers={LAST_EVENT_ID: "As `after`, which wins; sent by browsers that reconnect."},
        ),
    )


def _of_letters(lettered: letters.Letters, replayed: replays.Replays) -> Sequence[Route]:
    return (
        Route(
            "/v1/dead-letters",
            "listDeadLetters",
            "List messages that no event could answer, those written last first.",
            lettered.list_dead_letters,
            letter_models.DeadLettersQuery,
            letter_models.DeadLetterPage,
            _COMMON,
        ),
        Route(
            "/v1/dead-letters/{position}",
            "showDeadLetter",
            "Show a dead letter, to operators of its tenant with its content.",
            lettered.show_dead_letter,
            letter_models.DeadLetterQuery,
            letter_models.DeadLetterDetail,
            {**_COMMON, 404: "No dead letter has this position."},
        ),
        Route(
            "/v1/dead-letters/replay",
            "replayDeadLetters",
            "Send dead letters once more, where they stood; `dry_run` says what would be sent.",
            replayed.replay_dead_letters,
            None,
            letter_models.Replayed,
            {**_COMMON, **_SENT, 422: "The body does not say which, or why."},
            verb="post",
            body=letter_models.ReplayRequest,
            sends=False,
        ),
    )


def _of_relays(reported: relays.Relays) -> Sequence[Route]:
    return (
        Route(
            "/v1/requests/{id}/why",
            "explainRequest",
            "Say what holds a request, in order, and what clears each of it.",
            reported.explain,
            models.RequestQuery,
            relay_models.Why,
            _ONE,
        ),
        Route(
            "/v1/clusters",
            "listClusters",
            "List the clusters in use: slots, queues and pauses, as the relays report them.",
            reported.list_clusters,
            relay_models.ClustersQuery,
            relay_models.ClusterList,
            _COMMON,
        ),
        Route(
            "/v1/tenants",
            "listTenants",
            "List the tenants: what waits and runs, and their limits.",
            reported.list_tenants,
            relay_models.TenantsQuery,
            relay_models.TenantList,
            _COMMON,
        ),
        Route(
            "/v1/queues",
            "listQueues",
            "List the queues: how many wait, what holds the first one, and which are first in line.",
            reported.list_queues,
            relay_models.QueuesQuery,
            relay_models.QueueList,
            _COMMON,
        ),
        Route(
            "/v1/budgets",
            "listBudgets",
            "List the budgets of MRS's operations: used and granted calls a minute.",
            reported.list_budgets,
            relay_models.BudgetsQuery,
            relay_models.BudgetList,
            _COMMON,
        ),
        Route(
            "/v1/partitions",
            "listPartitions",
            "List the partitions of the topics of requests: their owner, state and lag.",
            reported.list_partitions,
            relay_models.PartitionsQuery,
            relay_models.PartitionList,
            _COMMON,
        ),
    )


def _messages(submitted: submissions.Submissions, repeated: retries.Retries) -> Sequence[Route]:
    wrong_state = {409: "Several requests have this id, or its state does not allow it."}
    return (
        Route(
            "/v1/requests",
            "submitRequest",
            "Send a request message; answered when Kafka has it.",
            submitted.submit,
            None,
            models.Accepted,
            {**_COMMON, **_SENT},
            verb="post",
            body=models.NewRequest,
            headers={
                "Idempotency-Key": "Id of the request: the same one again never starts a second job.",
                "Prefer": "wait=N: answer with the last event (status 200) if it comes within N seconds, 60 at most.",
            },
        ),
        Route(
            "/v1/requests/{id}/cancel",
            "cancelRequest",
            "Ask that a request be stopped; its events say whether it was.",
            submitted.cancel,
            models.RequestQuery,
            models.Accepted,
            {**_ONE, **_SENT, **wrong_state},
            verb="post",
            body=models.CancelRequest,
        ),
        Route(
            "/v1/requests/{id}/resolve",
            "resolveRequest",
            "Settle a request that is unknown, after a look at MRS.",
            submitted.resolve,
            models.RequestQuery,
            models.Accepted,
            {**_ONE, **_SENT, **wrong_state},
            verb="post",
            body=models.ResolveRequest,
        ),
        Route(
            "/v1/requests/{id}/retry",
            "retryRequest",
            "Send a request that failed, was cancelled or rejected again, under a new id.",
            repeated.retry,
            models.RequestQuery,
            models.Accepted,
            {**_ONE, **_SENT, **wrong_state, 410: "Its message has left the topic: send a new request."},
            verb="post",
            body=models.RetryRequest,
            headers={"Idempotency-Key": "Id of the new request; made of the old one's id and state if missing."},
        ),
    )


def _trials(tried: trials.Trials) -> Sequence[Route]:
    key = {"Idempotency-Key": "Id that the request would have."}
    return (
        Route(
            "/v1/requests/validate",
            "validateRequest",
            "Say whether a request is valid, with all its faults; nothing is sent.",
            tried.validate,
            None,
            models.Valid,
            {**_COMMON, **_SENT},
            verb="post",
            body=models.NewRequest,
            headers=key,
            sends=False,
        ),
        Route(
            "/v1/requests/dry-run",
            "tryRequest",
            "Say what MRS would be asked for by a request, or why it would be rejected; nothing is sent.",
            tried.dry_run,
            None,
            models.DryRun,
            {**_COMMON, **_SENT},
            verb="post",
            body=models.NewRequest,
            headers=key,
            sends=False,
        ),
    )


def _controls(controlled: controls.Controls) -> Sequence[Route]:
    path = "/v1/controls/{scope}"
    return (
        Route(
            "/v1/controls",
            "listControls",
            "List the controls in effect, such as holds.",
            controlled.list_controls,
            models.ControlsQuery,
            models.ControlList,
            _COMMON,
        ),
        Route(
            path,
            "setControl",
            "Set the control of a scope; answered when Kafka has it, and in effect within a second.",
            controlled.set_control,
            None,
            models.Control,
            {**_COMMON, **_SENT},
            verb="put",
            body=models.NewControl,
        ),
        Route(
            path,
            "liftControl",
            "Lift the control of a scope; answers with the one that was in effect.",
            controlled.lift_control,
            None,
            models.Control,
            {**_COMMON, 403: _SENT[403], 404: "The scope has no control.", 422: "The scope is none."},
            verb="delete",
        ),
    )


def resources(all_routes: Sequence[Route]) -> list[web.RouteDef]:
    """Return the routes as aiohttp takes them."""
    return [web.route(route.verb.upper(), route.path, route.handler) for route in all_routes]
