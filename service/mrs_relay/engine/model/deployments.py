"""
Recognize the deployment that a job on MRS belongs to. Pure.

Several deployments may use one MRS project, each with a Kafka of its own. The name of a deployment (`kafka.app_id`)
determines two parts of a job's name, `<requested name>-<tag>-<token>`: the tag identifies the deployment for every
reader of MRS's job list, and the token is a digest of the deployment's whole name and more. Both follow from fields of
the ledger record (`Job.name`, `Job.tenant`), so every version of the relay computes the same name.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final, Literal

from mrs_relay.engine.model import job_names

Belonging = Literal["ours", "foreign", "unproved"]
"""Owner of a job with a token: this deployment, another one, or any deployment without a name of its own."""

TAG_LENGTH: Final = 6
_ROOM: Final = job_names.NAME_LENGTH - job_names.TOKEN_LENGTH - TAG_LENGTH - 2
"""Characters of a requested name beside a tag and a token."""

_NAME: Final = re.compile(rf"(?P<wished>.*?)(?:-(?P<tag>d[0-9a-f]{{5}}))?-{job_names.TOKEN_PATTERN}\Z", re.DOTALL)


@functools.lru_cache(maxsize=1024)
def owner(deployment: str, tenant: str) -> str:
    """
    Return the owner of a job as its ledger record keeps it in `Job.tenant`: `<deployment>/<tenant>`.

    Neither name contains a slash. For a deployment without a name of its own, the owner is the tenant.
    """
    return f"{deployment}/{tenant}" if deployment else tenant


def is_named(owned_by: str) -> bool:
    """Return whether an owner, as `owner` returns it, names the deployment."""
    return "/" in owned_by


@functools.lru_cache(maxsize=1024)
def tag(deployment: str) -> str:
    """
    Return the deployment's tag in the names of its jobs: `d` and five hexadecimal digits (20 bits of SHA-256).

    Two deployments share a tag by chance once in a million. Adoption does not rely on the tag: the token depends on the
    deployment's whole name.
    """
    return "d" + hashlib.sha256(deployment.encode()).hexdigest()[: TAG_LENGTH - 1]


def tagged(name: str, deployment: str) -> str:
    """Append the tag to a requested name, which is cut so that the token still fits; "" stays ""."""
    return f"{_cut(name)}-{tag(deployment)}" if name and deployment else name


def belonging(name: str, deployment: str) -> Belonging | None:
    """Return the owner of a job by its name on MRS; None: no relay submitted it."""
    found = _NAME.fullmatch(name)
    if found is None or not found["wished"]:
        return None
    if found["tag"] is None:
        return "unproved"
    return "ours" if deployment and found["tag"] == tag(deployment) else "foreign"


def wished_names(name: str) -> tuple[str, ...]:
    """Return the names by which requests may know a job or cluster of this name on MRS, cut as MRS has them."""
    found = _NAME.fullmatch(name)
    if found is None or not found["wished"]:
        return (name,)
    return (name, job_names.without_token(name), *([found["wished"]] if found["tag"] else []))


def goes_by(name: str, wished: str) -> bool:
    """Return whether a request may call a cluster of this name on MRS `wished`: the whole name, or one cut for it."""
    names = wished_names(name)
    return wished == name or job_names.cut(wished) in names[1:2] or _cut(wished) in names[2:]


def _cut(name: str) -> str:
    return job_names.cut(name)[:_ROOM]
