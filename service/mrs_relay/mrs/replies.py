"""
Interpret a response: return the model on success, raise an error of the tree otherwise.

The class of the error code (`codes`) and the safety class of the operation together choose the error; where no code is
known, the HTTP status does. Source: auth and errors, sections 4 and 5.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import email.utils
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, TypedDict, TypeVar
from urllib.parse import urlsplit

import pydantic

from mrs_relay import errors
from mrs_relay.common import clock, safe_text
from mrs_relay.mrs import codes, error_body, operation, transport
from mrs_relay.mrs.models import base

R = TypeVar("R", bound=base.Reply)

MAX_WAIT_S: Final = 900.0
"""Longest wait that a Retry-After can ask for, in seconds."""

_MIN_WAIT_S: Final = 1.0
_MAX_TEXT: Final = 500
_LEAST_SECRET: Final = 4
"""Shortest secret that is looked for, in characters; a shorter one occurs in any text."""

_PROPERTIES: Final = "properties"
_HANDED_OVER_WORD: Final = "executor"
_SEE_OTHER: Final = frozenset({HTTPStatus.FOUND, HTTPStatus.SEE_OTHER})  # a server may answer so after the effect


class _Facts(TypedDict):
    method: str
    path: str
    status: int | None
    code: str | None
    request_id: str | None


class Reader:
    """
    Read the responses of one connection.

    Args:
        now: the clock.
        throttled_wait_s: seconds to wait after a 429 without a Retry-After.
    """

    def __init__(self, now: clock.Clock, throttled_wait_s: float) -> None:
        self._clock = now
        self._throttled_wait_s = throttled_wait_s

    def read(
        self,
        wanted: operation.Operation[Any, R],
        path: str,
        response: transport.Response,
        secrets: Iterable[str] = (),
    ) -> R:
        """
        Return the reply of a successful call.

        Args:
            wanted: the called operation.
            path: its path, for the error.
            response: the whole response.
            secrets: what the request has shown to prove who we are; an error does not repeat it.

        Raises:
            MrsError: the call failed; the class says what the caller may do.
        """
        try:
            return self._read(wanted, path, response, secrets)
        except errors.MrsError:
            raise
        except Exception as error:
            # The call has been made: an error in reading its reply leaves its outcome open.
            why = f"reading it failed ({type(error).__name__})"
            raise self._unclear(wanted, path, response, why) from error

    def _read(
        self, wanted: operation.Operation[Any, R], path: str, response: transport.Response, secrets: Iterable[str]
    ) -> R:
        says = _without(error_body.parse(response.body), secrets) if response.status not in wanted.accepted else None
        if says is not None and not _is_failed_reply(wanted, response):
            if says.code is None and response.status < HTTPStatus.MULTIPLE_CHOICES:
                raise self._unclear(wanted, path, response, "its status is none that MRS documents")
            raise self._failure(wanted, path, response, says)

        # A success status may carry a failure in the reply itself.
        reply = self._parse(wanted, path, response, secrets)
        hidden = reply.failure()
        if hidden is None:
            return reply
        if not hidden.certain:
            raise self._unclear(wanted, path, response, hidden.message)
        found = error_body.ErrorBody(code=hidden.code, message=hidden.message)
        raise self._failure(wanted, path, response, _without(found, secrets))

    def _parse(
        self, wanted: operation.Operation[Any, R], path: str, response: transport.Response, secrets: Iterable[str]
    ) -> R:
        try:
            reply = wanted.reply.model_validate_json(response.body or b"{}")
        except pydantic.ValidationError as error:
            says = _without(error_body.parse(response.body), secrets)
            if says.code is not None:
                raise self._failure(wanted, path, response, says) from None
            raise self._unclear(wanted, path, response, problems(error)) from error
        reply.keep_request_id(response.request_id)
        return reply

    def _failure(
        self, wanted: operation.AnyOperation, path: str, response: transport.Response, says: error_body.ErrorBody
    ) -> errors.MrsError:
        retry = _retry_class(wanted, response, says)
        facts = _facts(wanted, path, response, says)
        message = self._message(response, says, retry)
        if retry is codes.Retry.WAIT:
            return errors.MrsThrottled(message, retry_after_s=self._wait_s(response), **facts)
        return _KINDS[retry, wanted.safety is operation.Safety.READ](message, **facts)

    def _unclear(
        self, wanted: operation.AnyOperation, path: str, response: transport.Response, why: str
    ) -> errors.MrsError:
        kind = _KINDS[codes.Retry.OPEN, wanted.safety is operation.Safety.READ]
        facts = _facts(wanted, path, response, error_body.ErrorBody())
        return kind(f"the reply of {wanted.name} cannot be read: {why}{_looks(response)}", **facts)

    def _message(self, response: transport.Response, says: error_body.ErrorBody, retry: codes.Retry) -> str:
        meaning = codes.MEANINGS.get(says.code or "")
        if meaning is not None:
            text = meaning.text
        elif response.status < HTTPStatus.MULTIPLE_CHOICES:
            text = "MRS reports a failure"
        else:
            text = f"MRS answered {_phrase(response.status)}"
        if says.message:
            text += ": " + " ".join(says.message.split())[:_MAX_TEXT]
        elif says.code is None:
            text += f" without a reason{_looks(response)}"
        return "; ".join([text, *self._advice(response, says, retry)])

    def _advice(self, response: transport.Response, says: error_body.ErrorBody, retry: codes.Retry) -> list[str]:
        advice = []
        if says.code == codes.CLOCK_OFF:
            advice.append(self._clock_advice(response))
        elif retry is codes.Retry.RENEW:
            advice.append("check access_key, secret_key and security_token, or iam_user and iam_password")
        if says.policy:
            advice.append("a policy denies it: an administrator can decode the message in the reply")
        if location := response.headers.get("Location"):
            elsewhere = urlsplit(location)
            advice.append(f"it points to {elsewhere.scheme}://{elsewhere.hostname}: check endpoint and proxies")
        return advice

    def _clock_advice(self, response: transport.Response) -> str:
        theirs = _http_date(response.headers.get("Date"))
        if theirs is None:
            return "set this machine's clock (NTP), then check access_key and secret_key"
        off_s = self._clock.now_ms() / 1000 - theirs
        return f"this machine's clock is {off_s:+.0f} s off MRS's: set it (NTP); if it is right, check the key pair"

    def _wait_s(self, response: transport.Response) -> float:
        value = response.headers.get("Retry-After", "").strip()
        if value.isdecimal():
            wait_s = float(value)
        elif (moment := _http_date(value)) is not None:
            wait_s = moment - self._clock.now_ms() / 1000
        else:
            wait_s = self._throttled_wait_s
        return min(max(wait_s, _MIN_WAIT_S), MAX_WAIT_S)


def _without(says: error_body.ErrorBody, secrets: Iterable[str]) -> error_body.ErrorBody:
    """Return the content of an error body without secrets of the request."""
    text = says.message
    for secret in sorted((one for one in secrets if len(one) >= _LEAST_SECRET), key=len, reverse=True):
        text = text.replace(secret, "***")
    return dataclasses.replace(says, message=text) if text != says.message else says


_KINDS: Final[dict[tuple[codes.Retry, bool], type[errors.MrsError]]] = {
    (codes.Retry.NEVER, True): errors.MrsRefused,
    (codes.Retry.NEVER, False): errors.MrsRefused,
    (codes.Retry.RENEW, True): errors.MrsRefused,
    (codes.Retry.RENEW, False): errors.MrsRefused,
    (codes.Retry.LATER, True): errors.MrsBusy,
    (codes.Retry.LATER, False): errors.MrsBusy,
    (codes.Retry.REPEAT, True): errors.MrsUntouched,
    (codes.Retry.REPEAT, False): errors.MrsUntouched,
    (codes.Retry.OPEN, True): errors.MrsUntouched,
    (codes.Retry.OPEN, False): errors.MrsAmbiguous,
}
"""Class of the code, and whether the operation is a read → class of the error, which says what the caller may do."""


def wants_new_credentials(response: transport.Response) -> bool:
    """Return whether MRS refused the call, unexecuted, for credentials that newer ones could replace."""
    if response.status < HTTPStatus.BAD_REQUEST:
        return False
    meaning = codes.MEANINGS.get(error_body.parse(response.body).code or "")
    if meaning is None:
        return response.status == HTTPStatus.UNAUTHORIZED
    return meaning.retry is codes.Retry.RENEW


def problems(error: pydantic.ValidationError) -> str:
    """Format the fields and limits that a model found violated; never the values."""
    return "; ".join(
        ": ".join([*([_place(each["loc"])] if each["loc"] else []), each["msg"].removeprefix("Value error, ")])
        for each in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    )


def _place(loc: tuple[int | str, ...]) -> str:
    """Return the dotted path of a field; names within `properties` are the caller's and not shown."""
    end = loc.index(_PROPERTIES) + 1 if _PROPERTIES in loc else len(loc)
    return ".".join(map(safe_text.name, loc[:end]))


def _is_failed_reply(wanted: operation.AnyOperation, response: transport.Response) -> bool:
    """Return whether an error status comes with a normal reply that reports a failure."""
    return (
        wanted.failed_reply
        and response.status >= HTTPStatus.BAD_REQUEST
        and response.status != HTTPStatus.TOO_MANY_REQUESTS
        and error_body.is_failed_reply(response.body)
    )


def _retry_class(
    wanted: operation.AnyOperation, response: transport.Response, says: error_body.ErrorBody
) -> codes.Retry:
    """Return the class of this failure for this operation."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return codes.Retry.WAIT
    meaning = codes.MEANINGS.get(says.code or "")
    if meaning is None:
        return _class_of_status(response.status)

    retry = meaning.for_status(response.status)
    if says.code == codes.HANDED_OVER and _may_be_handed_over(says.message):
        retry = codes.Retry.OPEN

    # A write that must not happen twice: a transient failure leaves its outcome open, unless the table says otherwise.
    if wanted.safety is operation.Safety.NON_REPEATABLE_WRITE:
        if meaning.once is not None:
            return meaning.once
        if retry is codes.Retry.REPEAT:
            return codes.Retry.OPEN
    return retry


def _class_of_status(status: int) -> codes.Retry:
    """Return the class of a failure without a known code, or of a success status that comes with a failure."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _SEE_OTHER:
        return codes.Retry.OPEN
    if status == HTTPStatus.REQUEST_TIMEOUT:  # the server gave up before it had the whole request
        return codes.Retry.REPEAT
    if status == HTTPStatus.UNAUTHORIZED:
        return codes.Retry.RENEW
    return codes.Retry.NEVER


def _may_be_handed_over(message: str) -> bool:
    """Return whether MRS.0011 may mean a failed hand-over; a text that is not English leaves it open."""
    return not message or not message.isascii() or _HANDED_OVER_WORD in message.lower()


def _facts(
    wanted: operation.AnyOperation, path: str, response: transport.Response, says: error_body.ErrorBody
) -> _Facts:
    return {
        "method": wanted.verb,
        "path": path,
        "status": response.status,
        "code": says.code,
        "request_id": response.request_id or says.request_id,
    }


def _looks(response: transport.Response) -> str:
    """Describe a body that is not JSON, without showing it."""
    if not response.body.strip():
        return " (empty body)"
    kind = response.headers.get("Content-Type", "").split(";", 1)[0].strip() or "unnamed type"
    return "" if kind.endswith("json") else f" ({len(response.body)} bytes of {kind})"


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _http_date(value: str | None) -> float | None:
    """Return the seconds since the epoch of an HTTP date, or None."""
    if not value:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp()
