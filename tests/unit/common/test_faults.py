"""What is said of an unexpected error: its class and where it was raised, never what it was raised about."""

from __future__ import annotations

import pydantic

from mrs_relay.common import faults


class _Model(pydantic.BaseModel):
    number: int


def _fail() -> None:
    try:
        _Model.model_validate({"number": "hunter2"})
    except pydantic.ValidationError as error:
        raise KeyError("hunter2") from error


def _deep(depth: int) -> None:
    if depth:
        _deep(depth - 1)
    raise ValueError("hunter2")


def _caught(call: object) -> BaseException:
    assert callable(call)
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the subject of the test
        return error
    raise AssertionError


def test_classes_and_places_are_reported_and_values_are_not() -> None:
    """Libraries quote in an error's text what they failed on."""
    error = _caught(_fail)
    assert faults.name(error) == "ValidationError -> KeyError"
    assert "test_faults.py" in faults.stack(error)
    assert "_fail" in faults.stack(error)
    assert "hunter2" not in faults.name(error) + faults.stack(error)


def test_deep_stack_is_reported_in_a_few_lines() -> None:
    """A recursion that went too far would else fill the log."""
    stack = faults.stack(_caught(lambda: _deep(300)))
    assert "more)" in stack
    assert stack.count(" > ") <= 25
    assert "hunter2" not in stack
