"""
Accounts, users and projects of IAM, and the tokens and temporary keys that it has given out.

Ids of accounts and users derive from their names. What was given out is not kept over a restart: clients fetch again,
as they must when a token dies early.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from mrs_emulator.core import ids, settings

_TOKEN_LENGTH = 320
_SWEEP_AT = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who makes a call.

    Attributes:
        user: user name.
        domain: name of the account whose projects the call may reach.
        project_id: project that the call's token is scoped to; None for a domain-scoped token.
        by_token: the call carries a token, so its scope counts.
    """

    user: str
    domain: str
    project_id: str | None = None
    by_token: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """
    A token that was given out; times in milliseconds since the epoch.

    Attributes:
        caller: who may do what with it.
        home: account that the user belongs to, which for an agency's token is not the caller's.
        issued_ms: when it was given out.
        expires_ms: when it dies.
    """

    caller: Caller
    home: str
    issued_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Key:
    """
    A pair of keys that may sign; without expiry it is a permanent one.

    Attributes:
        access: AK.
        secret: SK.
        security_token: what X-Security-Token must hold, or None.
        caller: whose key it is.
        expires_ms: when it dies, in milliseconds since the epoch.
    """

    access: str
    secret: str
    security_token: str | None
    caller: Caller
    expires_ms: int | None = None

    def __repr__(self) -> str:
        return f"Key({self.access})"


class Accounts:
    """
    All that IAM knows.

    Args:
        chosen: users, agencies, permanent keys.
        making: source of token texts and keys.
    """

    def __init__(self, chosen: settings.EmulatorSettings, making: ids.Ids) -> None:
        self._iam = chosen.iam
        self._ids = making
        own = settings.Project(project_id=chosen.project_id, name=chosen.iam.region, domain=chosen.iam.domain)
        self.projects: Sequence[settings.Project] = (own, *chosen.iam.projects)
        self._tokens: dict[str, Token] = {}
        self._keys = {one.access_key: _permanent(one, chosen.iam.domain) for one in chosen.credentials}

    def user(self, name: str, password: str, domain: str) -> settings.IamUser | None:
        """Return the user with this name, account and password."""
        for one in self._iam.users:
            if one.name == name and domain in {one.domain, ids.derived("domain", one.domain)}:
                known = one.password.get_secret_value()
                return one if hmac.compare_digest(known.encode(), password.encode()) else None
        return None

    def agency(self, name: str, domain: str) -> settings.Agency | None:
        """Return the agency with this name in an account, given by name or id."""
        for one in self._iam.agencies:
            if one.name == name and domain in {one.domain, ids.derived("domain", one.domain)}:
                return one
        return None

    def project(self, *, domain: str, project_id: str | None, name: str | None) -> settings.Project | None:
        """Return a project of an account, by id or else by name."""
        for one in self.projects:
            found = one.project_id == project_id if project_id else one.name == name
            if found and one.domain == domain:
                return one
        return None

    def issue_token(self, caller: Caller, home: str, now_ms: int) -> tuple[str, Token]:
        """Return a new token; older ones stay good."""
        if len(self._tokens) >= _SWEEP_AT:
            self._tokens = {text: one for text, one in self._tokens.items() if one.expires_ms > now_ms}
        text = f"MII{self._ids.opaque(_TOKEN_LENGTH)}"
        token = Token(caller, home, now_ms, now_ms + round(self._iam.token_lifetime_s * 1000))
        self._tokens[text] = token
        return text, token

    def issue_key(self, caller: Caller, duration_s: int, now_ms: int) -> Key:
        """Return a new temporary key with its security token."""
        if len(self._keys) >= _SWEEP_AT:
            self._keys = {
                access: one for access, one in self._keys.items() if one.expires_ms is None or one.expires_ms > now_ms
            }
        access = f"HST{self._ids.opaque(17).upper()}"
        key = Key(access, self._ids.opaque(40), self._ids.opaque(_TOKEN_LENGTH), caller, now_ms + duration_s * 1000)
        self._keys[access] = key
        return key

    def token(self, text: str) -> Token | None:
        """Return the token with this text, dead or alive."""
        return self._tokens.get(text)

    def key(self, access: str) -> Key | None:
        """Return the key with this AK, dead or alive."""
        return self._keys.get(access)


def _permanent(one: settings.Credential, domain: str) -> Key:
    token = one.security_token.get_secret_value() if one.security_token else None
    return Key(one.access_key, one.secret_key.get_secret_value(), token, Caller(one.user, one.domain or domain))


def moment(epoch_ms: int) -> str:
    """Return a moment as IAM prints it: UTC, with microseconds."""
    seen = dt.datetime.fromtimestamp(epoch_ms / 1000, tz=dt.UTC)
    return f"{seen:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}000Z"
