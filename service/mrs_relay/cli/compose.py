"""
Turn flags or files into request messages: CloudEvents 1.0 in structured mode, checked by the relay's own models.

Pure except for new ids. Neighbours: `submit` reads flags and files, `messages.requests` validates.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mrs_relay import errors
from mrs_relay.messages import codec, envelope, requests

SOURCE: Final = "/mrs-relay/cli"
_HEADERS: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
_TOPIC_SHOWN: Final = "requests"


@dataclass(frozen=True, slots=True)
class Defaults:
    """
    The values of absent members of a message.

    Attributes:
        source: CloudEvents source.
        key: Kafka key; None: the cluster id, so that one partition holds one cluster's requests, or the request id
        where the cluster is to be chosen.
        validate: refuse messages that the relay would reject.
    """

    source: str = SOURCE
    key: str | None = None
    validate: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """
    A request message, ready to be sent.

    Attributes:
        id: the request id.
        source: with `id` the idempotency key.
        type: request type.
        key: Kafka key, or None.
        value: the bytes.
        headers: Kafka headers.
    """

    id: str
    source: str
    type: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = _HEADERS


def message(members: Mapping[str, Any], defaults: Defaults) -> Message:
    """
    Complete a whole request message: add `id`, `source` and `specversion` where they are missing.

    Raises:
        BadMessage: the relay would reject it, or (without validation) it has no usable id or source.
    """
    whole: dict[str, Any] = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": defaults.source, **members}
    value = codec.encode(whole)
    read = envelope.read(_TOPIC_SHOWN, value, _HEADERS)
    if defaults.validate:
        requests.parse(read)
    return Message(id=read.id, source=read.source, type=read.type, key=_key(read, defaults), value=value)


def _key(read: envelope.Envelope, defaults: Defaults) -> bytes | None:
    if defaults.key is not None:
        return defaults.key.encode()
    cluster = read.data.get("cluster") if isinstance(read.data, dict) else None
    if isinstance(cluster, dict):
        return read.id.encode()  # the cluster is not chosen yet
    return cluster.encode() if isinstance(cluster, str) and cluster else None


def cluster(text: str) -> str | dict[str, Any]:
    """
    Read the value of `--cluster`: an id, or a choice by name and tags such as `name:etl,tag:team=ads`.

    Raises:
        BadMessage: a part of the choice is neither a name nor a tag.
    """
    if ":" not in text:
        return text
    choice: dict[str, Any] = {}
    for part in text.split(","):
        kind, _, rest = part.partition(":")
        key, equals, value = rest.partition("=")
        if kind == "name" and rest:
            choice["name"] = rest
        elif kind == "tag" and key and equals:
            choice.setdefault("tags", {})[key] = value
        else:
            message = f"--cluster {part!r}: give an id, or name:NAME and tag:KEY=VALUE separated by commas"
            raise errors.BadMessage("bad_value", message, field="data.cluster")
    return choice


def documents(text: bytes) -> list[dict[str, Any]]:
    """
    Find the messages in a file: one JSON object, a list of objects, or one object on each line.

    Raises:
        BadMessage: it is neither; names the position.
    """
    try:
        found = codec.decode(text)
    except errors.BadMessage:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if len(lines) <= 1 or not _is_whole(lines[0][1]):
            raise
        return [_object(_line(number, line), f"line {number}") for number, line in lines]
    if isinstance(found, list):
        return [_object(entry, f"entry {number}") for number, entry in enumerate(found, start=1)]
    return [_object(found, "the file")]


def _is_whole(line: bytes) -> bool:
    try:
        codec.decode(line)
    except errors.BadMessage:
        return False
    return True


def _line(number: int, line: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return codec.decode(line)
    except errors.BadMessage as error:
        raise errors.BadMessage(error.code, f"line {number}: {error.message}") from error


def _object(found: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    if not isinstance(found, dict):
        raise errors.BadMessage("not_an_object", f"{where} is not a JSON object")
    return found
