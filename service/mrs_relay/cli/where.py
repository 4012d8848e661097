"""
The filter of bulk commands: `--where 'state=in_doubt tenant=a label.team=etl older=2h'`. Pure.

All conditions must hold. The names are those of the filters of GET /v1/requests, and a few more that only the ledger
can answer.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from mrs_relay.cli import options
from mrs_relay.common import clock
from mrs_relay.engine.model import jobs
from mrs_relay.messages import events, reasons

_IN_DOUBT: Final = "in_doubt"
_STATES: Final = frozenset({*events.STATES, *(state.value for state in jobs.State), _IN_DOUBT})
_LABEL: Final = "label"

NAMES: Final[Mapping[str, str]] = {
    "tenant": "name of the tenant",
    "state": f"of the last event, or as `mrs-relay jobs` shows it; {_IN_DOUBT}: a reply was lost and is looked up",
    "type": "job, sql, cluster or call",
    "cluster": "MRS cluster id",
    "label.NAME": "value of a label; also label=NAME=VALUE",
    "reason": "class of the reason, such as job_failed",
    "code": "code of the reason, such as lost_reply",
    "id": "request id",
    "source": "source of the request",
    "text": "part of the id, source, cluster, job name, job id, application id or reason code",
    "since": "arrived at this time or later; a time such as 2026-11-24T06:00:00Z",
    "until": "arrived before this time",
    "newer": "arrived in the last 90s, 10m, 2h or 1d",
    "older": "arrived before the last 90s, 10m, 2h or 1d",
}
"""What a condition may name, with its meaning."""

_Test = Callable[[jobs.Job], bool]


class BadFilter(ValueError):  # noqa: N818 - named for what was given
    """The text is no filter; says what was expected."""


@dataclass(frozen=True, slots=True)
class Where:
    """
    A filter of the requests in a ledger.

    Attributes:
        text: as it was given.
        tenant: only this one's; None: all.
        tests: conditions that must all hold.
    """

    text: str
    tenant: str | None
    tests: tuple[_Test, ...]

    def takes(self, job: jobs.Job) -> bool:
        """Return whether a request of the tenant matches; a cancel that waits for its request is none."""
        return job.state is not jobs.State.PENDING_CANCEL and all(test(job) for test in self.tests)


def read(text: str, now_ms: int) -> Where:
    """
    Read a filter: conditions `name=value` separated by spaces, values with spaces in quotes.

    Raises:
        BadFilter: it is none, or empty: everything is never meant by accident.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadFilter(f"{text!r}: {error}; quote a value with spaces, such as text='two words'") from None
    if not words:
        raise BadFilter("expected at least one condition, such as state=queued")

    tenant, tests, seen = None, list[_Test](), set[str]()
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise BadFilter(f"{word!r}: expected NAME=VALUE")
        if name in seen and name != _LABEL:
            raise BadFilter(f"{name} is given twice: a request cannot match both")
        seen.add(name)
        if name == "tenant":
            tenant = value
        else:
            tests.append(_test(name, value, now_ms))
    return Where(text, tenant, tuple(tests))


def of_id(request_id: str, source: str | None) -> Where:
    """Return the filter of one id; None: of any source."""
    return Where(request_id, None, (lambda job: job.id == request_id and source in {None, job.source},))


def _test(name: str, value: str, now_ms: int) -> _Test:
    label = value if name == _LABEL else f"{name.removeprefix(f'{_LABEL}.')}={value}"
    if name == _LABEL or name.startswith(f"{_LABEL}."):
        key, equals, wanted = label.partition("=")
        if not equals or not key:
            raise BadFilter(f"{name}={value}: expected label.NAME=VALUE or label=NAME=VALUE")
        return lambda job: (job.labels or {}).get(key) == wanted
    if name in {"since", "until", "newer", "older"}:
        return _of_time(name, value, now_ms)
    if (made := _OF_FIELDS.get(name)) is None:
        raise BadFilter(f"{name!r} is no name of a condition: expected {', '.join(NAMES)}")
    _require_known(name, value)
    return made(value)


def _require_known(name: str, value: str) -> None:
    """Refuse a value that no request can have. Raises BadFilter."""
    known: Mapping[str, tuple[str, ...]] = {
        "state": tuple(sorted(_STATES)),
        "type": get_args(events.Subject),
        "reason": get_args(reasons.ReasonClass),
    }
    if name in known and value not in known[name]:
        raise BadFilter(f"{name}={value}: expected {', '.join(known[name])}")


def _of_time(name: str, value: str, now_ms: int) -> _Test:
    if name in {"since", "until"}:
        try:
            border_ms = clock.epoch_ms(value)
        except ValueError:
            raise BadFilter(f"{name}={value}: expected a time such as 2026-11-24T06:00:00Z") from None
    else:
        back_s = options.seconds(value)
        if back_s is None:
            raise BadFilter(f"{name}={value}: expected a duration such as 90s, 10m or 2h")
        border_ms = now_ms - round(back_s * 1000)
    if name in {"since", "newer"}:
        return lambda job: job.arrived_ms >= border_ms
    return lambda job: job.arrived_ms < border_ms


def _of_state(wanted: str) -> _Test:
    as_ledger = jobs.State.IN_DOUBT.value if wanted == _IN_DOUBT else wanted
    return lambda job: as_ledger == job.state.value or wanted == _shown(job)


def _shown(job: jobs.Job) -> str:
    """Return the state that the last event reported."""
    shown = job.shown or jobs.TRAITS[job.state].shown
    return "running" if shown == "progress" else shown


def _of_text(wanted: str) -> _Test:
    part = wanted.lower()
    return lambda job: part in "\n".join(_words(job)).lower()


def _words(job: jobs.Job) -> list[str]:
    seen = (job.seen.job_id, job.seen.app_id) if job.seen else ()
    return [job.id, job.source, job.cluster, job.mrs_name, *seen, job.reason.code if job.reason else ""]


_OF_FIELDS: Final[Mapping[str, Callable[[str], _Test]]] = {
    "state": _of_state,
    "type": lambda wanted: lambda job: job.subject == wanted,
    "cluster": lambda wanted: lambda job: job.cluster == wanted,
    "reason": lambda wanted: lambda job: job.reason is not None and job.reason.kind == wanted,
    "code": lambda wanted: lambda job: job.reason is not None and job.reason.code == wanted,
    "id": lambda wanted: lambda job: job.id == wanted,
    "source": lambda wanted: lambda job: job.source == wanted,
    "text": _of_text,
}
