"""Variables that Kubernetes sets for Services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SERVICE_HOST: Final = "_SERVICE_HOST"
_LINK_NAME: Final = re.compile(r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_LINK_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://.+:[0-9]+")


def of(environ: Mapping[str, str], prefix: str) -> frozenset[str]:
    """
    Return the variables that Kubernetes sets for Services whose names begin with a prefix.

    A pod gets them for every Service of its namespace, unless `enableServiceLinks` is false. A Service has a host and
    a port with a plain name and port variables whose values are addresses, so a misspelt setting is none of them.
    Source: Kubernetes, "Accessing the Service", environment variables; kubelet `envvars.FromServices`.
    """
    ours = {name: value for name, value in environ.items() if name.startswith(prefix)}
    services = [name.removesuffix(_SERVICE_HOST) for name in ours if name.endswith(_SERVICE_HOST)]
    return frozenset(
        name
        for name, value in ours.items()
        if any(name.startswith(service) and _is_link(name.removeprefix(service), value) for service in services)
    )


def _is_link(rest: str, value: str) -> bool:
    if rest == "_PORT":
        return _LINK_ADDRESS.fullmatch(value) is not None
    return _LINK_NAME.fullmatch(rest) is not None
