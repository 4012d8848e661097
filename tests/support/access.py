"""Callers of the HTTP API: tokens of each role for the tests' two tenants, and a web role that knows them."""

from __future__ import annotations

import json
import pathlib
from typing import Final

from tests.support import web_role

from mrs_relay import settings
from mrs_relay.api.access import callers, tokens
from mrs_relay.kafka import records

TENANTS: Final = {"etl": {"requests": "etl.requests"}, "bi": {"requests": "bi.requests"}}
SQL: Final = {"cluster": "c-1", "engine": "spark", "statement": "select 1"}
GRANTS: Final = {
    "viewer": "viewer@etl",
    "operator": "operator@etl",
    "admin": "admin@etl",
    "viewer of all": "viewer@*",
    "operator of all": "operator@*",
    "admin of all": "admin@*",
    "operator of the other": "operator@bi",
    "operator here, viewer there": "operator@etl,viewer@bi",
}


class Callers:
    """
    Tokens by the names of `GRANTS`, and one that has expired.

    Args:
        folder: where their file is.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.file = folder / "tokens"
        self.tokens: dict[str, str] = {}
        lines = ["# callers of the tests", ""]
        for name, grants in GRANTS.items():
            self.tokens[name], line = tokens.make(name.replace(" ", "-").replace(",", ""), _read(grants), None)
            lines.append(line)
        self.tokens["expired"], line = tokens.make("expired", _read("admin@*"), web_role.NOW_MS - 1)
        self.file.write_text("\n".join([*lines, line, ""]))

    def headers(self, name: str | None) -> dict[str, str]:
        """Return the header that authenticates a caller; None: none."""
        return {} if name is None else {"Authorization": f"Bearer {self.tokens.get(name, name)}"}

    def chosen(self) -> settings.WebRoleSettings:
        """Return settings of a web role with the two tenants that asks for tokens."""
        return web_role.chosen(api={"access": {"tokens_file": self.file}}, tenants=TENANTS)


def _read(text: str) -> callers.Grants:
    return callers.read_grants(text)


def stage() -> web_role.Stage:
    """Return a broker with the topics of both tenants."""
    made = web_role.Stage()
    for tenant in TENANTS.values():
        made.broker.create_topic(tenant["requests"], 2, {})
    return made


async def put_requests(made: web_role.Stage) -> None:
    """Put requests of each tenant: running, unknown, and failed, of which the message is there; and a dead letter."""
    for tenant, settings_of_tenant in TENANTS.items():
        source = f"/mrs-relay/{tenant}"
        await made.put(
            web_role.event(f"{tenant}-1", 3, "running", event_source=source),
            web_role.event(f"{tenant}-2", 3, "unknown", event_source=source),
            web_role.event(f"{tenant}-3", 3, "failed", event_source=source),
            web_role.letter(1, topic=f"{tenant}.requests"),
        )
        message = {"id": f"{tenant}-3", "source": "/tests", "type": "mrs.sql.submit", "data": SQL}
        made.broker.put(settings_of_tenant["requests"], 0, b"c-1", json.dumps(message).encode())


def written(made: web_role.Stage, tenant: str) -> list[records.Record]:
    """Return the messages that were sent to a tenant's topic over HTTP."""
    return [record for record in made.broker.committed(TENANTS[tenant]["requests"]) if record.headers]
