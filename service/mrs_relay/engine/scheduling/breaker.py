"""
Decide how long a place that takes no calls is paused: a circuit breaker for one cluster and operation.

    CLOSED ── full ─────→ FULL       a pause of fixed length; ends at once when one of our jobs on the cluster ends
       ↑ ─── refused ──→ REFUSING   pauses that double: the cluster's state forbids it
       │ ─── failed ───→ FAILING    pauses that double: a read failed, or the reply to a write was lost
       └──── worked, answered ──┘

After a pause one call at a time is sent as a probe. A call that was sent before the last counted failure changes
nothing: calls that fail together are one failure. Nothing here is random.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

CAREFUL_S: Final = 60.0
"""Seconds after a full cluster's pause in which one submission follows another: most of a burst would be refused."""


class State(enum.StrEnum):
    """State of a place by its last answers."""

    CLOSED = "takes calls"
    FULL = "full"
    REFUSING = "refuses"
    FAILING = "fails"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    MRS's last answer.

    Attributes:
        code: MRS's error code, or its substitute, such as http_503 or no_reply.
        text: the code's meaning, in the relay's words: MRS's own text may quote another request.
    """

    code: str = ""
    text: str = ""


NO_ANSWER: Final = Answer()


@dataclass(frozen=True, slots=True)
class Failure:
    """Outcome of a refused or failed call, sent at `begun_s`: the state that it is evidence for, and the answer."""

    state: State
    answer: Answer
    begun_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds of the first pause, and of the longest; each is twice as long as the one before."""

    first_s: float
    most_s: float

    def after(self, failures: int) -> float:
        """Return the seconds to wait after a number of failures in a row."""
        return min(self.most_s, self.first_s * 2.0 ** min(max(failures, 1) - 1, 30))


@dataclass(slots=True)
class Breaker:
    """
    The state of one place. Moments are monotonic seconds.

    Attributes:
        state: by the last answers.
        answer: the last bad answer.
        since_ms: when the state began, epoch milliseconds.
        until_s: when the pause ends.
        careful_until_s: until then calls are made one at a time, in any state.
    """

    state: State = State.CLOSED
    answer: Answer = NO_ANSWER
    since_ms: int = 0
    until_s: float = 0.0
    careful_until_s: float = 0.0
    _failures: int = 0
    _changed_s: float = float("-inf")

    @property
    def is_closed(self) -> bool:
        """Whether the place takes calls, as far as known; the next call is no probe then."""
        return self.state is State.CLOSED

    def is_forgettable(self, now_s: float) -> bool:
        """Return whether the breaker has nothing to remember: the last pause and its careful time are over."""
        remember_s = 0.0 if self.is_closed else CAREFUL_S
        return max(self.until_s + remember_s, self.careful_until_s) <= now_s

    def one_at_a_time(self, now_s: float) -> bool:
        """Return whether a call waits for the outcome of the one before."""
        return self.state in {State.REFUSING, State.FAILING} or now_s < self.careful_until_s

    def full(self, now_s: float, now_ms: int, wait_s: float, answer: Answer) -> None:
        """Pause the place for a fixed time, because the cluster has no room."""
        self._enter(State.FULL, now_ms, answer)
        self._failures = 0
        self._changed_s = now_s
        self.until_s = now_s + wait_s
        self.careful_until_s = self.until_s + CAREFUL_S

    def failed(self, failure: Failure, now_s: float, now_ms: int, pause: Pause) -> None:
        """Pause the place after a refused or failed call, unless the call belongs to a failure counted before."""
        if failure.begun_s <= self._changed_s:
            return

        if self.state is not failure.state:
            self._failures = 0
        self._enter(failure.state, now_ms, failure.answer)
        self._failures += 1
        self._changed_s = now_s
        self.until_s = now_s + pause.after(self._failures)

    def worked(self, begun_s: float) -> None:
        """Close the breaker after a call that MRS took."""
        if begun_s > self._changed_s:
            self.open()

    def answered(self, begun_s: float) -> None:
        """Note a call that was refused for good: the connection works; the cluster's state stays unknown."""
        if begun_s > self._changed_s and self.state is State.FAILING:
            self.open()

    def open(self) -> None:
        """End the pause, but not the time in which calls are made one at a time."""
        self.state, self.answer, self.until_s = State.CLOSED, NO_ANSWER, 0.0
        self._failures = 0

    def _enter(self, state: State, now_ms: int, answer: Answer) -> None:
        if self.state is not state:
            self.state, self.since_ms = state, now_ms
        self.answer = answer
