"""Answer questions about dead letters: from the read model, and their content from Kafka, which alone holds it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from mrs_relay import errors
from mrs_relay.api import letter_models, problems, replies
from mrs_relay.api.access import callers, scopes
from mrs_relay.client import replaying
from mrs_relay.common import clock
from mrs_relay.kafka import topic_io
from mrs_relay.messages import dead_letters
from mrs_relay.read_model import database, queries
from mrs_relay.read_model import letters as letter_rows

_READ_S: Final = 20.0
_AT_ONCE: Final = 4
"""Calls that read dead letters in Kafka at the same time; further ones wait."""

_log = structlog.get_logger(__name__)


class Letters:
    """
    The handlers of dead letters.

    Args:
        opened: the database.
        kafka: reads the topics of dead letters.
    """

    def __init__(self, opened: database.Database, kafka: topic_io.TopicClient) -> None:
        self._database = opened
        self._kafka = kafka
        self._reading = asyncio.Semaphore(_AT_ONCE)

    async def list_dead_letters(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of dead letters."""
        query = replies.query(request, letter_models.DeadLettersQuery)
        return replies.reply(request, await self.page(query, scopes.of(request)))

    async def show_dead_letter(self, request: web.Request) -> web.StreamResponse:
        """Answer with one dead letter, to those who may with its content."""
        replies.query(request, letter_models.DeadLetterQuery)
        return replies.reply(request, await self.detail(request))

    async def page(self, query: letter_models.DeadLettersQuery, scope: scopes.Scope) -> letter_models.DeadLetterPage:
        """
        Return a page of dead letters that the caller may see.

        Raises:
            ProblemError: the tenant is not the caller's, or the cursor is not one of ours. DatabaseDown.
        """
        scope.require_named(query.tenant)
        filters = filter_of(query, scope.visible)
        after = replies.place(query.cursor, queries.RecordPageEnd, filters)
        rows, following = await letter_rows.page(self._database, filters, after, query.limit)
        items = [letter_models.DeadLetter(**_members(row)) for row in rows]
        return letter_models.DeadLetterPage(items=items, next=replies.cursor(following, filters))

    async def detail(self, request: web.Request) -> letter_models.DeadLetterDetail:
        """
        Return the dead letter that the path names; its content only for operators of its tenant.

        Raises:
            ProblemError: there is none, or Kafka does not answer. DatabaseDown.
        """
        row = await self.one(request)
        content: letter_models.Content | None = None
        withheld: str | None = None
        if not scopes.of(request).caller.may(callers.Role.OPERATOR, row["tenant"]):
            withheld = "the content is the sender's own data, which operators of the tenant see"
        elif (letter := (await self.contents([row]))[0]) is None:
            withheld = "the message is no longer in the topic of dead letters"
        else:
            content = _content(letter)
        return letter_models.DeadLetterDetail(**_members(row), content=content, withheld=withheld)

    async def one(self, request: web.Request) -> Mapping[str, Any]:
        """
        Return the row of the dead letter that the path names, for whose tenant the caller has the role of the route.

        Raises:
            ProblemError: there is none, or the caller's role does not suffice. DatabaseDown.
        """
        position, scope = request.match_info["position"], scopes.of(request)
        found = [] if "\0" in position else await self.at([position], scope.visible)
        if not found:
            text = f"there is no dead letter of {position[:300]!r}; it may be new, or forgotten after its time"
            raise problems.ProblemError(404, "no-such-dead-letter", text)
        scope.require(found[0]["tenant"])
        return found[0]

    async def at(self, positions: Sequence[str], visible: frozenset[str] | None) -> Sequence[Mapping[str, Any]]:
        """Return the newest row of each message that stood at one of these positions. Raises DatabaseDown."""
        found = await letter_rows.at(self._database, positions, visible)
        newest = {row["position"]: row for row in found}  # the last one wins
        return [newest[one] for one in dict.fromkeys(positions) if one in newest]

    async def contents(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[dead_letters.DeadLetter | None]:
        """
        Return the messages of dead letters as Kafka holds them; None: it is gone.

        Raises:
            ProblemError: Kafka does not answer, or not in time. DatabaseDown.
        """
        places = await letter_rows.places(self._database, {row["log"] for row in rows})
        by_topic: dict[str, set[replaying.Place]] = {}
        for row in rows:
            topic, partition = places[row["log"]]
            by_topic.setdefault(topic, set()).add((partition, row["offset"]))

        found: dict[tuple[str, int, int], dead_letters.DeadLetter] = {}
        try:
            async with asyncio.timeout(_READ_S), self._reading:
                for topic, wanted in by_topic.items():
                    read = await replaying.at(self._kafka, topic, wanted)
                    found |= {(topic, *place): letter for place, letter in read.items()}
        except TimeoutError:
            raise problems.unavailable(f"Kafka has not given the messages within {_READ_S:.0f} s: try again") from None
        except errors.SettingsError as error:
            _log.warning("topic_not_read", error=str(error))
            raise problems.unavailable(str(error)) from None
        letters = [found.get((*places[row["log"]], row["offset"])) for row in rows]
        # In a topic that was made again another message may stand at the place.
        return [
            letter if letter is not None and letter.position == row["position"] else None
            for row, letter in zip(rows, letters, strict=True)
        ]


def filter_of(query: letter_models.DeadLettersQuery, tenants: frozenset[str] | None) -> letter_rows.Filter:
    """Return which dead letters a query asks for, of some tenants; None: of all."""
    until_ms = None if query.until is None else queries.milliseconds(query.until)
    return letter_rows.Filter(query.tenant, query.code, until_ms, tenants)


def _members(row: Mapping[str, Any]) -> dict[str, Any]:
    same = ("tenant", "position", "code", "message", "size_bytes")
    times = {"written_at": clock.shown(row["written_ms"]), "sent_at": clock.shown(row["sent_ms"])}
    return {**{name: row[name] for name in same}, **times}


def _content(letter: dead_letters.DeadLetter) -> letter_models.Content:
    return letter_models.Content(
        key_base64=_base64(letter.key),
        value_base64=_base64(letter.value),
        text=_text(letter.value),
        headers=[
            letter_models.Header(name=_printable(name), value_base64=_base64(raw or b"") or "")
            for name, raw in letter.headers
        ],
        cut=bool(letter.cut),
        replay_of=letter.origin if letter.origin != letter.position else None,
    )


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _printable(name: str) -> str:
    """Return the name of a header; one that is not UTF-8 was read with lone surrogates, which JSON cannot hold."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
