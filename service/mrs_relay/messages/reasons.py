"""
The reasons of bad ends, as a closed list: subscribers may branch on `class` and `code`, never on the text.

For reasons that come from MRS the code is MRS's own ("0176", "APIGW.0301") or `http_<status>`; all other codes are
listed in `CODES`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import pydantic

ReasonClass = Literal[
    "invalid",
    "not_allowed",
    "conflict",
    "refused",
    "job_failed",
    "job_killed",
    "cancelled",
    "deadline",
    "unresolved",
    "resolved",
    "duplicate",
]

CLASSES: Final[dict[ReasonClass, str]] = {
    "invalid": "the request message is not valid; correct it and send it again",
    "not_allowed": "the tenant's rules do not let the request pass; the message names the rule",
    "conflict": "a second message under a used id is not accepted; the first one continues unchanged",
    "refused": "MRS refused the submission; the code is MRS's",
    "job_failed": "the job or statement ran on MRS and failed",
    "job_killed": "the job was killed on MRS, not by the relay",
    "cancelled": "a message asked for it",
    "deadline": "a deadline of the request passed",
    "resolved": "a person settled it",
    "duplicate": "MRS holds the same submission more than once; one job continues, the others are being stopped",
    "unresolved": "the outcome cannot be determined; look on MRS before you send it again",
}

CODES: Final[dict[str, str]] = {
    "no_value": "the message has no value (a tombstone)",
    "unreadable_json": "the bytes are not JSON",
    "unreadable_batch": "Kafka's batch of messages cannot be unpacked or is damaged, and has been given up by a person",
    "skipped": "a control told the relay to pass the message over",
    "not_an_object": "the JSON is not an object",
    "unreadable_encoding": "the content type is one that is not read here",
    "missing_field": "a required field is missing",
    "wrong_type": "a field has the wrong type",
    "bad_value": "a field's value breaks its rule",
    "unknown_field": "a field that this type does not have",
    "unknown_type": "no such request type",
    "bad_id": "the id is missing, empty, too long or has control characters",
    "bad_source": "the source is empty, too long or has spaces or control characters",
    "bad_specversion": "CloudEvents 1.0 is the only version that is read",
    "too_large": "the message is larger than the service accepts, or than its ledger can hold",
    "too_deep": "the data is nested too deeply",
    "internal_error": "the relay itself failed on this message or job; contact its operator",
    "type_not_allowed": "the tenant does not allow messages of this type",
    "operation_not_allowed": "the tenant does not allow this operation",
    "not_followed": "the call begins work that the tenant's limits do not see; use the request type that follows it",
    "job_type_not_allowed": "the tenant does not allow jobs of this type",
    "cluster_not_allowed": "the tenant does not allow this cluster",
    "results_not_read": "the request asks for rows, and the relay has no folder from which it may read them",
    "logs_not_read": "the request is to be repeated after a cause, and the relay does not read the logs that show it",
    "format_not_allowed": "rows do not come in this format: a setting forbids it, or its library is not installed",
    "path_not_allowed": "the request names an OBS folder outside of the tenant's",
    "deadline_too_long": "the request asks for a longer deadline than the tenant allows",
    "too_many_queued": "as many requests of the tenant wait as may",
    "unknown_request": "there is no request of this source and id, and none came in time",
    "already_asked": "an earlier cancel of the same request waits for it; this one is not needed",
    "no_cluster": "no cluster that runs has the name and the tags that the request asks for",
    "requested": "a cancel message named the request",
    "queue_deadline": "the request waited too long for its submission",
    "run_deadline": "the job ran too long",
    "control_rejected": "a control rejected the request, which had been set aside",
    "by_hand": "a resolve message settled the request",
    "id_reused": "same source and id, another payload",
    "job_result": "MRS reports a job_result other than SUCCEEDED",
    "statement_failed": "the SQL engine reports the statement as failed",
    "cluster_failed": "the cluster did not become what was ordered",
    "cluster_unsettled": "MRS does not show whether the order was carried out",
    "stopped_twin": "a further job of the same submission was found and is being stopped",
    "reply_lost": "the reply to a submission was lost and whether it had an effect cannot be looked up",
    "statement_without_id": "MRS runs the statement but gave it no id, so it cannot be followed",
    "no_outcome": "MRS shows that the job has ended and does not say how",
    "job_vanished": "MRS no longer shows the job",
    "cluster_gone": "the cluster was deleted before MRS showed how the job ended",
    "result_unavailable": "the job succeeded and its result could not be read",
}

MAX_MESSAGE: Final = 2_000
"""The most characters of a foreign message; the rest is cut off."""

MAX_DETAIL: Final = 4_000
"""The most characters of the end of a log."""

Cause = Literal[
    "out_of_memory",
    "class_not_found",
    "table_not_found",
    "permission",
    "preempted",
    "quota",
    "disk",
]

CAUSES: Final[dict[Cause, str]] = {
    "out_of_memory": "a process of the job had too little memory, or its container was ended for taking too much",
    "class_not_found": "a class or module of the program was not found",
    "table_not_found": "a table or view was not found",
    "permission": "the job was not permitted to do what it did",
    "preempted": "the scheduler of the cluster took the job's container back for another job",
    "quota": "a quota of files, space or applications was used up",
    "disk": "a disk had no space left",
}
"""What the log of a job can show clearly; requests name them in `retry.on`."""


class Reason(pydantic.BaseModel):
    """The reason for a bad end, for programs (class, code) and for people (message)."""

    model_config = pydantic.ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    kind: Annotated[ReasonClass, pydantic.Field(alias="class", description="Closed list; branch on this.")]
    code: Annotated[str, pydantic.Field(max_length=64, description="A code of this service, or MRS's own error code.")]
    message: Annotated[str, pydantic.Field(description="For people. Wording may change.")]
    field: Annotated[str | None, pydantic.Field(description="Dotted path of the offending request field.")] = None
    mrs_request_id: Annotated[str | None, pydantic.Field(description="X-Request-Id of the MRS reply, for support.")] = (
        None
    )
    retryable: Annotated[bool, pydantic.Field(description="Whether the same request, sent again, may succeed.")] = False
    cause: Annotated[
        Cause | None,
        pydantic.Field(description="What the job's log shows as the cause; absent where it shows none clearly."),
    ] = None
    detail: Annotated[
        str | None,
        pydantic.Field(description="The end of the job's log, without secrets and the request's own values."),
    ] = None
    log_location: Annotated[str | None, pydantic.Field(description="Path of the log in OBS that was read.")] = None
    detail_unavailable: Annotated[
        str | None, pydantic.Field(description="Why there is no detail although the relay reads logs.")
    ] = None
