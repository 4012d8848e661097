"""
Register schemas in a Confluent-compatible schema registry, over its REST API.

A subject is `<topic>-<type>`: the strategy for topics that hold messages of several types. Neighbour: `cli.schemas`.

Source: Confluent Schema Registry API reference, "Subjects", "Compatibility" and "Errors".
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mrs_relay import errors
from mrs_relay.messages import registry, schema

if TYPE_CHECKING:  # other commands start faster without it
    import aiohttp

_MEDIA: Final = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_S: Final = 20.0
_NOT_FOUND: Final = 404
_REFUSED: Final = frozenset({400, 409, 422})
_DENIED: Final = frozenset({401, 403})
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Registry:
    """
    Address and credentials of a schema registry.

    Attributes:
        url: address without the path of the API.
        user: for HTTP basic authentication; None for none.
        password: the same.
    """

    url: str
    user: str | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The registry's answer for one subject.

    Attributes:
        subject: its name.
        said: the answer, for people.
        fine: whether the schema is registered, or could be.
    """

    subject: str
    said: str
    fine: bool = True


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Any

    @property
    def message(self) -> str:
        message = self.body.get("message") if isinstance(self.body, dict) else None
        return f"{message or 'no reason given'} (status {self.status})"


def subjects(requests_topic: str, events_topic: str) -> dict[str, schema.Schema]:
    """Return every schema by its subject."""
    made = {f"{requests_topic}-{kind}": schema.request(kind) for kind in sorted(registry.REQUESTS)}
    return made | {f"{events_topic}-{kind}": schema.event(kind) for kind in registry.EVENTS}


async def register(place: Registry, wanted: Mapping[str, schema.Schema], *, dry_run: bool = False) -> list[Answer]:
    """
    Register each schema under its subject, one after the other; a registered schema stays as it is.

    Args:
        place: the registry.
        wanted: schemas by subject.
        dry_run: only ask whether the registry would accept them.

    Raises:
        SettingsError: the address or the credentials are wrong.
        StreamDown: the registry cannot be reached.
    """
    import aiohttp  # noqa: PLC0415 - the other commands start sooner without it

    if "@" in urllib.parse.urlsplit(place.url).netloc:
        raise errors.SettingsError("--registry must not hold a name or password; use --user and its variable")
    limit = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    headers = {"Accept": _MEDIA, "Content-Type": _MEDIA, **_credentials(place)}
    try:
        async with aiohttp.ClientSession(timeout=limit, headers=headers) as session:
            door = _Door(session, place.url.rstrip("/"))
            one = door.probe if dry_run else door.register
            return [await one(subject, made) for subject, made in wanted.items()]
    except aiohttp.InvalidURL as error:
        raise errors.SettingsError(f"--registry {place.url!r} is no address; use http://HOST:PORT") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        text = str(error) or type(error).__name__
        raise errors.StreamDown(
            f"the schema registry at {place.url} does not answer: {text}; see --registry"
        ) from error


def _credentials(place: Registry) -> dict[str, str]:
    if not place.user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{place.user}:{place.password}".encode()).decode()}


class _Door:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def register(self, subject: str, made: schema.Schema) -> Answer:
        """Register one schema; the registry gives the same id to the same schema."""
        answer = await self._post(f"/subjects/{subject}/versions", made)
        if answer.status == _OK:
            return Answer(subject, f"registered as schema {answer.body.get('id')}")
        return Answer(subject, f"refused: {answer.message}", fine=False)

    async def probe(self, subject: str, made: schema.Schema) -> Answer:
        """Ask whether the schema fits the latest one of its subject."""
        answer = await self._post(f"/compatibility/subjects/{subject}/versions/latest", made)
        if answer.status == _NOT_FOUND:
            return Answer(subject, "new, would be registered")
        if answer.status == _OK and answer.body.get("is_compatible") is True:
            return Answer(subject, "compatible, would be registered")
        problem = answer.message if answer.status != _OK else "not compatible with its latest version"
        return Answer(subject, f"would be refused: {problem}", fine=False)

    async def _post(self, path: str, made: schema.Schema) -> _Answer:
        body = {"schemaType": "JSON", "schema": json.dumps(made, ensure_ascii=False)}
        async with self._session.post(self._url + path, data=json.dumps(body)) as reply:
            answer = _Answer(reply.status, _parsed(await reply.read()))
        if answer.status in _DENIED:
            raise errors.SettingsError(
                f"the schema registry at {self._url} refuses these credentials: {answer.message}; "
                "see --user and MRS_RELAY_REGISTRY_PASSWORD"
            )
        fits = isinstance(answer.body, dict)
        if not fits or answer.status not in {_OK, _NOT_FOUND, *_REFUSED}:
            raise errors.StreamDown(
                f"{self._url} does not answer as a schema registry does: {answer.message}; see --registry"
            )
        return answer


def _parsed(raw: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(raw)
    except ValueError:
        return None
