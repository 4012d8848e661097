"""Settings of the read model."""

from __future__ import annotations

import re
from typing import Annotated, Final

import pydantic

from mrs_relay.common import described

EXPECTED_ADDRESS: Final = "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME"
_ADDRESS: Final = re.compile(r"sqlite:///.+|postgresql://.+", re.DOTALL)
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class ReadModelSettings(described.Described):
    """Where `mrs-relay web` keeps what it has read, and for how long."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    database: pydantic.SecretStr | None = None
    """
    Address of the database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME. None uses a temporary file, which
    is deleted at the end, so each start reads the topics again and knows only what they still hold. Replicas may share
    a PostgreSQL; one of them writes at a time.
    """

    keep_days: Annotated[float, pydantic.Field(gt=0, le=3650)] = 30.0
    """
    Days for which an ended request and its events are kept after its last event, also when the topics no longer hold
    them. A request under way is kept. About 4 kB of disk for each request.
    """

    audit_days: Annotated[float, pydantic.Field(gt=0, le=36_500)] = 400.0
    """Days for which records of decisions are kept, also when their topic no longer holds them."""

    batch_records: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 20_000
    """
    Most records written in one transaction of the database. More is quicker while catching up, takes memory, and keeps
    others from writing to SQLite for longer than a second.
    """

    lease_s: Annotated[float, pydantic.Field(ge=1, le=600)] = 10.0
    """
    Seconds after which another replica on the same database takes over the writing from one that has gone silent.
    Shorter fails over sooner, and writes to the database more often.
    """

    @pydantic.field_validator("database")
    @classmethod
    def _known_scheme(cls, given: pydantic.SecretStr | None) -> pydantic.SecretStr | None:
        if given is not None and _ADDRESS.fullmatch(given.get_secret_value()) is None:
            raise ValueError(EXPECTED_ADDRESS)
        return given

    @property
    def address(self) -> str | None:
        """The database's address with the driver that we use; it may hold a password."""
        if self.database is None:
            return None
        scheme, _, rest = self.database.get_secret_value().partition(":")
        return f"{_DRIVERS[scheme]}:{rest}"
