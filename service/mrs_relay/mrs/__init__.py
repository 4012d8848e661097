"""
The REST client of MRS; knows nothing of Kafka or jobs and is usable without them.

    from mrs_relay.mrs import Client, connected

An operation is a value (`operation`, `operations/`) with its bodies (`models/`); `client.Client.call` is the one way to
perform it: build, limit, sign (`auth`, `signing`), send (`transport`, the one door to aiohttp's client), read
(`replies`; `error_body` takes an error body apart, `codes` is the table of error codes). `iterate` reads whole lists
(`paging`, `operations/lists`). `credentials` keeps tokens and keys good, with `iam`; `login`, `regions` and `settings`
say who we are and where MRS is. `limits` spends the documented budgets evenly; `deadlines` are cheap timeouts. Read
`client` first; `docs/client.md` has an example for each group of operations.

It leaves to its callers: what a job is, whether to try again, and the write budget, which must be spent before an
intention is committed.

The two names are given here, unlike in any other folder, because this part is a library of its own for people who never
open the rest. They are looked up when somebody asks for them, so that whoever wants the settings alone (the commands
that need no MRS) does not load aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrs_relay.mrs.client import Client, connected

__all__ = ["Client", "connected"]


def __getattr__(name: str) -> object:
    """`Client` and `connected`, from their module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mrs_relay.mrs import client  # noqa: PLC0415 - see above

    return getattr(client, name)
