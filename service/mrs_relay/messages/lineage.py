"""Describe the facet of OpenLineage events that is the relay's own, as a JSON schema."""

from __future__ import annotations

from typing import Any, Final

ATTEMPT: Final = "urn:mrs-relay:lineage:attempt:v1"
"""Id of the schema of the run facet `mrs_attempt`."""

FILE: Final = "lineage/attempt/v1.json"
"""Its file below `schemas/`."""

_TEXTS: Final = {
    "requestSource": "Source of the request.",
    "requestId": "Id of the request.",
    "eventId": "Id of the event on the topic of events that reports the same change.",
    "state": "State that this event reports.",
    "cluster": "MRS cluster id.",
    "operation": "MRS operation that submits the job.",
    "jobName": "Name on MRS, token included.",
    "jobId": "MRS job id, or id of the SQL statement.",
    "jobState": "MRS's state.",
    "jobResult": "MRS's outcome.",
    "appId": "YARN application id.",
    "startedAt": "When MRS began to run it.",
    "finishedAt": "When it ended on MRS.",
    "reason": "Code of the reason of a bad end.",
    "correlationId": "The request's.",
    "traceparent": "The request's.",
}


def attempt_schema() -> dict[str, Any]:
    """Return the schema of `mrs_attempt`: what is not known is left out."""
    texts = {name: {"type": "string", "description": text} for name, text in _TEXTS.items()}
    facet = {"_producer": {"type": "string", "format": "uri"}, "_schemaURL": {"type": "string", "format": "uri"}}
    number = {"attempt": {"type": "integer", "minimum": 1, "description": "Number of the submission."}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ATTEMPT,
        "title": "Run facet mrs_attempt",
        "description": "The attempt that an OpenLineage run is, and its job on MRS.",
        "type": "object",
        "properties": {**facet, **number, **texts},
        "required": ["_producer", "_schemaURL", "attempt", "requestSource", "requestId", "eventId", "state"],
        "additionalProperties": False,
    }
