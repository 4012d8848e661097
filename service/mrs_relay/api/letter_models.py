"""What the HTTP API says about dead letters, and what it takes to replay them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from mrs_relay.api import models

_Tenant = Annotated[str, pydantic.Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Position = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=300)]

MOST: int = 100
"""Dead letters of one call that replays them."""


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)


class _Query(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class DeadLetter(_Model):
    """A message that no event could answer."""

    tenant: Annotated[str, pydantic.Field(description="Name of the tenant, or the topic if it is not known.")]
    position: Annotated[str, pydantic.Field(description="Where the message stood: TOPIC-PARTITION-OFFSET.")]
    written_at: str
    sent_at: str
    code: str
    message: str
    size_bytes: int


class DeadLetterPage(_Model):
    """Dead letters, those written last first."""

    items: list[DeadLetter]
    next: Annotated[str | None, pydantic.Field(description="`cursor` of the next page; missing on the last one.")] = (
        None
    )


class Header(_Model):
    """A header of a message."""

    name: str
    value_base64: str


class Content(_Model):
    """The message as it came."""

    key_base64: str | None = None
    value_base64: Annotated[str | None, pydantic.Field(description="Missing: it is a tombstone.")] = None
    text: Annotated[str | None, pydantic.Field(description="The value, if it is UTF-8.")] = None
    headers: list[Header]
    cut: Annotated[bool, pydantic.Field(description="A part was cut off, so it cannot be replayed.")]
    replay_of: Annotated[str | None, pydantic.Field(description="Position of the message that it repeats.")] = None


class DeadLetterDetail(DeadLetter):
    """A dead letter with its content, which operators of the tenant see."""

    content: Content | None = None
    withheld: Annotated[str | None, pydantic.Field(description="Why there is no content.")] = None


class DeadLettersQuery(_Query):
    """Filters of dead letters."""

    tenant: _Tenant | None = None
    code: Annotated[models.Text | None, pydantic.Field(description="Reason code, such as bad_id.")] = None
    until: Annotated[models.Moment | None, pydantic.Field(description="Written before this time.")] = None
    limit: Annotated[models.Limit, pydantic.Field(description="Most items.")] = 50
    cursor: Annotated[models.Cursor | None, pydantic.Field(description="`next` of the page before, same filters.")] = (
        None
    )


class DeadLetterQuery(_Query):
    """Which dead letter: the path says it."""


class ReplayRequest(_Model):
    """Which dead letters to send once more: by position, or all that filters match, some with each call."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    positions: Annotated[list[_Position] | None, pydantic.Field(min_length=1, max_length=MOST)] = None
    tenant: _Tenant | None = None
    code: Annotated[models.Text | None, pydantic.Field(description="Reason code, such as bad_id.")] = None
    all: Annotated[bool, pydantic.Field(description="Needed where neither positions nor filters choose.")] = False
    until: Annotated[
        models.Moment | None,
        pydantic.Field(description="Only those written before, such as the `until` of the preview; else until now."),
    ] = None
    cursor: Annotated[
        models.Cursor | None, pydantic.Field(description="`next` of the call before, same filters and `until`.")
    ] = None
    limit: Annotated[int, pydantic.Field(ge=1, le=MOST, description="Most dead letters of this call.")] = 50
    dry_run: Annotated[bool, pydantic.Field(description="Say what would be sent, and send nothing.")] = False
    note: Annotated[str, pydantic.Field(max_length=500, description="Why; needed unless `dry_run` is set.")] = ""

    @pydantic.model_validator(mode="after")
    def _chooses(self) -> Self:
        filters = (self.tenant, self.code, self.until, self.cursor)
        if self.positions is not None and (self.all or any(one is not None for one in filters)):
            raise ValueError("positions: expected no filter beside them")
        if self.positions is None and not (self.all or self.tenant is not None or self.code is not None):
            raise ValueError("expected positions, tenant, code, or all: true")
        if not self.dry_run and not self.note.strip():
            raise ValueError("note: expected why; it is on record")
        return self


class ReplayOutcome(_Model):
    """What became of one dead letter."""

    position: str
    tenant: str
    code: str
    outcome: Literal["sent", "would_be_sent", "passed", "failed"]
    message: str


class Replayed(_Model):
    """What became of the dead letters of one call."""

    matching: Annotated[int, pydantic.Field(description="Dead letters that match in all.")]
    until: Annotated[str | None, pydantic.Field(description="For the next call; missing with positions.")] = None
    items: list[ReplayOutcome]
    next: Annotated[str | None, pydantic.Field(description="`cursor` of the next call; missing after the last.")] = None
