"""
The IAM calls that clients of MRS make: tokens, temporary keys, projects, the catalogue of services, IAM's versions.

They are served on MRS's port, whatever the host header says. Chosen where the pages are silent: a project that the
user's account does not own is 401, an agency that does not exist is 404, one that trusts another account is 403.

Source: IAM API reference (2021 to 2025); behaviour of the vendor's SDK core 3.1.219; Keystone v3 for shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mrs_emulator.core import checks, ids, refusals, routes, settings, wire
from mrs_emulator.iam import accounts, signature

_OK = 200
_CREATED = 201
_MULTIPLE_CHOICES = 300
_DURATION_S = (900, 86_400)
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


class Iam:
    """
    Handlers of the IAM calls.

    Args:
        known: accounts, tokens and keys.
        gate: finds who signed a call or whose token it carries.
        making: source of trace ids.
        chosen: region and account of the emulated project.
    """

    def __init__(
        self, known: accounts.Accounts, gate: signature.Gate, making: ids.Ids, chosen: settings.EmulatorSettings
    ) -> None:
        self._known = known
        self._gate = gate
        self._ids = making
        self._region = chosen.iam.region
        self._project_id = chosen.project_id

    def operations(self) -> Iterable[routes.Route]:
        """Return the calls; they check by themselves who calls, and no limit is documented."""
        calls: Mapping[tuple[str, str, str], routes.Handler] = {
            ("KeystoneCreateToken", "POST", "/v3/auth/tokens"): self.create_token,
            ("KeystoneListProjects", "GET", "/v3/projects"): self.list_projects,
            ("KeystoneListAuthDomains", "GET", "/v3/auth/domains"): self.list_domains,
            ("KeystoneShowCatalog", "GET", "/v3/auth/catalog"): self.show_catalog,
            ("KeystoneListVersions", "GET", "/"): self.list_versions,
            ("KeystoneShowVersion", "GET", "/v3"): self.show_version,
            ("CreateTemporaryAccessKey", "POST", "/v3.0/OS-CREDENTIAL/securitytokens"): self.create_key,
        }
        return tuple(
            routes.Route(operation, verb, path, self._traced(handler), gateway=False)
            for (operation, verb, path), handler in calls.items()
        )

    def _traced(self, handler: routes.Handler) -> routes.Handler:
        """Give replies their trace id, and refusals of the gateway the shape of IAM."""

        async def answer(call: routes.Call) -> wire.Reply:
            try:
                reply = await handler(call)
            except refusals.Refusal as refusal:
                shaped = refused(refusal.status, refusal.payload["error_msg"]) if refusal.gateway else refusal
                reply = shaped.reply("", older=False)
            return reply.with_header("X-IAM-Trace-Id", f"token_{self._region}_null_{self._ids.request_id()}")

        return answer

    async def create_token(self, call: routes.Call) -> wire.Reply:
        """Answer KeystoneCreateToken: by password, or by agency with the token of a user whom it trusts."""
        auth = _member(_body(call), "auth")
        identity = _member(auth, "identity")

        methods = identity.get("methods")
        if methods == ["password"]:
            caller, home = self._by_password(identity)
        elif methods == ["assume_role"]:
            caller, home = self._by_agency(_member(identity, "assume_role"), call)
            if not isinstance(auth.get("scope"), dict):
                raise refused(400, "The scope is mandatory for assume_role.")
        else:
            raise refused(400, "The methods must be password or assume_role.")

        scoped = self._scoped(caller, auth.get("scope"))
        text, token = self._known.issue_token(scoped, home, call.now_ms)
        catalog = not dict(call.request.pairs()).get("nocatalog")
        members = self._token_members(token, methods, call.request if catalog else None)
        return wire.as_json(_CREATED, {"token": members}).with_header("X-Subject-Token", text)

    async def create_key(self, call: routes.Call) -> wire.Reply:
        """Answer CreateTemporaryAccessKey: from a token, or from an agency; a signed call needs no token."""
        identity = _member(_member(_body(call), "auth"), "identity")
        methods = identity.get("methods")
        if methods == ["token"]:
            order = identity.get("token") or {}
            if not isinstance(order, dict):
                raise refused(400, "The token must be an object.")
            caller = self._caller(call, order.get("id"))
        elif methods == ["assume_role"]:
            order = _member(identity, "assume_role")
            caller, _ = self._by_agency(order, call)
        else:
            raise refused(400, "The methods must be token or assume_role.")

        duration = order.get("duration_seconds", _DURATION_S[0])
        if not isinstance(duration, int) or not _DURATION_S[0] <= duration <= _DURATION_S[1]:
            raise refused(400, "The duration_seconds must be from 900 to 86400.")

        key = self._known.issue_key(accounts.Caller(caller.user, caller.domain), duration, call.now_ms)
        credential = {
            "access": key.access,
            "secret": key.secret,
            "securitytoken": key.security_token,
            "expires_at": accounts.moment(key.expires_ms or 0),
        }

        return wire.as_json(_CREATED, {"credential": credential})

    async def list_projects(self, call: routes.Call) -> wire.Reply:
        """Answer KeystoneListProjects: the projects of the caller's account, filtered, paged if asked for."""
        caller = self._caller(call)
        query = dict(call.request.pairs())
        domain_id = ids.derived("domain", caller.domain)

        found = [
            _project(one)
            for one in self._known.projects
            if one.domain == caller.domain
            and query.get("name") in {None, "", one.name}
            and query.get("domain_id") in {None, "", domain_id}
            and query.get("parent_id") in {None, "", domain_id}
            and query.get("enabled", "true").lower() != "false"
        ]

        try:
            size = checks.whole_number(query, "per_page", least=1) or len(found)
            number = checks.whole_number(query, "page", least=1) or 1
        except refusals.Refusal as refusal:
            raise refused(400, refusal.payload["error_msg"]) from refusal

        links = {"self": f"{_base(call.request)}/v3/projects", "next": None, "previous": None}
        return wire.as_json(_OK, {"projects": found[(number - 1) * size : number * size], "links": links})

    async def list_domains(self, call: routes.Call) -> wire.Reply:
        """Answer KeystoneListAuthDomains: the caller's account."""
        domain = _domain(self._caller(call).domain)
        members = {**domain, "enabled": True, "description": ""}
        return wire.as_json(_OK, {"domains": [members], "links": {"self": f"{_base(call.request)}/v3/auth/domains"}})

    async def show_catalog(self, call: routes.Call) -> wire.Reply:
        """Answer KeystoneShowCatalog: where the services are, as a token says it, too."""
        self._caller(call)
        links = {"self": f"{_base(call.request)}/v3/auth/catalog", "next": None, "previous": None}
        return wire.as_json(_OK, {"catalog": self._catalog(call.request), "links": links})

    async def list_versions(self, call: routes.Call) -> wire.Reply:
        """Answer KeystoneListVersions: the one version of IAM, for anybody; 300 as documented."""
        return wire.as_json(_MULTIPLE_CHOICES, {"versions": {"values": [_version(call.request)]}})

    async def show_version(self, call: routes.Call) -> wire.Reply:
        """Answer KeystoneShowVersion: version 3 of IAM, for anybody."""
        return wire.as_json(_OK, {"version": _version(call.request)})

    def _caller(self, call: routes.Call, token: object = None) -> accounts.Caller:
        """Return who calls: by a token in the body, else by headers."""
        if isinstance(token, str) and token:
            return self._gate.bearer(token, call.now_ms)
        return self._gate.caller(call.request, call.now_ms)

    def _by_password(self, identity: Mapping[str, Any]) -> tuple[accounts.Caller, str]:
        user = _member(_member(identity, "password"), "user")
        name, password, domain = user.get("name"), user.get("password"), _named(user.get("domain"))
        if not (isinstance(name, str) and isinstance(password, str) and domain):
            raise refused(400, "The name, password and domain of the user are mandatory.")
        found = self._known.user(name, password, domain)
        if found is None:
            raise refused(401, "The username or password is wrong.")
        return accounts.Caller(found.name, found.domain), found.domain

    def _by_agency(self, order: Mapping[str, Any], call: routes.Call) -> tuple[accounts.Caller, str]:
        """Return the role that a user of the delegated account assumes: that account's user, the other's projects."""
        name = order.get("agency_name")
        domain = order.get("domain_id") or order.get("domain_name")
        if not (isinstance(name, str) and isinstance(domain, str) and domain):
            raise refused(400, "The agency_name and the domain_id or domain_name are mandatory.")
        user = self._caller(call)
        agency = self._known.agency(name, domain)
        if agency is None:
            raise refused(404, "The agency does not exist.")
        if agency.trusted_domain != user.domain:
            raise refused(403, "You are not authorized to assume the role.")
        return accounts.Caller(user.user, agency.domain), user.domain

    def _scoped(self, caller: accounts.Caller, scope: object) -> accounts.Caller:
        """Return the caller with the scope asked for; a project wins over a domain, nothing at all means the domain."""
        wanted = scope.get("project") if isinstance(scope, dict) else None
        if wanted is not None:
            if not isinstance(wanted, dict) or not (wanted.get("id") or wanted.get("name")):
                raise refused(400, "The id or name of the project is mandatory.")
            project = self._known.project(domain=caller.domain, project_id=wanted.get("id"), name=wanted.get("name"))
            if project is None:
                raise refused(401, "The request you have made requires authentication.")
            return accounts.Caller(caller.user, caller.domain, project.project_id, by_token=True)
        domain = _named(scope.get("domain")) if isinstance(scope, dict) else None
        if domain not in {None, caller.domain, ids.derived("domain", caller.domain)}:
            raise refused(401, "The request you have made requires authentication.")
        return accounts.Caller(caller.user, caller.domain, None, by_token=True)

    def _token_members(self, token: accounts.Token, methods: list[str], request: wire.Request | None) -> dict[str, Any]:
        caller = token.caller
        user_id = ids.derived("user", caller.user)

        members: dict[str, Any] = {
            "expires_at": accounts.moment(token.expires_ms),
            "issued_at": accounts.moment(token.issued_ms),
            "methods": methods,
            "roles": [{"id": "0", "name": "mrs_adm"}],
            "user": {
                "id": user_id,
                "name": caller.user,
                "domain": _domain(token.home),
                "password_expires_at": "",
            },
        }

        if caller.project_id is None:
            members["domain"] = _domain(caller.domain)
        else:
            name = next(one.name for one in self._known.projects if one.project_id == caller.project_id)
            members["project"] = {"id": caller.project_id, "name": name, "domain": _domain(caller.domain)}

        if token.home != caller.domain:
            members["assumed_by"] = {"user": members["user"]}
        if request is not None:
            members["catalog"] = self._catalog(request)
        return members

    def _catalog(self, request: wire.Request) -> list[dict[str, Any]]:
        base = _base(request)
        places = {
            ("identity", "iam"): f"{base}/v3",
            ("mrs", "mrs"): f"{base}/v1.1",
            ("map-reduce", "mrs"): f"{base}/v1.1/{self._project_id}",
        }

        return [
            {
                "id": ids.derived("service", kind),
                "name": name,
                "type": kind,
                "endpoints": [
                    {
                        "id": ids.derived("endpoint", kind),
                        "interface": "public",
                        "region": self._region,
                        "region_id": self._region,
                        "url": url,
                    }
                ],
            }
            for (kind, name), url in places.items()
        ]


def refused(status: int, message: str) -> refusals.Refusal:
    """Return a refusal in IAM's own shape."""
    return refusals.Refusal(
        status, {"error": {"code": status, "message": message, "title": _TITLES.get(status, "Error")}}
    )


def _body(call: routes.Call) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(call.request.body or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise refused(400, "The request body is not a JSON object.")
    return value


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise refused(400, f"The member {name} is mandatory.")
    return found


def _named(domain: object) -> str | None:
    """Name or id of an account in a body."""
    if not isinstance(domain, dict):
        return None
    found = domain.get("id") or domain.get("name")
    return found if isinstance(found, str) else None


def _domain(name: str) -> dict[str, str]:
    return {"id": ids.derived("domain", name), "name": name}


def _project(one: settings.Project) -> dict[str, Any]:
    domain_id = ids.derived("domain", one.domain)
    return {
        "id": one.project_id,
        "name": one.name,
        "domain_id": domain_id,
        "parent_id": domain_id,
        "is_domain": False,
        "enabled": True,
        "description": "",
        "links": {"self": f"/v3/projects/{one.project_id}"},
    }


def _version(request: wire.Request) -> dict[str, Any]:
    """Return version 3 of IAM. Source: IAM API reference, pages iam_15_0002 and iam_15_0003 (2025)."""
    return {
        "id": "v3.6",
        "status": "stable",
        "updated": "2016-04-04T00:00:00Z",
        "links": [{"rel": "self", "href": f"{_base(request)}/v3/"}],
        "media-types": [{"type": "application/vnd.openstack.identity-v3+json", "base": "application/json"}],
    }


def _base(request: wire.Request) -> str:
    """Return where the client reached the emulator."""
    return f"http://{request.headers.get('host', '127.0.0.1')}"
