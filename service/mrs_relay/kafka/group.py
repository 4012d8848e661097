"""The base of each group of settings of this part."""

from __future__ import annotations

import pydantic

from mrs_relay.common import described


class Group(described.Described):
    """A frozen group whose fields describe themselves; an unknown field is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
