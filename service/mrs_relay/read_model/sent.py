"""Remember which payload was sent over HTTP under which id, so that another one under it is refused at once."""

from __future__ import annotations

import sqlalchemy as sa

from mrs_relay.common import clock
from mrs_relay.read_model import database, tables


class Sent:
    """
    The memory of sent payloads; the relay's own judgement is the last word, this one only comes sooner.

    Args:
        opened: the database.
        time: the clock.
        remember_s: seconds for which the relays remember a request that has ended.
    """

    def __init__(self, opened: database.Database, time: clock.Clock, remember_s: float) -> None:
        self._database = opened
        self._time = time
        self._remember_ms = round(remember_s * 1000)

    async def note(self, key: bytes, digest: str) -> bool:
        """
        Note a payload before it is sent; False: another one was noted under this key, and the relay knows its request.

        Args:
            key: of the request.
            digest: of its payload.

        Raises:
            DatabaseDown.
        """
        table = tables.SENT
        async with self._database.transaction() as connection:
            insert = database.INSERTS[connection.dialect.name](table)
            values = {"key": key, "digest": digest, "sent_ms": self._time.now_ms()}
            await connection.execute(insert.values(values).on_conflict_do_nothing())
            noted = (await connection.execute(sa.select(table).where(table.c.key == key))).one()
            if noted.digest == digest:
                return True
            if (await connection.execute(self._taken_again(noted))).first() is None:
                return False
            await connection.execute(sa.update(table).where(table.c.key == key).values(values))
        return True

    def _taken_again(self, noted: database.Row) -> sa.Select[tuple[bytes]]:
        """Return a query for the noted request if the relay takes its id with any payload: rejected, or forgotten."""
        requests, before_ms = tables.REQUESTS.c, self._time.now_ms() - self._remember_ms
        is_free = requests.state == "rejected"
        if noted.sent_ms < before_ms:
            is_free |= sa.and_(requests.ended, requests.updated_ms < before_ms)
        return sa.select(requests.key).where(requests.key == noted.key, is_free)
