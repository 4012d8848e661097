"""Keep who decided what over HTTP, and answer with what was decided, here and elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from mrs_relay.api import models, replies, writing
from mrs_relay.api.access import callers, scopes
from mrs_relay.client import auditing
from mrs_relay.common import clock
from mrs_relay.messages import audit, envelope
from mrs_relay.read_model import database, queries


class Decisions:
    """
    The handler of the audit, and what notes decisions in it.

    Args:
        opened: the database.
        trail: writes the records.
    """

    def __init__(self, opened: database.Database, trail: auditing.AuditTrail) -> None:
        self._database = opened
        self._trail = trail

    async def note(self, caller: callers.Caller, subject: str, data: audit.Data) -> None:
        """
        Note a decision before it is carried out.

        Raises:
            ProblemError: Kafka has not acknowledged it: nothing must be carried out.
        """
        sender = None if caller.name is None else envelope.Sender(caller.name, caller.kind)
        unknown = "Kafka has not taken the record of the decision, so nothing was sent: try again"
        with writing.answered("record of the decision", unknown):
            await self._trail.write(sender, (subject, data))

    async def list_decisions(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of decisions."""
        return replies.reply(request, await self.page(replies.query(request, models.AuditQuery), scopes.of(request)))

    async def page(self, query: models.AuditQuery, scope: scopes.Scope) -> models.DecisionPage:
        """
        Return a page of decisions.

        Raises:
            ProblemError: the caller may not see them, or the cursor is not one of ours. DatabaseDown.
        """
        scope.require_named(query.tenant)
        chosen = queries.DecisionFilter(
            tenant=query.tenant,
            action=query.action,
            by=query.by,
            subject=query.subject,
            since_ms=None if query.since is None else queries.milliseconds(query.since),
            until_ms=None if query.until is None else queries.milliseconds(query.until),
            visible=scope.tenants,
        )
        after = replies.place(query.cursor, queries.RecordPageEnd, chosen)
        found, following = await queries.decisions(self._database, chosen, after, query.limit)
        items = [_shown(audit.read(text.encode())) for text in found]
        return models.DecisionPage(items=items, next=replies.cursor(following, chosen))


def of_request(row: Mapping[str, Any], action: str, message_id: str, caller: callers.Caller, **more: Any) -> audit.Data:  # noqa: ANN401 - fields of a decision
    """Return the decision on a request of the read model."""
    return audit.Data(
        action=action,
        via="http",
        place=caller.place,
        tenant=row["tenant"],
        what={"id": row["id"], "source": row["source"]},
        before={"state": row["state"]},
        message=message_id,
        **more,
    )


def _shown(record: audit.Record) -> models.Decision:
    data, sender = record.data, record.sender
    return models.Decision(
        id=record.id,
        time=clock.shown(record.time_ms),
        action=data.action,
        by=sender and sender.authid,
        by_kind=sender and sender.authtype,
        via=data.via,
        place=data.place,
        why=data.why,
        tenant=data.tenant,
        subject=record.subject,
        what=dict(data.what),
        before=dict(data.before),
        after=dict(data.after),
        message=data.message,
    )
