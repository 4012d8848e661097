"""
Get credentials from IAM: tokens by password and by agency, temporary key pairs, the project's id.

Nothing is kept or renewed here; `credentials` does that. Source: IAM API reference (2021 to 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pydantic

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.mrs import auth, login, operation, regions, replies, settings, signing, transport
from mrs_relay.mrs.models import base, iam

R = TypeVar("R", bound=base.Reply)

_JSON: Final = {"Content-Type": "application/json;charset=utf8"}

# A second token or key pair does no harm, so all of these may be repeated like reads.
TOKEN: Final[operation.Operation[iam.IamBody, iam.TokenReply]] = operation.Operation(
    name="KeystoneCreateToken",
    verb="POST",
    path="/v3/auth/tokens",
    safety=operation.Safety.READ,
    per_minute=None,
    body=iam.IamBody,
    reply=iam.TokenReply,
    accepted=frozenset({200, 201}),
    source="IAM, iam_30_0001 and iam_30_0002",
)
"""Get a token; its text is in the header X-Subject-Token."""

KEYS: Final[operation.Operation[iam.IamBody, iam.CredentialReply]] = operation.Operation(
    name="CreateTemporaryAccessKey",
    verb="POST",
    path="/v3.0/OS-CREDENTIAL/securitytokens",
    safety=operation.Safety.READ,
    per_minute=None,
    body=iam.IamBody,
    reply=iam.CredentialReply,
    accepted=frozenset({200, 201}),
    source="IAM, iam_04_0002 and iam_04_0101",
)
"""Get a temporary key pair."""

PROJECTS: Final[operation.Operation[None, iam.ProjectListReply]] = operation.Operation(
    name="KeystoneListProjects",
    verb="GET",
    path="/v3/projects",
    safety=operation.Safety.READ,
    per_minute=None,
    query=iam.ProjectQuery,
    reply=iam.ProjectListReply,
    accepted=frozenset({200}),
    source="IAM, iam_06_0001",
)
"""List the projects that the caller can see."""


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Credentials that IAM gave, or that need no IAM.

    Attributes:
        signer: signs calls to MRS with them.
        lifetime_s: seconds for which they are valid from now on; None for lasting ones.
    """

    signer: auth.Signer
    lifetime_s: float | None


@dataclass(frozen=True, slots=True)
class _Scoped:
    """A token: its text, the project of its scope, and the seconds for which it is valid."""

    text: pydantic.SecretStr
    project: iam.Project | None
    lifetime_s: float


class Iam:
    """
    Log in at IAM.

    Args:
        group: the connection's settings.
        door: the transport to IAM.
        now: the clock.
    """

    def __init__(self, group: settings.MrsSettings, door: transport.Transport, now: clock.Clock) -> None:
        self._group = group
        self._door = door
        self._clock = now
        self._host = regions.host(group.iam_url) if group.iam_url else ""
        self._reader = replies.Reader(now, group.throttled_wait_s)

    async def grant(self, who: login.Login) -> Grant:
        """
        Get credentials for MRS, by the way that the login describes.

        Raises:
            MrsRefused: IAM refused, or the project is not known. MrsThrottled, MrsUntouched: try again later.
        """
        if who.by_keys:
            return await self._by_keys(who)

        # By password; with an agency the user's token is only needed to assume it.
        user_scope = None if who.agency_name else self._scope(who)
        user = await self._token(_by_password(who, user_scope), None)
        if not who.agency_name:
            return await self._of_token(who, user)

        if who.temporary_keys:
            asked = _by_agency(who, self._group.temporary_keys_s)
            return await self._of_keys(who, asked, auth.TokenSigner(user.text, self._host, ""))
        body = {"auth": {"identity": _by_agency(who, None), "scope": self._scope(who)}}
        agency = await self._token(body, auth.TokenSigner(user.text, self._host, ""))
        return await self._of_token(who, agency)

    async def _by_keys(self, who: login.Login) -> Grant:
        keys = _keys(who)
        signer = auth.KeySigner(keys, self._host, "", self._clock)
        if who.agency_name:
            return await self._of_keys(who, _by_agency(who, self._group.temporary_keys_s), signer)
        if who.temporary_keys and keys.token is None:
            asked = {"methods": ["token"], "token": {"duration_seconds": self._group.temporary_keys_s}}
            return await self._of_keys(who, asked, signer)
        project_id = who.project_id or await self._project_id(signer)
        return Grant(auth.KeySigner(keys, self._group.host, project_id, self._clock), None)

    async def _of_token(self, who: login.Login, token: _Scoped) -> Grant:
        if who.temporary_keys:
            asked = {"methods": ["token"], "token": {"duration_seconds": self._group.temporary_keys_s}}
            return await self._of_keys(who, asked, auth.TokenSigner(token.text, self._host, ""), token)
        if token.project is None:
            raise errors.MrsRefused("the token of IAM is not scoped to a project; check project_id", path=TOKEN.path)
        return Grant(auth.TokenSigner(token.text, self._group.host, token.project.id), token.lifetime_s)

    async def _of_keys(
        self, who: login.Login, identity: Mapping[str, Any], signer: auth.Signer, token: _Scoped | None = None
    ) -> Grant:
        """Get a temporary pair, as the caller `signer`; with the project of the token, if there is one."""
        reply, _ = await self._call(KEYS, {"auth": {"identity": identity}}, signer)
        got = reply.credential
        keys = auth.Keys(got.access, got.secret, got.securitytoken)
        project_id = who.project_id or (token.project.id if token and token.project else None)
        if project_id is None:
            project_id = await self._project_id(auth.KeySigner(keys, self._host, "", self._clock))
        left_s = got.expires_at.timestamp() - self._clock.now_ms() / 1000
        lifetime_s = min(max(left_s, 0.0), float(self._group.temporary_keys_s))
        return Grant(auth.KeySigner(keys, self._group.host, project_id, self._clock), lifetime_s)

    async def _token(self, body: Mapping[str, Any], signer: auth.Signer | None) -> _Scoped:
        reply, headers = await self._call(TOKEN, body, signer, query="nocatalog=true")
        text = headers.get("X-Subject-Token", "")
        if not text:
            raise errors.MrsUntouched("IAM answered without a token (X-Subject-Token)", path=TOKEN.path)
        # The difference of IAM's own two times does not depend on this machine's clock.
        lifetime_s = (reply.token.expires_at - reply.token.issued_at).total_seconds()
        return _Scoped(pydantic.SecretStr(text), reply.token.project, lifetime_s)

    async def _project_id(self, signer: auth.Signer) -> str:
        """
        Find the id of the project with the configured name, or of the region's default project.

        Source: SDK core 3.1.219: none and more than one are errors.
        """
        name = self._project_name()
        reply, _ = await self._call(PROJECTS, None, signer, query=signing.canonical_query({"name": name}))
        ids = [one.id for one in reply.projects if one.name in ("", name)]
        if len(ids) == 1:
            return ids[0]
        found = "several projects" if ids else "no project"
        raise errors.MrsRefused(f"IAM knows {found} of the name {name!r}: set project_id", path=PROJECTS.path)

    def _project_name(self) -> str:
        name = self._group.project_name or self._group.region
        if name is None:
            raise errors.MrsRefused("the project is not known: set project_id, project_name or region")
        return name

    def _scope(self, who: login.Login) -> dict[str, Any]:
        return {"project": {"id": who.project_id} if who.project_id else {"name": self._project_name()}}

    async def _call(
        self,
        wanted: operation.Operation[Any, R],
        body: Mapping[str, Any] | None,
        signer: auth.Signer | None,
        *,
        query: str = "",
    ) -> tuple[R, Mapping[str, str]]:
        """Call IAM once; returns its reply and the reply's headers."""
        data = iam.IamBody.model_validate(body).model_dump_json().encode() if body is not None else b""
        headers = signer.headers(wanted.verb, wanted.path, query, data) if signer else {**_JSON, "Host": self._host}
        target = f"{wanted.path}?{query}" if query else wanted.path
        try:
            response = await self._door.send(
                transport.Request(wanted.verb, target, headers, data), self._group.call_timeout_s
            )
        except transport.SendError as error:
            raise errors.MrsUntouched(str(error), method=wanted.verb, path=wanted.path) from error
        return self._reader.read(wanted, wanted.path, response, _shown(headers, body)), response.headers


def _shown(headers: Mapping[str, str], body: Mapping[str, Any] | None) -> list[str]:
    """Return the secrets that a request shows to IAM: a token, a signature, a password."""
    identity = (body or {}).get("auth", {}).get("identity", {})
    given = [identity.get("password", {}).get("user", {}).get("password"), identity.get("token", {}).get("id")]
    return [*auth.secrets_of(headers), *(one for one in given if isinstance(one, str))]


def _keys(who: login.Login) -> auth.Keys:
    if who.access_key is None or who.secret_key is None:
        raise errors.MrsRefused("there is no key pair")
    return auth.Keys(who.access_key, who.secret_key, who.security_token)


def lasting(group: settings.MrsSettings, now: clock.Clock) -> auth.Signer | None:
    """Return the signer of a connection that needs neither IAM nor a file; None for any other."""
    if group.credentials_file is not None or group.needs_iam or group.project_id is None:
        return None
    return auth.KeySigner(_keys(group), group.host, group.project_id, now)


def _by_password(who: login.Login, scope: Mapping[str, Any] | None) -> dict[str, Any]:
    password = who.iam_password.get_secret_value() if who.iam_password else ""
    user = {"name": who.iam_user, "password": password, "domain": {"name": who.iam_domain}}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity, "scope": scope or {"domain": {"name": who.iam_domain}}}}


def _by_agency(who: login.Login, duration_s: int | None) -> dict[str, Any]:
    role: dict[str, Any] = {"agency_name": who.agency_name, "domain_name": who.agency_domain}
    if duration_s is not None:
        role["duration_seconds"] = duration_s
    return {"methods": ["assume_role"], "assume_role": role}
