"""
Complete request ids, clusters, tenants and scopes for the shell: quickly, and with nothing at all where it fails.

Ids and clusters are those of the last events, newest first, so that the time does not grow with the topic. Commands
import this module for their options, so it imports what it needs when it is asked.
"""

from __future__ import annotations

import asyncio
import pathlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from mrs_relay import tenants as all_tenants
    from mrs_relay.messages import event_reader

WITHIN_S: Final = 1.0
"""For all that is asked of Kafka; a shell waits for it."""

_LOOKED_AT: Final = 2_000
_MOST: Final = 100
_KINDS: Final = ("job", "sql", "cluster", "call")
_SCOPES: Final = ("all", "tenant/", "cluster/", "label/", *(f"type/{kind}" for kind in _KINDS), "request/")


def ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of a request."""
    return _recent(ctx, incomplete, lambda event: event.data.request.id)


def clusters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the id of an MRS cluster."""
    return _recent(ctx, incomplete, lambda event: event.data.cluster)


def tenants(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a tenant of the settings."""
    return _beginning(incomplete, (one.name for one in _tenancies(ctx)))


def scopes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the scope of a control."""
    kind, slash, name = incomplete.partition("/")
    named = {"tenant": tenants, "cluster": clusters, "request": ids}
    if not slash or kind not in named:
        return _beginning(incomplete, _SCOPES)
    return [f"{kind}/{one}" for one in named[kind](ctx, name)]


def _beginning(incomplete: str, names: Iterable[str | None]) -> list[str]:
    """Return the names that begin with what was typed, each once, in their order."""
    return list(dict.fromkeys(name for name in names if name and name.startswith(incomplete)))[:_MOST]


def _tenancies(ctx: typer.Context) -> Sequence[all_tenants.ResolvedTenant]:
    """Return the tenants of the settings that the command line names so far; none if they cannot be read."""
    from mrs_relay import errors  # noqa: PLC0415 - see the module's docstring
    from mrs_relay.cli import connect  # noqa: PLC0415 - the same

    config, bootstrap = ctx.params.get("config"), ctx.params.get("bootstrap")
    try:
        return connect.tenancies(None if config is None else pathlib.Path(config), bootstrap)
    except errors.RelayError:
        return ()


def _recent(ctx: typer.Context, incomplete: str, name_of: Callable[[event_reader.ReadEvent], str | None]) -> list[str]:
    found: list[event_reader.ReadEvent] = []
    try:
        wanted = ctx.params.get("tenant")
        tenancies = [one for one in _tenancies(ctx) if wanted in {None, one.name}]
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(_Daemons())
            runner.run(_read(tenancies, found))
    except Exception:  # noqa: BLE001, S110 - whatever it is, the shell must not show it in the middle of a line
        pass
    newest = sorted(found, key=lambda event: event.attributes.get("time", ""), reverse=True)
    return _beginning(incomplete, map(name_of, newest))


async def _read(tenancies: Sequence[all_tenants.ResolvedTenant], found: list[event_reader.ReadEvent]) -> None:
    """Read the last events of all topics into `found`, as many as the time allows."""
    from mrs_relay.cli import connect, follow  # noqa: PLC0415 - see the module's docstring
    from mrs_relay.kafka import topic_io  # noqa: PLC0415 - the same

    async with asyncio.timeout(WITHIN_S):
        for topic in sorted({one.kafka.topics.events for one in tenancies}):
            async with topic_io.reading(connect.broker(tenancies[0].kafka), topic) as (reader, bounds):
                share = max(1, _LOOKED_AT // len(bounds))
                starts = {number: max(one.first, one.end - share) for number, one in bounds.items()}
                ends = {number: one.end for number, one in bounds.items()}
                async for record in topic_io.read_span(reader, starts, ends):
                    found += follow.events_of([record])


class _Daemons(futures.ThreadPoolExecutor):
    """Runs each call in a thread that keeps no process from ending: a look-up of a host name may hang for a minute."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:  # noqa: ANN401 - the base's
        """Run a call; its outcome is in the future."""
        future: futures.Future[Any] = futures.Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)

        threading.Thread(target=work, daemon=True, name="complete").start()
        return future
