"""
Every refusal a client can meet, in the body shape that the documents show for it.

Handlers raise a `Refusal`; `core.py` turns it into a reply. Messages are English and not stable, as with the real
service.

Source: API reference, error code tables and samples (2021 to 2025); gateway messages: API signing guide and FAQs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mrs_emulator.core import wire

_TEXTS: Mapping[str, str] = {
    "0056": "Jobs cannot be submitted because the cluster is in the {state} state.",
    "0057": "Spark jobs cannot be submitted.",
    "0160": "Failed to kill the job.",
    "0165": "The SQL statement is invalid.",
    "0168": "Hive jobs cannot be submitted.",
    "0169": "Flink jobs cannot be submitted.",
    "0172": "Failed to collect the SQL job result.",
    "0173": "Failed to submit the job: {why}.",
    "0175": "Failed to kill the job.",
    "0176": "The job does not exist.",
    "0177": "The number of jobs running in each cluster cannot exceed {slots}.",
    "0179": "The operation is supported only for SparkSql and SparkScript jobs.",
    "0180": "The job is being submitted. Try again later.",
    "0181": "The SQL job result is empty.",
    "0182": "Failed to read the SQL job result.",
    "0183": "The job is running.",
    "0202": "Too many jobs are being submitted. Try again later.",
}

_GATEWAY_TEXTS: Mapping[int, tuple[str, str]] = {
    500: ("APIGW.0601", "Internal server error"),
    502: ("APIGW.0201", "Backend unavailable"),
    503: ("APIGW.0613", "IAM unavailable"),
    504: ("APIGW.0201", "Backend timeout"),
}


class Refusal(Exception):  # noqa: N818 - named for what it is to the client
    """
    A request that is answered with an error.

    Attributes:
        status: HTTP status of current versions.
        payload: members of the JSON body.
        gateway: the gateway refused, so the body repeats the request id.
        older_status: HTTP status that older versions used, when it differs.
    """

    def __init__(
        self, status: int, payload: Mapping[str, Any], *, gateway: bool = False, older_status: int | None = None
    ) -> None:
        super().__init__(payload.get("error_code") or payload.get("errorCode") or "refused")
        self.status = status
        self.payload = payload
        self.gateway = gateway
        self.older_status = older_status

    def reply(self, request_id: str, *, older: bool) -> wire.Reply:
        """Return the reply that carries this refusal; `older` chooses the status of older versions."""
        status = self.older_status if older and self.older_status is not None else self.status
        return wire.as_json(status, {**self.payload, "request_id": request_id} if self.gateway else self.payload)


def business(code: str, **facts: object) -> Refusal:
    """Refuse with a four-digit code of the job operations: 400 today, 500 in older versions."""
    message = _TEXTS[code].format(**facts)
    return Refusal(400, {"error_code": code, "error_msg": message}, older_status=500)


def invalid(what: str) -> Refusal:
    """Refuse with 12000002: a parameter is missing or wrong; `what` says which and why."""
    return Refusal(400, {"error_code": "12000002", "error_msg": f"The parameter is invalid: {what}."})


def unknown_cluster() -> Refusal:
    """Refuse with 12000003, in the camelCase keys that clients have seen for it."""
    return Refusal(400, {"errorCode": "12000003", "errorMsg": "The cluster does not exist."})


_CLUSTER_TEXTS: Mapping[str, str] = {
    "12000012": "A task is running in the cluster, or the cluster is not running: {state}.",
    "12000013": "Scale-in failed: {why}.",
    "12000017": "The cluster is not running and cannot be scaled: {state}.",
    "12000018": "The cluster is being scaled.",
    "12000021": "A cluster in the {state} state cannot be terminated.",
    "12000024": "A yearly/monthly cluster cannot be terminated.",
    "12000028": "The number of Core and Task nodes exceeds the maximum of {most}.",
    "12000043": "Duplicate cluster name: {name}.",
    "12000048": "The product specification {flavor} is unknown.",
    "12000053": "The billing type is invalid.",
    "12000054": "The operation is not supported: {why}.",
    "12000065": "A yearly/monthly cluster cannot be scaled.",
    "12000093": "The metadata of version {version} is not found.",
    "12000123": "The Task node information cannot be updated: the cluster has Task nodes.",
    "12000209": "The VPC ID or the VPC name is needed.",
    "12000210": "The subnet ID or the subnet name is needed.",
}


def of_cluster(code: str, **facts: object) -> Refusal:
    """Refuse with a code of the cluster operations; 400 for all of them."""
    return Refusal(400, {"error_code": code, "error_msg": _CLUSTER_TEXTS[code].format(**facts)})


def too_many_tags(most: int) -> Refusal:
    """Refuse with 12005001: a cluster would have more tags than it may."""
    return Refusal(400, {"error_code": "12005001", "error_msg": f"A cluster can have at most {most} tags."})


def illegal_tag(why: str) -> Refusal:
    """Refuse with 12005002: a tag breaks the rules."""
    return Refusal(400, {"error_code": "12005002", "error_msg": f"The tag is illegal: {why}."})


def no_such_tag() -> Refusal:
    """Refuse with 12005003: the cluster has no tag with this key; the one 404 of MRS."""
    return Refusal(404, {"error_code": "12005003", "error_msg": "The tag key does not exist."})


def wrong_project() -> Refusal:
    """Refuse with 12000107: the path names a project that is not this one."""
    return Refusal(400, {"error_code": "12000107", "error_msg": "The project ID is invalid."})


def sql_impossible(why: str) -> Refusal:
    """Refuse with MRS.0011: the cluster cannot take a SQL request; the key is `message`, unlike everywhere else."""
    return Refusal(400, {"error_code": "MRS.0011", "message": why}, older_status=500)


def cancel_failed() -> Refusal:
    """Refuse with the one failure of CancelSql; it has no error code at all."""
    return Refusal(400, {"status": "FAILED", "message": "Cancel sql error"}, older_status=500)


def internal() -> Refusal:
    """Refuse with 12000004: the emulator itself failed; its log says more."""
    return Refusal(500, {"error_code": "12000004", "error_msg": "Internal server error."})


def gateway(status: int, code: str, message: str) -> Refusal:
    """Refuse as the gateway does, before MRS sees the request."""
    return Refusal(status, {"error_msg": message, "error_code": code}, gateway=True)


def no_such_api() -> Refusal:
    """Refuse with APIGW.0101: no operation has this verb and path."""
    return gateway(404, "APIGW.0101", "The API does not exist or has not been published in the environment")


def not_authentic(why: str) -> Refusal:
    """Refuse with APIGW.0301: signature, key or token is wrong; `why` is one of the documented endings."""
    return gateway(401, "APIGW.0301", f"Incorrect IAM authentication information: {why}")


def skewed(signed_at: str, now: str) -> Refusal:
    """Refuse with APIGW.0303: X-Sdk-Date is more than 15 minutes away from the gateway's clock."""
    detail = f"signature expired, signature time:{signed_at},server time:{now}"
    return gateway(401, "APIGW.0303", f"Incorrect app authentication information: {detail}")


def not_allowed() -> Refusal:
    """Refuse with APIGW.0302: the caller is known, and may not call MRS."""
    return gateway(403, "APIGW.0302", "The IAM user is not allowed to access the API")


def token_to_renew() -> Refusal:
    """Refuse with APIGW.0307: the token is dead; the other answer to that is APIGW.0301."""
    return gateway(401, "APIGW.0307", "The token must be updated")


def foreign_project() -> Refusal:
    """Refuse with APIGW.0310: X-Project-Id names a project that is not available."""
    return gateway(403, "APIGW.0310", "The project is unavailable")


def too_large() -> Refusal:
    """Refuse with APIGW.0201: the body of a signed request is over 12 MB."""
    return gateway(413, "APIGW.0201", "Request entity too large")


def throttled(per_minute: int) -> Refusal:
    """Refuse with APIGW.0308: the calls of this minute are used up; the request was not executed."""
    limit = f"policy user over ratelimit,limit:{per_minute},time:1 minute"
    return gateway(429, "APIGW.0308", f"The throttling threshold has been reached: {limit}")


def scripted(status: int) -> Refusal:
    """Return what the gateway would say with this status; used by faults that name no body."""
    if status == 429:  # noqa: PLR2004 - the HTTP status itself
        return throttled(60)
    code, message = _GATEWAY_TEXTS.get(status, ("APIGW.0601", "Scripted failure"))
    return gateway(status, code, message)
