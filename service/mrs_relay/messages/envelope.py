"""
CloudEvents 1.0 and their Kafka binding.

It reads structured mode (`content-type: application/cloudevents+json`), binary mode (`ce_` headers) and a plain JSON
object with the same members, in which `specversion` and `source` may be missing. `events` writes binary or structured.

Reading has two steps so that no message is lost: `read` identifies the request, or raises `BadMessage`, and then only a
dead letter can hold the message; `requests.parse` finds every other fault of an envelope, which becomes a rejection
event that the sender can see.

Header names are read in any case and order, and of two headers of one name the last one counts. A header whose value
is null or empty counts as not sent (a dead letter keeps null as empty), and so does an attribute that is null.

Source: CloudEvents 1.0.2 and its Kafka protocol binding 1.0.2, sections 3, 3.2 and 3.3.
"""

from __future__ import annotations

import base64
import binascii
import decimal
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from mrs_relay import errors
from mrs_relay.messages import codec

MAX_ID: Final = 256
"""The most characters of an id or a source; longer ones are refused."""

STRUCTURED: Final = "application/cloudevents+json"
"""Media type of the structured mode that is read and written."""

_CLOUDEVENTS: Final = "application/cloudevents"
_JSON: Final = "application/json"
_CONTENT_TYPE: Final = "content-type"
_PREFIX: Final = "ce_"
_BINARY_SIGNS: Final = ("ce_specversion", "ce_id", "ce_type")
_UTF8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})

Headers = tuple[tuple[str, bytes], ...]
Decode = Callable[[bytes], Any]

_NOT_TEXT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
"""Control characters, surrogates and noncharacters. Source: CloudEvents 1.0.2, type system, String."""


class Sender(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    Who sent a message, as the message says. It proves nothing: each client of the topic may write any name.

    Source: CloudEvents, auth context extension; its names are the attributes' names.

    Attributes:
        authid: names the sender.
        authtype: the kind of the sender, such as user or api_key.
    """

    authid: str
    authtype: str | None = None


class Envelope(msgspec.Struct, frozen=True):
    """
    A message whose request is identified.

    Attributes:
        id: the request id; with `source` the idempotency key.
        source: who sent it; `/<topic>` where the message names none.
        type: the `type` attribute as found; "" when missing.
        data: the payload as JSON value; None when missing.
        attributes: every other attribute that was found, by lower-case name.
        headers: Kafka headers that are not CloudEvents attributes, such as `traceparent`.
    """

    id: str
    source: str
    type: str
    data: Any
    attributes: Mapping[str, Any]
    headers: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """
        Return attribute or header `name` as short text, else None: such values are passed on, never trusted.

        Numbers and booleans of the structured mode come as CloudEvents writes them as text: `42`, `true`.
        """
        value = self.attributes.get(name, self.headers.get(name))
        if value is None:
            return None
        if not isinstance(value, str):
            value = codec.encode(value).decode() if isinstance(value, int | float | decimal.Decimal) else ""
        return value if len(value) <= MAX_ID * 2 and is_text(value) else None

    @property
    def sender(self) -> Sender | None:
        """Who sent it, as the attributes `authid` and `authtype` say; None: they say nothing."""
        if not (self.attributes or self.headers) or (name := self.text("authid")) is None:
            return None
        return Sender(name, self.text("authtype"))


def is_text(value: str) -> bool:
    """Return whether an attribute may hold this text: not empty, well-formed Unicode, no control characters."""
    return bool(value) and (value.isprintable() or _NOT_TEXT.search(value) is None)


def read(
    topic: str, value: bytes | None, headers: Iterable[tuple[str, bytes | None]], decode: Decode = codec.decode
) -> Envelope:
    """
    Identify the request of a message.

    Args:
        topic: where it was read; names the source if the message does not.
        value: the record's value.
        headers: the record's headers in any order; CloudEvents names in any case.
        decode: parses JSON.

    Raises:
        BadMessage: no request id can be read; only a dead letter can keep this message.
    """
    names = {name.lower(): _header_text(raw) for name, raw in headers if raw} if headers else {}
    content_type = names.get(_CONTENT_TYPE)
    media, charset = _media_type(content_type) if content_type else ("", "")
    structured = media.startswith(_CLOUDEVENTS)
    if not structured and any(sign in names for sign in _BINARY_SIGNS):
        return _binary(topic, value, names, decode)

    if value is None:
        raise errors.BadMessage(
            "no_value", "the record has no value (a tombstone); requests are never deleted that way"
        )
    if structured and media != STRUCTURED:
        raise errors.BadMessage("unreadable_encoding", f"content type {media[:80]!r} is not read; use {STRUCTURED}")
    if charset not in _UTF8:
        raise errors.BadMessage("unreadable_encoding", f"charset {charset[:80]!r} is not read; use UTF-8")

    names.pop(_CONTENT_TYPE, None)
    members = decode(value)
    if not isinstance(members, dict):
        raise errors.BadMessage("not_an_object", f"expected a JSON object, got {json_type(members)}")
    if None in members.values():  # null means absent. Source: CloudEvents JSON format 1.0.2, section 2.2
        members = {name: value for name, value in members.items() if value is not None}
    return _envelope(topic, members, _payload(members, decode), names)


def check_json(content_type: Any) -> None:  # noqa: ANN401 - JSON
    """
    Refuse data that is not declared as JSON in UTF-8.

    Raises:
        BadMessage: code `unreadable_encoding`; says what to declare instead.
    """
    if content_type == _JSON:
        return
    media, charset = _media_type(content_type) if isinstance(content_type, str) else ("", "")
    if not (media.startswith(("application/", "text/")) and media.endswith(("/json", "+json"))) or charset not in _UTF8:
        shown = repr(content_type[:80]) if isinstance(content_type, str) else "that is no text"
        raise errors.BadMessage(
            "unreadable_encoding", f"datacontenttype {shown} is not JSON in UTF-8; use {_JSON}", field="datacontenttype"
        )


def _binary(topic: str, value: bytes | None, names: dict[str, str], decode: Decode) -> Envelope:
    """Read binary mode. NB: no value means an event without data, not a tombstone (section 3.2.2): it gets an event."""
    attributes: dict[str, Any] = {}
    rest: dict[str, str] = {}
    for name, text in names.items():
        if name.startswith(_PREFIX):
            attributes[name.removeprefix(_PREFIX)] = text
        else:
            rest[name] = text

    attributes.setdefault("specversion", "")
    declared = attributes.get("datacontenttype")
    content_type = rest.pop(_CONTENT_TYPE, declared if declared is not None else _JSON)
    attributes["datacontenttype"] = content_type

    # Identify the request first: a fault of its data is then reported to the sender by an event.
    identity = _envelope(topic, attributes, None, rest)
    data: Any
    try:
        _check_agreement(content_type, declared)
        data = decode(value) if value else None
    except errors.BadMessage as error:
        data = error
    return Envelope(identity.id, identity.source, identity.type, data, identity.attributes, identity.headers)


def _check_agreement(content_type: str, declared: str | None) -> None:
    if declared is not None and _kind(declared) != _kind(content_type):
        raise errors.BadMessage(
            "unreadable_encoding",
            f"content-type {content_type[:80]!r} and ce_datacontenttype {declared[:80]!r} disagree; "
            "content-type alone is enough",
            field="datacontenttype",
        )


def _kind(content_type: str) -> tuple[str, str]:
    """Return media type and charset; all names of UTF-8, and an absent charset, are equal."""
    media, charset = _media_type(content_type)
    return media, "" if charset in _UTF8 else charset


def _envelope(topic: str, members: dict[str, Any], data: Any, headers: dict[str, str]) -> Envelope:  # noqa: ANN401 - JSON
    request_id = members.pop("id", None)
    if not isinstance(request_id, str) or len(request_id) > MAX_ID or not is_text(request_id):
        raise errors.BadMessage("bad_id", f"`id`: {_name_wanted(request_id)}", field="id")
    source = members.pop("source", None)
    if source is None:
        source = f"/{topic}"
    if not isinstance(source, str) or len(source) > MAX_ID or not is_text(source) or " " in source:
        raise errors.BadMessage("bad_source", f"`source`: {_name_wanted(source)} or spaces", field="source")
    kind = members.pop("type", "")
    return Envelope(request_id, source, kind if isinstance(kind, str) else "", data, members, headers)


def _name_wanted(found: Any) -> str:  # noqa: ANN401 - JSON
    got = f"{len(found)} characters" if isinstance(found, str) else json_type(found)
    return f"expected text of 1 to {MAX_ID} characters, got {got}; use well-formed Unicode without control characters"


def _payload(members: dict[str, Any], decode: Decode) -> Any:  # noqa: ANN401 - JSON
    encoded = members.pop("data_base64", None)
    if encoded is None or "data" in members:
        return members.pop("data", None)
    try:
        return decode(base64.b64decode(encoded, validate=True))
    except errors.BadMessage as error:
        return error
    except (TypeError, ValueError, binascii.Error) as error:
        return errors.BadMessage("bad_value", f"`data_base64` is not base64: {error}", field="data_base64")


def _header_text(raw: bytes) -> str:
    """Decode a header; bytes that are not UTF-8 become surrogates, so that different ids never read the same."""
    return raw.decode("utf-8", "surrogateescape")


def _media_type(content_type: str) -> tuple[str, str]:
    """Return media type and charset in small letters; other parameters are ignored."""
    media, _, parameters = content_type.lower().partition(";")
    charset = ""
    for parameter in parameters.split(";"):
        name, _, text = parameter.partition("=")
        if name.strip() == "charset":
            charset = text.strip().strip("\"'")
    return media.strip(), charset


def json_type(value: Any) -> str:  # noqa: ANN401 - JSON
    """Name the JSON type of a value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return "a number"
