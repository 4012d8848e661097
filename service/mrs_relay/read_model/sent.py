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
    """

    def __init__(self, opened: database.Database, time: clock.Clock) -> None:
        self._database = opened
        self._time = time

    async def note(self, key: bytes, digest: str) -> bool:
        """
        Note a payload before it is sent; False: another one was noted under this key.

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
            known = (await connection.execute(sa.select(table.c.digest).where(table.c.key == key))).scalar_one()
        return bool(known == digest)

    async def replace(self, key: bytes, digest: str) -> None:
        """Note another payload under the key of a request that was rejected. Raises DatabaseDown."""
        table = tables.SENT
        async with self._database.transaction() as connection:
            noted = sa.update(table).where(table.c.key == key)
            await connection.execute(noted.values(digest=digest, sent_ms=self._time.now_ms()))
