"""The base of each group of settings of this part."""

from __future__ import annotations

import pydantic


class Group(pydantic.BaseModel):
    """A frozen group whose fields describe themselves; an unknown field is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
