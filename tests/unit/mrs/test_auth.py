"""The key pair signer: which headers it sends, and what it prepares for a whole second."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.mrs import support

from mrs_relay.mrs import auth

VECTORS: list[dict[str, Any]] = json.loads(pathlib.Path(__file__).with_name("vectors.json").read_text("utf-8"))


def _signer(clock: clocks.HandClock, **changes: object) -> auth.KeySigner:
    group = support.group(**changes)
    assert group.access_key is not None
    assert group.secret_key is not None
    assert group.project_id is not None
    keys = auth.Keys(group.access_key, group.secret_key, group.security_token)
    return auth.KeySigner(keys, group.host, group.project_id, clock)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_headers_carry_the_published_signature(number: int) -> None:
    """With the vector's keys and date, the signer sends exactly the vector's Authorization header."""
    vector = VECTORS[number]
    token = vector["headers"].get("X-Security-Token")
    changes = {"access_key": vector["access"], "secret_key": vector["secret"], "security_token": token}
    clock = clocks.HandClock(1_795_419_000_000 + number * 1000)
    signer = _signer(clock, endpoint=f"https://{vector['host']}", **changes)
    headers = signer.headers(vector["verb"], vector["path"], "", vector["body"].encode())
    assert headers == {**vector["headers"], "Authorization": vector["authorization"]}


def test_a_new_second_has_a_new_date_and_signature() -> None:
    """What is prepared for one second is not used in the next."""
    clock = clocks.HandClock(support.START_MS + 998)
    signer = _signer(clock)
    first = signer.headers("GET", "/v2/a", "", b"")
    clock.wall_ms += 1
    assert signer.headers("GET", "/v2/a", "", b"") == first
    clock.wall_ms += 1
    second = signer.headers("GET", "/v2/a", "", b"")
    assert second["X-Sdk-Date"] > first["X-Sdk-Date"]
    assert second["Authorization"] != first["Authorization"]


def test_headers_of_one_call_are_its_own() -> None:
    """A change of one call's headers does not reach another call."""
    signer = _signer(clocks.HandClock())
    signer.headers("GET", "/v2/a", "", b"")["Host"] = "elsewhere"
    assert signer.headers("GET", "/v2/a", "", b"")["Host"] == "mrs.example.com"


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://mrs.example.com:443", "mrs.example.com"),
        ("http://mrs.example.com:80", "mrs.example.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("https://mrs.example.com:8443", "mrs.example.com:8443"),
    ],
)
def test_the_host_header_leaves_a_default_port_out(endpoint: str, host: str) -> None:
    """The signed Host equals the one that an HTTP library would send."""
    assert _signer(clocks.HandClock(), endpoint=endpoint).headers("GET", "/", "", b"")["Host"] == host


async def test_a_key_pair_cannot_be_renewed() -> None:
    """There is no second pair to try after MRS has refused the first."""
    assert await _signer(clocks.HandClock()).renew() is False
