"""Bodies of the IAM calls: tokens, temporary key pairs and projects."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pydantic

from mrs_relay.mrs.models import base, fields


class IamBody(base.Asked):
    """The body of a token or of a key pair: `auth`, put together by `iam`. It may hold a password."""

    auth: Annotated[dict[str, Any], pydantic.Field(repr=False)]


class ProjectQuery(base.Asked):
    """Filter of the projects."""

    name: fields.NotEmpty


class Project(base.Part):
    """A project."""

    id: str
    name: base.Text = ""
    domain_id: str | None = None


class Token(base.Part):
    """The scope and the end of a token; its text comes in a header."""

    issued_at: dt.datetime
    expires_at: dt.datetime
    project: Project | None = None
    """Absent for a token of a whole account."""


class TokenReply(base.Reply):
    """Reply of a token."""

    token: Token


class Credential(base.Part):
    """A temporary key pair."""

    access: str
    secret: pydantic.SecretStr
    securitytoken: pydantic.SecretStr
    expires_at: dt.datetime


class CredentialReply(base.Reply):
    """Reply of a temporary key pair."""

    credential: Credential


class ProjectListReply(base.Reply):
    """Reply of the projects."""

    projects: tuple[Project, ...]
