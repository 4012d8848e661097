"""What the probes see: alive while the loop turns, ready by tenant."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request

import pytest

from mrs_relay.engine import views
from mrs_relay.web import health, server
from mrs_relay.web import settings as web_settings

_ILL = health.Health(ready=False, reasons=("ended, is tried again: missing topics",))
_WELL = health.Health(ready=True, details={"partitions": []})


def _get(port: int, path: str, timeout_s: float = 5.0) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def _asked(now: health.Health, *paths: str) -> list[tuple[int, dict[str, object]]]:
    chosen = web_settings.WebSettings(port=0)
    async with server.serving(chosen, lambda: now, lambda: views.Snapshot((), ())) as port:
        assert port is not None
        return [await asyncio.to_thread(_get, port, path) for path in paths]


async def test_a_process_with_a_tenant_that_is_ill_is_alive_and_ready_and_says_whose_trouble_it_is() -> None:
    """A probe of the process keeps it; one of a tenant tells whether that one is served."""
    now = health.Health(ready=True, reasons=("tenant b: …",), tenants={"a": _WELL, "b": _ILL})
    alive, ready, of_a, of_b, of_c = await _asked(
        now, "/health", "/ready", "/ready?tenant=a", "/ready?tenant=b", "/ready?tenant=c"
    )
    assert alive == (200, {"alive": True})
    assert ready == (200, {"ready": True, "reasons": ["tenant b: …"], "tenants": {"a": of_a[1], "b": of_b[1]}})
    assert of_a == (200, {"ready": True, "reasons": [], "partitions": []})
    assert of_b == (503, {"ready": False, "reasons": list(_ILL.reasons)})
    assert (of_c[0], of_c[1]["reasons"]) == (404, ["there is no tenant 'c'"])


async def test_a_process_without_tenants_is_ready_or_not() -> None:
    """There is no list of tenants; that it is not ready does not make it dead."""
    for now, code in ((_WELL, 200), (_ILL, 503)):
        alive, ready = await _asked(now, "/health", "/ready")
        assert alive[0] == 200
        assert ready == (code, now.as_json())
        assert "tenants" not in ready[1]


async def test_a_loop_that_hangs_answers_no_probe() -> None:
    """`/health` is served by the loop that does all the work: what blocks it makes the probe time out."""
    chosen = web_settings.WebSettings(port=0)
    async with server.serving(chosen, lambda: _WELL, lambda: views.Snapshot((), ())) as port:
        assert port is not None
        outcome: list[BaseException] = []

        def probe() -> None:
            try:
                _get(port, "/health", 0.2)
            except OSError as error:
                outcome.append(error)

        prober = threading.Thread(target=probe)
        prober.start()
        prober.join()  # the loop stands still here, as in a call that blocks
        assert isinstance(outcome[0], TimeoutError)
        assert (await asyncio.to_thread(_get, port, "/health"))[0] == 200


def test_the_health_of_an_unknown_tenant_is_none() -> None:
    """And without a name it is that of the process."""
    assert (_WELL.of(None), _WELL.of("a")) == (_WELL, None)


@pytest.mark.parametrize("named", [True, False])
def test_details_and_tenants_stand_beside_the_reasons(named: bool) -> None:
    """The body's members are a contract."""
    now = health.Health(ready=True, details={"partitions": [1]}, tenants={"a": _ILL} if named else {})
    expected = {"ready": True, "reasons": [], "partitions": [1]}
    assert now.as_json() == ({**expected, "tenants": {"a": _ILL.as_json()}} if named else expected)


@pytest.mark.parametrize(
    ("accept", "kind", "last"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text", "# EOF"),
        ("text/plain", "text/plain", ""),
    ],
)
async def test_metrics_come_in_the_format_that_the_caller_accepts(accept: str, kind: str, last: str) -> None:
    """OpenMetrics has exemplars; a caller that does not name it gets plain text."""

    def get(port: int) -> tuple[str, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.headers["Content-Type"], reply.read().decode()

    chosen = web_settings.WebSettings(port=0)
    async with server.serving(chosen, lambda: _WELL, lambda: views.Snapshot((), ())) as port:
        assert port is not None
        content_type, text = await asyncio.to_thread(get, port)
    assert content_type.startswith(kind)
    assert "mrs_relay_ready 1.0" in text
    assert text.endswith("# EOF\n") is bool(last)
    assert text.count("# EOF") == bool(last)
