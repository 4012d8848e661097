"""Many tenants, clusters and jobs in four replicas: a small version of `bench/fleet.py`."""

from __future__ import annotations

from bench import fleet


def test_many_jobs_are_taken_over_and_the_quota_is_used_without_a_long_stop_of_the_loop() -> None:
    """The longest callback takes CPU time; it may be twice that of the benchmark, as tests have neighbours."""
    found = fleet.measure(fleet.Size(tenants=2, clusters=40, jobs=4_000), minutes=1, rest_s=70.0)
    assert found["used"] >= 0.95
    assert found["throttled"] == 0
    assert found["reads_per_minute"] > 60
    assert found["blocked_ms"] < 100, found["phases"]
