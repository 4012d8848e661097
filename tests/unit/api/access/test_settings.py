"""Settings of who may call: those of docs/access.md are read, and half of them is refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pydantic
import pytest
from tests.support import doc_code

from mrs_relay.api import settings


def test_the_settings_of_the_page_are_read() -> None:
    """With these the API may listen where others reach it."""
    blocks = [block.text for block in doc_code.blocks("docs/access.md") if block.language == "toml"]
    assert len(blocks) == 3
    for block in blocks:
        api = settings.ApiSettings.model_validate({"host": "0.0.0.0", **tomllib.loads(block)["api"]})  # noqa: S104
        assert api.access.is_set


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"access": {"oidc": {"issuer": "https://login.example"}}}, "audience: needed"),
        ({"access": {"oidc": {"issuer": "http://login.example", "audience": "x"}}}, "expected https://"),
        ({"access": {"oidc": {"grants": {"team": "owner@*"}}}}, "expected ROLE@TENANT"),
        ({"tls": {"client_authorities": "ca.pem"}}, "certificate: needed"),
        ({"addresses": ["mrs.example"]}, "pattern"),
        ({"addresses": ["https://mrs.example/path"]}, "pattern"),
    ],
)
def test_settings_that_would_let_in_or_lock_out_by_mistake_are_refused(given: dict[str, Any], words: str) -> None:
    """Before the start, with what to change."""
    with pytest.raises(pydantic.ValidationError, match=words):
        settings.ApiSettings.model_validate(given)
