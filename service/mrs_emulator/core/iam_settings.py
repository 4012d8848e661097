"""Who may call the emulator: signing keys, and the users, agencies and projects that its IAM knows."""

from __future__ import annotations

from typing import Literal

import pydantic


class Group(pydantic.BaseModel):
    """A frozen group of settings; the text below a field says what it is."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Credential(Group):
    """One AK/SK pair that may sign requests, permanent or temporary."""

    access_key: str = "EMULATORACCESSKEY001"
    """Access key id (AK); it names the pair in the Authorization header."""

    secret_key: pydantic.SecretStr = pydantic.SecretStr("emulator-secret-key-for-local-use-only")
    """Secret key (SK). The default is public knowledge: it protects nothing, it only makes signing necessary."""

    security_token: pydantic.SecretStr | None = None
    """Set for a temporary pair; such a pair is only valid with this X-Security-Token."""

    user: str = pydantic.Field(default="emulator", pattern=r"^[A-Za-z._-][A-Za-z0-9._-]{0,31}$")
    """Name of the user the pair belongs to, as shown in `user` of a job."""

    domain: str | None = None
    """Name of the account the user belongs to; None means `iam.domain`."""


class IamUser(Group):
    """A user of IAM who may fetch tokens by password."""

    name: str = pydantic.Field(default="emulator", pattern=r"^[A-Za-z._-][A-Za-z0-9._-]{0,31}$")
    """User name."""

    password: pydantic.SecretStr = pydantic.SecretStr("emulator-password")
    """Password. The default is public knowledge, like the default secret key."""

    domain: str = "emulator-account"
    """Name of the account the user belongs to."""


class Agency(Group):
    """An account's leave for another account to act on its projects."""

    name: str = "mrs-agency"
    """agency_name of assume_role."""

    domain: str = "emulator-account"
    """Name of the delegating account, whose projects the agency opens."""

    trusted_domain: str = "partner-account"
    """Name of the delegated account, whose users may assume the role."""


class Project(Group):
    """A project that IAM knows beside the one that MRS plays; MRS refuses its tokens."""

    project_id: str = pydantic.Field(pattern=r"^[A-Za-z0-9]{1,64}$")
    """Project id."""

    name: str
    """Its name; the region id, or `{region}_…` for sub-projects."""

    domain: str = "emulator-account"
    """Name of the account that owns it."""


class Iam(Group):
    """IAM, played on the same port as MRS: tokens, temporary keys, project look-up."""

    region: str = "cn-north-4"
    """Region of the emulated MRS; its project has this name, so the vendor's SDK finds the project id by it."""

    domain: str = "emulator-account"
    """Name of the account that owns the emulated project and the AK/SK pairs."""

    users: tuple[IamUser, ...] = (
        IamUser(),
        IamUser(name="partner", password=pydantic.SecretStr("partner-password"), domain="partner-account"),
    )
    """Who may fetch tokens by password; the defaults make both kinds of token possible."""

    agencies: tuple[Agency, ...] = (Agency(),)
    """Which accounts may act for which."""

    projects: tuple[Project, ...] = ()
    """Further projects."""

    token_lifetime_s: float = pydantic.Field(default=86_400.0, gt=0)
    """Seconds a token is good for; 24 hours is documented."""

    expired_as: Literal["APIGW.0301", "APIGW.0307"] = "APIGW.0301"
    """Code for an expired token: `token expires, expires_at: …` or `The token must be updated`; both are known."""

    lock_key_s: float = pydantic.Field(default=0.0, ge=0)
    """Seconds for which a key is locked once its signature was wrong more than five times in a row. That there is a
    lock is documented, its duration is not; 0 turns it off."""
