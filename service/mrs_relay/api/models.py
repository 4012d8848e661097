"""
What the HTTP API takes and gives: the OpenAPI document and the checks are made from these models.

Members are only ever added; a reader must pass over those that it does not know.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import pydantic

from mrs_relay.common import clock
from mrs_relay.messages import controls, events

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _is_moment(given: object) -> object:
    if isinstance(given, str) and _RFC3339.fullmatch(given):
        return clock.without_leap_second(given)
    raise ValueError("expected a time such as 2026-03-01T12:00:00Z")


Text = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
Moment = Annotated[pydantic.AwareDatetime, pydantic.BeforeValidator(_is_moment)]
Limit = Annotated[int, pydantic.Field(ge=1, le=500)]
Label = Annotated[Text, pydantic.StringConstraints(pattern=r"^[^=\x00-\x1f\x7f]+=[^\x00-\x1f\x7f]*$")]
Cursor = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=2_000)]
Position = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=60_000)]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class _Query(_Model):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Fault(_Model):
    """What is wrong with one parameter or field."""

    field: str
    message: str


class Problem(_Model):
    """An error, as RFC 9457 describes it."""

    type: Annotated[str, pydantic.Field(description="For programs: one for each cause.")]
    title: str
    status: int
    detail: Annotated[str, pydantic.Field(description="For people: expected, got, what to do.")]
    errors: Annotated[list[Fault] | None, pydantic.Field(description="Each parameter or field that is wrong.")] = None


class Reason(_Model):
    """Why a request ended badly, or waits for another attempt; see the events' `reason`."""

    kind: Annotated[str, pydantic.Field(alias="class")]
    code: str
    message: str


class Mrs(_Model):
    """What MRS last said of the job."""

    job_id: str | None = None
    job_name: str | None = None
    app_id: str | None = None
    progress: float | None = None
    tracking_url: str | None = None


class Request(_Model):
    """The present state of a request, as its last event reports it."""

    tenant: Annotated[
        str,
        pydantic.Field(description='Name of the tenant; "" without tenants, the events\' source if it is not known.'),
    ]
    source: str
    id: str
    type: Annotated[str, pydantic.Field(description="Kind of the request: job, sql, cluster or call.")]
    state: Annotated[str, pydantic.Field(description="State of the last event that changed it.")]
    ended: Annotated[bool, pydantic.Field(description="Whether this is a last state; unknown may still be settled.")]
    sequence: Annotated[int, pydantic.Field(description="Number of the event that brought the state.")]
    attempt: Annotated[int, pydantic.Field(description="Submissions so far.")]
    started_at: Annotated[str, pydantic.Field(description="Time of the first event that is known.")]
    updated_at: Annotated[str, pydantic.Field(description="Time of the event that brought the state.")]
    cluster: str | None = None
    labels: dict[str, str] | None = None
    reason: Reason | None = None
    mrs: Mrs | None = None


class RequestDetail(Request):
    """A request with the whole event that brought its state; the result is in it."""

    last_event: Annotated[
        dict[str, Any] | None, pydantic.Field(description="CloudEvents JSON; see schemas/events/v1.json.")
    ] = None


class RequestPage(_Model):
    """Requests, those that began last first."""

    items: list[Request]
    next: Annotated[
        str | None,
        pydantic.Field(
            description="`cursor` of the next page; missing on the last one. A page may have few items, or none, and "
            "still be followed by another: rare matches are searched step by step."
        ),
    ] = None


class EventList(_Model):
    """The events of one request, in order."""

    items: Annotated[list[dict[str, Any]], pydantic.Field(description="CloudEvents JSON; see schemas/events/v1.json.")]


class EventBatch(_Model):
    """Events behind a position."""

    items: Annotated[list[dict[str, Any]], pydantic.Field(description="CloudEvents JSON; see schemas/events/v1.json.")]
    position: Annotated[
        str,
        pydantic.Field(
            description="`after` of the next call: nothing is repeated or left out. It moves past the others, too."
        ),
    ]


class RequestsQuery(_Query):
    """Filters of requests; all of them must match."""

    tenant: Annotated[str | None, pydantic.Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")] = None
    state: events.State | None = None
    type: Annotated[events.Subject | None, pydantic.Field(description="Kind of the request.")] = None
    cluster: Annotated[Text | None, pydantic.Field(description="MRS cluster id.")] = None
    label: Annotated[Label | None, pydantic.Field(description="name=value")] = None
    reason: Annotated[Text | None, pydantic.Field(description="Class of the reason, such as job_failed.")] = None
    since: Annotated[Moment | None, pydantic.Field(description="First event at this time or later.")] = None
    until: Annotated[Moment | None, pydantic.Field(description="First event before this time.")] = None
    text: Annotated[
        Text | None,
        pydantic.Field(
            description="Part of the id, source, cluster, job name, job id, application id or reason code; any case."
        ),
    ] = None
    limit: Annotated[Limit, pydantic.Field(description="Most items.")] = 50
    cursor: Annotated[Cursor | None, pydantic.Field(description="`next` of the page before, same filters.")] = None


class RequestQuery(_Query):
    """Which of several requests with one id."""

    source: Text | None = None
    tenant: Annotated[str | None, pydantic.Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")] = None


class EventsQuery(_Query):
    """Filters of the stream of events, and where and how it is read."""

    tenant: Annotated[str | None, pydantic.Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")] = None
    state: events.State | None = None
    type: Annotated[events.Subject | None, pydantic.Field(description="Kind of the request.")] = None
    cluster: Annotated[Text | None, pydantic.Field(description="MRS cluster id.")] = None
    label: Annotated[Label | None, pydantic.Field(description="name=value")] = None
    source: Annotated[Text | None, pydantic.Field(description="Source of the request.")] = None
    id: Annotated[Text | None, pydantic.Field(description="Id of the request.")] = None
    after: Annotated[
        Position | Literal["beginning"] | None,
        pydantic.Field(
            description="Id of the last event that was read, or `beginning`; without it, and without the header "
            "Last-Event-ID, only new events come."
        ),
    ] = None
    wait: Annotated[
        float | None,
        pydantic.Field(ge=0, le=60, allow_inf_nan=False, description="Answer once, after so many seconds at most."),
    ] = None
    limit: Annotated[Limit, pydantic.Field(description="Most events of one answer; with `wait` only.")] = 100


class _Body(_Model):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class NewRequest(_Body):
    """A request to send; docs/requests.md shows the types and their data."""

    type: Annotated[str, pydantic.Field(min_length=1, max_length=100, description="Such as mrs.sql.submit.")]
    data: Annotated[dict[str, Any], pydantic.Field(description="As schemas/requests/TYPE/v1.json describes it.")]
    id: Annotated[Text | None, pydantic.Field(description="The idempotency key, unless the header has it.")] = None
    source: Annotated[Text | None, pydantic.Field(description="Who sends it; `api.source` if missing.")] = None
    tenant: Annotated[str, pydantic.Field(max_length=256, description="Which tenant, where there are some.")] = ""
    key: Annotated[Text | None, pydantic.Field(description="Kafka key; the cluster's id if missing.")] = None


class CancelRequest(_Body):
    """Why a request is cancelled."""

    note: Annotated[str, pydantic.Field(max_length=500, description="Why; it comes back in the reason.")] = ""


class ResolveRequest(_Body):
    """How a request that is unknown ended, after a look at MRS."""

    verdict: Literal["succeeded", "failed", "cancelled"]
    note: Annotated[str, pydantic.Field(min_length=1, max_length=500, description="Who says so and why.")]


class RetryRequest(_Body):
    """Why a request is sent again."""

    note: Annotated[str, pydantic.Field(max_length=500, description="Why.")] = ""
    id: Annotated[
        Text | None,
        pydantic.Field(description="Id of the new request, unless Idempotency-Key has it; made of the old one's."),
    ] = None


class Valid(_Model):
    """A request that the relay's models accept; the tenant's rules may still refuse it, see dry-run."""

    type: str
    source: str
    tenant: str


class MrsCall(_Model):
    """A call to MRS, as the relay would send it."""

    operation: str
    method: str
    path: Annotated[
        str,
        pydantic.Field(description="With its query. PROJECT stands for the project, CHOSEN for a cluster to choose."),
    ]
    body: Annotated[dict[str, Any] | list[Any] | None, pydantic.Field(description="Without passwords and keys.")] = None


class DryRun(_Model):
    """What would become of a request."""

    accepted: Annotated[bool, pydantic.Field(description="Whether the relay would accept it.")]
    reason: Annotated[Reason | None, pydantic.Field(description="Why it would be rejected; the rule is in `code`.")] = (
        None
    )
    call: Annotated[MrsCall | None, pydantic.Field(description="What MRS would be asked for at first.")] = None
    chooses_cluster: Annotated[bool, pydantic.Field(description="Whether a cluster is chosen before.")] = False
    not_before: Annotated[str | None, pydantic.Field(description="It waits until then.")] = None
    limits: Annotated[
        dict[str, float] | None, pydantic.Field(description="The tenant's limits; it waits while they are used up.")
    ] = None


class Control(_Model):
    """What the relay is to hold back, set aside or pass over; docs/controls.md describes the modes."""

    scope: Annotated[str, pydantic.Field(description="The requests that it concerns.")]
    mode: controls.Mode
    reason: str
    by: Annotated[str, pydantic.Field(description="Who set it.")]
    at: Annotated[str, pydantic.Field(description="When it was set.")]
    until: Annotated[str | None, pydantic.Field(description="When it ends by itself.")] = None


class ControlsQuery(_Query):
    """Which controls."""

    mode: Annotated[controls.Mode | None, pydantic.Field(description="Only those of this mode.")] = None


class ControlList(_Model):
    """The controls in effect, those set first first."""

    items: list[Control]
    problem: Annotated[str | None, pydantic.Field(description="Why the list may be out of date.")] = None


class NewControl(_Body):
    """A control to set."""

    mode: controls.Mode
    reason: Annotated[
        str,
        pydantic.Field(
            max_length=500, pattern=controls.ONE_LINE, description="For people; required in all modes but release."
        ),
    ] = ""
    by: Annotated[str, pydantic.Field(max_length=200, pattern=controls.ONE_LINE, description="Who sets it.")] = ""
    until: Annotated[Moment | None, pydantic.Field(description="When it ends by itself.")] = None


class Decision(_Model):
    """A decision of a person or a program. The events that `message` caused say what became of it."""

    id: str
    time: str
    action: str
    by: Annotated[str | None, pydantic.Field(description="Who decided; missing without authentication.")] = None
    by_kind: Annotated[str | None, pydantic.Field(description="Kind of the deciding one, such as user.")] = None
    via: Annotated[str, pydantic.Field(description="http or cli; signal or file for rules that a relay read again.")]
    place: Annotated[str | None, pydantic.Field(description="From where: an address, or a host.")] = None
    why: Annotated[str, pydantic.Field(description="The reason given.")]
    tenant: Annotated[str | None, pydantic.Field(description="Missing: it is not about one tenant's requests.")] = None
    subject: Annotated[str, pydantic.Field(description="What it concerns, such as the id of a request.")]
    what: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    message: Annotated[str | None, pydantic.Field(description="Id of the message that carries it out.")] = None


class DecisionPage(_Model):
    """Decisions, the newest first."""

    items: list[Decision]
    next: Annotated[str | None, pydantic.Field(description="`cursor` of the next page; missing on the last one.")] = (
        None
    )


class AuditQuery(_Query):
    """Filters of decisions."""

    tenant: Annotated[str | None, pydantic.Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")] = None
    action: Annotated[Text | None, pydantic.Field(description="Such as cancel.")] = None
    by: Annotated[Text | None, pydantic.Field(description="Who decided.")] = None
    subject: Annotated[Text | None, pydantic.Field(description="What it concerns, such as the id of a request.")] = None
    since: Annotated[Moment | None, pydantic.Field(description="At this time or later.")] = None
    until: Annotated[Moment | None, pydantic.Field(description="Before this time.")] = None
    limit: Annotated[Limit, pydantic.Field(description="Most items.")] = 50
    cursor: Annotated[Cursor | None, pydantic.Field(description="`next` of the page before, same filters.")] = None


class Accepted(_Model):
    """A message that Kafka has; its events say what becomes of it."""

    id: str
    source: str
    tenant: str
    request: Annotated[str, pydantic.Field(description="Path of the request; it is there once its first event is.")]
    events: Annotated[str, pydantic.Field(description="Path of its events.")]
    last_event: Annotated[
        dict[str, Any] | None, pydantic.Field(description="With `Prefer: wait` and status 200: how it ended.")
    ] = None
