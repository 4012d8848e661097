"""The instance id of a replica that is set nowhere: the name that a pod of a StatefulSet keeps through restarts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_ORDINAL: Final = re.compile(r"[a-zA-Z0-9._-]{1,240}-(0|[1-9][0-9]{0,3})")
"""The end of such a name. Pods of a Deployment end in five random characters, and never come back under their name."""

_IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
_POD_NAME: Final = "POD_NAME"


def stable_name(environ: Mapping[str, str], host: str) -> str | None:
    """
    Return the name of this pod if it belongs to a StatefulSet; else None.

    Outside of Kubernetes a host's name says nothing: several replicas may run on one host.

    Args:
        environ: the environment; POD_NAME is set by the pod's own description, with the downward API.
        host: the name of the host, which Kubernetes sets to the pod's name.

    Source: Kubernetes, "StatefulSet basics" (stable network identity), `names.SimpleNameGenerator`.
    """
    if _IN_KUBERNETES not in environ:
        return None
    name = environ.get(_POD_NAME) or host
    return name if _ORDINAL.fullmatch(name) else None
