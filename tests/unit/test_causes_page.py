"""What docs/causes.md shows: settings, a reason with its cause, and a retry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support import doc_code

from mrs_relay import settings
from mrs_relay.messages import reasons
from mrs_relay.messages.requests import base

_SETTINGS, _REASON, _RETRY = [block.text for block in doc_code.blocks("docs/causes.md")]


def _shown(text: str) -> Any:
    return json.loads(text.partition("\n")[2].rpartition("\n```")[0] if text.startswith("```") else text)


def test_the_settings_say_whose_logs_are_shown(tmp_path: Path) -> None:
    """With keys they can be used as they stand."""
    path = tmp_path / "relay.toml"
    keys = '[mrs]\nregion = "cn-north-4"\nproject_id = "p"\naccess_key = "a"\nsecret_key = "s"\n'
    path.write_text(keys + _SETTINGS.removeprefix("```toml\n").removesuffix("\n```"))
    [analysts] = settings.load(path).tenancies
    assert (analysts.policy.causes.path, analysts.policy.causes.detail) == ("obs://lake/logs/", "none")


def test_the_reason_has_a_cause_and_the_log() -> None:
    """As readers of events take it."""
    reason = reasons.Reason.model_validate(_shown(_REASON)["reason"])
    assert reason.cause == "out_of_memory"
    assert "OutOfMemoryError" in (reason.detail or "")


def test_the_retry_names_a_cause() -> None:
    """As requests are read."""
    retry = base.RetryPolicy.model_validate(_shown(_RETRY)["retry"])
    assert list(retry.on) == ["preempted"]
