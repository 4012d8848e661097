"""
Which deployment a job on MRS belongs to: several may use one MRS project, each with a Kafka of its own. Pure.

A deployment that has a name of its own (`kafka.app_id`) shows in two places of a job's name, `<wished>-<tag>-<mark>`:
the tag tells everybody which deployment submitted it, and the mark is made of the deployment's whole name. Both follow
from what the ledger record holds (`Job.name`, `Job.tenant`), so every version of the relay computes the same name.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final, Literal

from mrs_relay.engine.model import job_names

Belonging = Literal["ours", "foreign", "unproved"]
"""Whose a marked job is: this deployment's, another one's, or that of any deployment without a name of its own."""

TAG_LENGTH: Final = 6
_ROOM: Final = job_names.NAME_LENGTH - job_names.TOKEN_LENGTH - TAG_LENGTH - 2
"""Characters of a wished name beside a tag and a mark."""

_NAME: Final = re.compile(rf"(?P<wished>.*?)(?:-(?P<tag>d[0-9a-f]{{5}}))?-{job_names.TOKEN_PATTERN}\Z", re.DOTALL)


@functools.lru_cache(maxsize=1024)
def owner(deployment: str, tenant: str) -> str:
    """
    Name whose a job is, as its ledger record keeps it in `Job.tenant`: `<deployment>/<tenant>`.

    A slash stands in neither name. A deployment without a name of its own leaves the tenant alone.
    """
    return f"{deployment}/{tenant}" if deployment else tenant


def is_named(owned_by: str) -> bool:
    """Whether an owner, see there, names the deployment."""
    return "/" in owned_by


@functools.lru_cache(maxsize=1024)
def tag(deployment: str) -> str:
    """
    Return the deployment's sign in the names of its jobs: `d` and five hexadecimal digits (20 bits of SHA-256).

    Two deployments share one by chance once in a million. Adoption does not rely on it: the mark is of the whole name.
    """
    return "d" + hashlib.sha256(deployment.encode()).hexdigest()[: TAG_LENGTH - 1]


def tagged(name: str, deployment: str) -> str:
    """Put the tag behind a wished name, which is cut so that the mark still fits; what has no name gets none."""
    return f"{_cut(name)}-{tag(deployment)}" if name and deployment else name


def belonging(name: str, deployment: str) -> Belonging | None:
    """Tell whose a job is by its name on MRS; None: no relay's."""
    found = _NAME.fullmatch(name)
    if found is None or not found["wished"]:
        return None
    if found["tag"] is None:
        return "unproved"
    return "ours" if deployment and found["tag"] == tag(deployment) else "foreign"


def wished_names(name: str) -> tuple[str, ...]:
    """Return what a request may have called a job or cluster of this name on MRS, as far as it was kept."""
    found = _NAME.fullmatch(name)
    if found is None or not found["wished"]:
        return (name,)
    return (name, job_names.without_token(name), *([found["wished"]] if found["tag"] else []))


def goes_by(name: str, wished: str) -> bool:
    """Whether a cluster of this name on MRS is the one that a request calls `wished`, as it was or as it was kept."""
    names = wished_names(name)
    return wished == name or job_names.cut(wished) in names[1:2] or _cut(wished) in names[2:]


def _cut(name: str) -> str:
    return job_names.cut(name)[:_ROOM]
