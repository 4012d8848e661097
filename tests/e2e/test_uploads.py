"""`mrs-relay submit job --upload`, with real processes: the script of a job lies in OBS before the job runs it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from tests.support import brokers, ports, service

SCRIPT = "CREATE TABLE uploaded AS SELECT 40 + 2 AS n;\nSELECT n FROM uploaded;\n"


def test_job_runs_a_script_that_its_sender_has_uploaded_once(embedded: brokers.TansuNode, tmp_path: Path) -> None:
    """The relay has no keys of OBS, and Kafka never sees the script; the second request finds it there."""
    script = tmp_path / "report.sql"
    script.write_text(SCRIPT)
    objects, obs_port = tmp_path / "obs", ports.free_port()
    (objects / "lake").mkdir(parents=True)
    flags = ("--obs", str(objects), "--obs-port", str(obs_port), "--speed", "20")
    with service.emulator(tmp_path, *flags) as mrs:
        name = f"uploads-{time.monotonic_ns()}"
        here = service.Deployment(embedded.bootstrap, name, mrs.url, tmp_path, "at-least-once")
        here.create_topics(2)
        keys = {"ACCESS_KEY": "EMULATORACCESSKEY001", "SECRET_KEY": "emulator-secret-key-for-local-use-only"}
        where = {"ENDPOINT": f"http://127.0.0.1:{obs_port}", "PATH_STYLE": "true", **keys}
        own = {"UPLOADS__PATH": "obs://lake/programs", **{f"OBS__{one}": value for one, value in where.items()}}
        sender = service.Deployment(here.bootstrap, name, mrs.url, tmp_path, "at-least-once", own)

        relay = here.start_relay("one")
        try:
            job = ("submit", "job", "--cluster", service.CLUSTER, "--type", "SparkScript", "--upload", str(script))
            first, second = [sender.command(*job, "--wait") for _ in range(2)]
        finally:
            relay.kill()

    path = f"lake/programs/{hashlib.sha256(SCRIPT.encode()).hexdigest()}/report.sql"
    assert (objects / path).read_text() == SCRIPT
    assert [code for code, _ in (first, second)] == [0, 1]  # the script makes a table, which is there the second time
    assert f"report.sql uploaded to obs://{path}" in " ".join(first[1].split())
    assert f"report.sql is there already: obs://{path}" in " ".join(second[1].split())
    assert "succeeded" in first[1]
    assert keys["SECRET_KEY"] not in first[1] + second[1]
