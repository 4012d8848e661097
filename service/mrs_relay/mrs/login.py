"""
The caller's identity: the part of the settings that may also come from a file which another program renews.

There are three ways to log in, each with or without an agency: a key pair, a name and password for IAM, or a file with
either.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import pydantic

from mrs_relay.common import described

_WORD: Final = re.compile(r"[!-~]+")  # what can stand in a header unchanged

_AGENCY_NAME: Final = "agency_name"


class Login(described.Described):
    """The identity of the caller. Errors name the field and never show a value."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project_id: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$")] | None = None
    """
    Id of the project that owns the clusters: 1 to 64 letters and digits, usually 32. MRS refuses a wrong one.

    Default none: IAM is asked for the project named `project_name`.
    """

    access_key: Annotated[str, pydantic.Field(pattern=r"^[!-~]{1,128}$")] | None = pydantic.Field(None, repr=False)
    """
    Access key id (AK) of the caller. MRS locks a pair that fails more than five times in a row.

    Default none: give `iam_user` or `credentials_file` instead.
    """

    secret_key: pydantic.SecretStr | None = None
    """Secret access key (SK) of the caller. Signs each request and never leaves this process. Default none."""

    security_token: pydantic.SecretStr | None = None
    """Token that comes with a temporary key pair; MRS refuses one without it. Default none, for a lasting pair."""

    iam_user: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """
    Name of an IAM user who logs in by password; his tokens prove who we are. A HUAWEI ID account cannot.

    Default none: a key pair is used.
    """

    iam_password: pydantic.SecretStr | None = None
    """Password of `iam_user`. IAM locks a user after repeated wrong ones. Default none."""

    iam_domain: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """Name of the account that `iam_user` belongs to. Default none."""

    agency_name: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """
    Agency of another account, whose clusters we work on; needs `agency_domain`.

    Default none. With `iam_user`, it is assumed by tokens; with a key pair, by temporary keys.
    """

    agency_domain: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """Name of the account that made the agency. Default none."""

    temporary_keys: bool = False
    """
    Whether to get temporary key pairs from IAM and to sign with them, rather than to send tokens.

    Default false. True keeps the token, which is good for every service, out of the calls.
    """

    @pydantic.field_validator("secret_key", "security_token", "iam_password")
    @classmethod
    def _not_empty(cls, secret: pydantic.SecretStr | None, info: pydantic.ValidationInfo) -> pydantic.SecretStr | None:
        if secret is None:
            return None
        text = secret.get_secret_value()
        if info.field_name == "iam_password":  # travels in a body
            if not text:
                raise ValueError("must not be empty")
        elif not _WORD.fullmatch(text):
            raise ValueError("must be printable ASCII without spaces or line breaks, and not empty")
        return secret

    @property
    def by_keys(self) -> bool:
        """Whether there is a key pair; it takes precedence over a password."""
        return self.access_key is not None and self.secret_key is not None

    @property
    def needs_iam(self) -> bool:
        """Whether IAM must be asked before MRS can be called."""
        return not self.by_keys or self.agency_name is not None or self.temporary_keys or self.project_id is None


def problem(login: Login) -> str | None:
    """Return what a login lacks, with the names of the settings; None when it is complete."""
    user = {"iam_user": login.iam_user, "iam_password": login.iam_password, "iam_domain": login.iam_domain}
    missing = [name for name, value in user.items() if value is None]

    rules = (
        ((login.access_key is None) != (login.secret_key is None), "access_key and secret_key belong together"),
        (login.security_token and not login.by_keys, "security_token needs access_key and secret_key"),
        (0 < len(missing) < len(user), f"{', '.join(missing)}: needed to log in by password"),
        ((login.agency_name is None) != (login.agency_domain is None), "agency_name and agency_domain belong together"),
        (
            not login.by_keys and missing,
            "credentials are missing: give access_key and secret_key, or iam_user, iam_password and iam_domain",
        ),
        (
            login.security_token and login.agency_name,
            "a temporary key pair (security_token) cannot assume an agency: give a lasting one",
        ),
    )
    return next((text for broken, text in rules if broken), None)


def of(*layers: Login) -> Login:
    """Merge several logins: the later ones win, field by field, and a new way to log in replaces the old one."""
    fields: dict[str, object] = {}
    for layer in layers:
        given = layer.model_dump(include=set(Login.model_fields) & layer.model_fields_set)
        if {"access_key", "iam_user"} & given.keys():
            for name in _WAYS_IN:
                fields.pop(name, None)
        fields.update(given)
    return Login.model_validate(fields)


_WAYS_IN: Final = ("access_key", "secret_key", "security_token", "iam_user", "iam_password", "iam_domain")
