"""
The REST client of MRS; independent of Kafka and of jobs, and usable without them.

    from mrs_relay.mrs import Client, connected

An operation is a value (`operation`, `operations/`) with its bodies (`models/`). Only `client.Client.call` performs it:
build, limit, sign (`auth`, `signing`), send (`transport`, the only way to aiohttp's client), read (`replies`;
`error_body` parses error bodies, `codes` is the table of error codes). `iterate` reads whole lists (`paging`,
`operations/lists`). `credentials` renews tokens and keys, with `iam`; `login`, `regions` and `settings` hold the
caller's identity and the address of MRS. `limits` spends the documented budgets evenly; `deadlines` are cheap timeouts.
Read `client` first; `docs/client.md` has an example for each group of operations.

Callers decide the meaning of a job and whether to repeat a call. They also spend the write budget, which must be spent
before an intention is committed.

This folder, unlike any other, exports two names, because it is a library of its own for users who never open the rest.
The names are resolved on first use, so that an import of the settings alone (the commands that need no MRS) does not
load aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrs_relay.mrs.client import Client, connected

__all__ = ["Client", "connected"]


def __getattr__(name: str) -> object:
    """Import `Client` and `connected` from their module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mrs_relay.mrs import client  # noqa: PLC0415 - see above

    return getattr(client, name)
