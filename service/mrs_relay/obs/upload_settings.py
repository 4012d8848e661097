"""The settings of uploads: where the files of senders go, how large they may be and how long a part may take."""

from __future__ import annotations

from typing import Annotated

import pydantic

from mrs_relay.common import described
from mrs_relay.obs import paths


class UploadSettings(described.Described):
    """Files that senders upload for their jobs; `mrs-relay serve` uploads none. A tenant's group names what differs."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Annotated[str, pydantic.Field(max_length=500)] | None = None
    """
    OBS folder, such as obs://lake/programs, for the files of `mrs-relay submit job --upload` and of the Python client.

    Default none: nothing can be uploaded. A tenant that names none gets the folder of its name in that of all tenants.
    The cluster's agency must be allowed to read it. Nothing is removed from it.
    """

    max_bytes: Annotated[int, pydantic.Field(ge=1, le=80_000_000_000)] | None = None
    """Largest file that is uploaded, in bytes; 4 GiB unless it is set. OBS takes 10,000 parts of 8 MiB."""

    part_timeout_s: Annotated[float, pydantic.Field(gt=0)] | None = None
    """
    Longest time for one part of 8 MiB, in seconds; 120 unless it is set: four at a time at 280 kB a second.

    Too small: uploads over a slow network never end well. A part that fails is sent again, three times at most.
    """

    @pydantic.field_validator("path")
    @classmethod
    def _is_folder(cls, path: str | None) -> str | None:
        return None if path is None else str(paths.folder(path))

    def below(self, shared: UploadSettings, tenant: str) -> UploadSettings:
        """Return a tenant's settings: its own, and what it leaves out as for all tenants, in a folder of its name."""
        folder = self.path or (f"{shared.path}{tenant}/" if shared.path else None)
        given = {**shared.model_dump(exclude_none=True), **self.model_dump(exclude_none=True), "path": folder}
        return UploadSettings.model_validate(given)
