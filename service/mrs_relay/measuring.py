"""
Measure a running service, and take its snapshot for metrics.

Most numbers are there anyway, and are read when Prometheus asks. `Meter` runs beside the service for the others: how
late the event loop is, for how long calls were held back, jobs by state, and when certificates expire.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from mrs_relay import settings as all_settings
from mrs_relay import wiring
from mrs_relay.common import certificates, clock, histograms, tasks
from mrs_relay.engine import job_census, pause_times, probe, status_report, views

_TICK_S: Final = 0.5
_CERTIFICATES_S: Final = 60.0


class Meter:
    """
    Measure what nothing else counts.

    Args:
        served: the tenants.
        settings: name the files of TLS.
        time: the clock.

    Attributes:
        loop_delay: how late the event loop ran what was due.
        pauses: connection -> seconds in which it and its clusters were paused.
        censuses: tenant -> counts of its jobs.
        certificates: see `views.Snapshot`.
    """

    def __init__(
        self, served: Sequence[wiring.TenantService], settings: all_settings.Settings, time: clock.Clock
    ) -> None:
        self.loop_delay = histograms.Histogram(histograms.DELAYS_S)
        self.pauses = {one.connection.name: pause_times.PauseTimes() for one in served}
        self.censuses = {
            one.tenant.name: job_census.JobCensus(one.context.held, one.context.settings, time) for one in served
        }
        self.certificates: Mapping[str, float] = {}
        self._connections = {one.connection.name: one.connection for one in served}
        self._files = list(_certificate_files(served, settings))

    def start(self, supervisor: tasks.TaskSupervisor) -> None:
        """Begin to measure, as tasks of the supervisor."""
        supervisor.start(self._tick(), name="loop delay and pauses")
        for name, census in self.censuses.items():
            supervisor.start(census.run(), name=f"job census {name}".strip())
        if self._files:
            supervisor.start(self._read_certificates(), name="certificates")

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = loop.time()
            self.loop_delay.add(max(0.0, now_s - last_s - _TICK_S))
            self._add_pauses(now_s - last_s)
            last_s = loop.time()

    def _add_pauses(self, elapsed_s: float) -> None:
        for name, one in self._connections.items():
            self.pauses[name].add(
                elapsed_s,
                throttled=one.client.limits.held_s > 0,
                unreachable=one.scheduler.pauses.is_unreachable,
                places=(paused.place for paused in one.scheduler.paused()),
            )

    async def _read_certificates(self) -> None:
        while True:
            self.certificates = await asyncio.to_thread(certificates.expiries, self._files)
            await asyncio.sleep(_CERTIFICATES_S)


def _certificate_files(
    served: Sequence[wiring.TenantService], settings: all_settings.Settings
) -> Iterator[tuple[str, pathlib.Path]]:
    """Yield the files of certificates in use with the name of their setting."""
    for one in served:
        security = one.tenant.kafka.security
        for name, path in (("ca_file", security.ca_file), ("cert_file", security.cert_file)):
            if path is not None:
                yield f"kafka.security.{name}", path
        ca_file = settings.connection(one.connection.name).ca_file
        if ca_file is not None:
            yield "mrs.ca_file", ca_file


def snapshot(
    served: Sequence[wiring.TenantService], probes: Mapping[str, probe.Probe], meter: Meter | None = None
) -> views.Snapshot:
    """Return the counts and queues of all tenants and connections at this moment; nothing in it walks over all jobs."""
    connections = {one.connection.name: one.connection for one in served}
    controls = served[0].context.controls  # all tenants have the same
    loop_delay = histograms.Histogram(histograms.DELAYS_S) if meter is None else meter.loop_delay
    return views.Snapshot(
        tuple(_tenant(one, probes[one.connection.name], meter) for one in served),
        tuple(_connection(one, meter) for one in connections.values()),
        tuple(controls),
        controls.rejected,
        controls.draining,
        loop_delay,
        {} if meter is None else meter.certificates,
        served[0].context.time.now_ms(),
    )


def _tenant(one: wiring.TenantService, mrs: probe.Probe, meter: Meter | None) -> views.Tenant:
    quota, kafka = one.context.quota, one.kafka.status()
    return views.Tenant(
        one.tenant.name,
        one.context.counts,
        quota.queued,
        quota.running,
        kafka.ready and mrs.problem is None,
        kafka,
        one.kafka.counts,
        job_census.Census() if meter is None else meter.censuses[one.tenant.name].last,
    )


def _connection(one: wiring.Connection, meter: Meter | None) -> views.Connection:
    clusters = one.scheduler.overview(status_report.MOST_CLUSTERS, 0).clusters
    return views.Connection(
        one.name,
        one.sending.taken,
        one.tracker.followed,
        one.tracker.lag,
        one.scheduler.waiting_by_cause(),
        one.scheduler.paused(),
        clusters,
        one.client.counts,
        status_report.budgets_of(one.client.limits),
        pause_times.PauseTimes() if meter is None else meter.pauses[one.name],
        one.submitter.log_counts,
    )
