"""The common parts of requests: the cluster, the queue, deadlines and retries."""

from __future__ import annotations

import decimal
from typing import Annotated, Any, Final, Literal

import pydantic

from mrs_relay.common import clock
from mrs_relay.messages import reasons

Api = Literal["v2", "v1.1"]
"""The job API of MRS: V2, or V1.1 for clusters that are too old for V2."""

ClusterId = Annotated[
    str,
    pydantic.Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="MRS cluster id.",
        examples=["6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"],
    ),
]
JobName = Annotated[
    str,
    pydantic.Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name on MRS. A token of 17 characters is added to it, with the deployment's tag 24, and it is cut "
        "to 47, or 40, before that.",
    ),
]


class Model(pydantic.BaseModel):
    """The parent of every model of a request: frozen, strict, and no field that it does not know."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:  # noqa: ANN401 - JSON
        """Drop null in optional fields: many JSON writers write it for unset ones. Required fields must not be null."""
        if not isinstance(data, dict) or None not in data.values():
            return data
        fields = cls.model_fields
        return {
            name: value
            for name, value in data.items()
            if value is not None or name not in fields or fields[name].is_required()
        }


class ClusterChoice(Model):
    """
    Any running cluster with this name and these tags; the one with most free slots is taken.

    The event `accepted` names it. At least one of the two is needed; both must hold if both are given. The choice is
    made when the request comes, also of one with `not_before`, and holds for all its attempts.
    """

    name: Annotated[
        str | None,
        pydantic.Field(
            min_length=1, max_length=64, description="The whole name on MRS, or the one that a request ordered it by."
        ),
    ] = None
    tags: Annotated[
        dict[
            Annotated[str, pydantic.Field(min_length=1, max_length=127)], Annotated[str, pydantic.Field(max_length=255)]
        ],
        pydantic.Field(max_length=20, description="Tags with their values, all of which the cluster must have."),
    ] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> ClusterChoice:
        if self.name is None and not self.tags:
            raise ValueError("give a name, tags or both; or the cluster's id as text")
        return self


_CHOICE: Final = (dict, ClusterChoice)


def _form_of_cluster(value: object) -> str:
    return "choice" if isinstance(value, _CHOICE) else "id"


CLUSTER_FORMS: Final = frozenset({"choice", "id"})
"""Tags of the two forms, as they appear in the location of a fault."""

Cluster = Annotated[
    Annotated[ClusterId, pydantic.Tag("id")] | Annotated[ClusterChoice, pydantic.Tag("choice")],
    pydantic.Discriminator(_form_of_cluster),
    pydantic.Field(description="Where to run: the id of a cluster, or what to choose one by."),
]
"""A cluster by its id, or by what it is to be chosen by. The form is found first: a fault then names one form only."""


def _only_text(moment: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges what passes here
    if moment is not None and not (isinstance(moment, str) and moment[4:5] == "-"):
        raise ValueError("use RFC 3339 with offset, such as 2026-11-24T06:00:00Z")
    return moment if moment is None else clock.without_leap_second(moment)


def _whole(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges what passes here
    return int(number) if isinstance(number, float) and number.is_integer() else number


WHOLE: Final = pydantic.BeforeValidator(_whole)
"""Accept 5.0 as 5, as JSON and JSON Schema's `integer` do."""


def _near(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges the outcome
    return float(number) if isinstance(number, decimal.Decimal) else number


NEAR: Final = pydantic.BeforeValidator(_near)
"""Round a number with more digits than a float holds to the nearest float."""


def _text_of_long(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges the outcome
    return str(number) if isinstance(number, decimal.Decimal) else number


class Queued(Model):
    """The fields of every request that waits to be submitted."""

    priority: Annotated[
        int,
        pydantic.Field(
            ge=0, le=9, description="9 is first, 0 last, among jobs that wait for the same cluster; waiting lifts it."
        ),
        WHOLE,
    ] = 5
    labels: Annotated[
        dict[Annotated[str, pydantic.Field(max_length=63)], Annotated[str, pydantic.Field(max_length=255)]],
        pydantic.Field(max_length=16, description="Your own words; they come back in every event."),
    ] = pydantic.Field(default_factory=dict)
    not_before: Annotated[
        pydantic.AwareDatetime | None,
        pydantic.Field(strict=False, description="Do not submit before this moment (RFC 3339 with offset)."),
        pydantic.BeforeValidator(_only_text),
    ] = None
    queue_deadline_s: Annotated[
        float | None,
        pydantic.Field(
            gt=0,
            le=31_536_000,
            description="Cancel if not submitted so many seconds after it could be: after it came, after `not_before`, "
            "or after the wait before a further attempt.",
        ),
        NEAR,
    ] = None


class RetryPolicy(Model):
    """A further attempt after a bad end; each attempt is a new job on MRS with a token of its own."""

    attempts: Annotated[int, pydantic.Field(ge=2, le=20, description="Submissions in all, the first included."), WHOLE]
    backoff_s: Annotated[
        float,
        pydantic.Field(
            ge=0,
            le=86_400,
            description="Seconds to wait before the second; doubles each time, up to an hour or this value if longer.",
        ),
        NEAR,
    ] = 30.0
    on: Annotated[
        list[Literal["job_failed", "job_killed", "refused", reasons.Cause]],
        pydantic.Field(
            min_length=1,
            description="Classes of reasons, or causes that the job's log shows, after which to try again. Causes need "
            "a relay that reads logs (`causes.path`).",
        ),
    ] = ["job_failed"]


class Submission(Queued):
    """The fields of every request that runs on a cluster."""

    cluster: Cluster
    run_deadline_s: Annotated[
        float | None,
        pydantic.Field(
            gt=0,
            le=31_536_000,
            description="Cancel if not ended so many seconds after its submission; counted for each attempt.",
        ),
        NEAR,
    ] = None
    retry: Annotated[RetryPolicy | None, pydantic.Field(description="Try again after a bad end; never by default.")] = (
        None
    )
