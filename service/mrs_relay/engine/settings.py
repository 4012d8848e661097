"""Settings of the orchestration."""

from __future__ import annotations

from typing import Annotated

import pydantic

from mrs_relay.common import described
from mrs_relay.engine.model import decisions

Seconds = Annotated[float, pydantic.Field(gt=0)]


class EngineSettings(described.Described):
    """Settings of submitting, following and remembering jobs."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    slots_per_cluster: Annotated[int, pydantic.Field(ge=0)] = 10
    """
    Batch jobs under way on one cluster at the same time; 0 means no limit of ours. MRS answers 0177 above 10. Too small
    leaves the cluster idle; too big costs refused submissions, which wait and are sent again.
    """

    max_in_flight: Annotated[int, pydantic.Field(ge=1)] = 64
    """
    Submissions of this process that wait for their reply at the same time. Bounds the load on MRS. A free place goes to
    the tenant with the fewest, then to its cluster with the fewest. One cluster alone has seven eighths at most; where
    there are several tenants, one tenant has seven eighths and a cluster three quarters at most.
    """

    max_others_in_flight: Annotated[int, pydantic.Field(ge=1)] = 8
    """
    The same for other writes of `mrs.call` and of cluster requests, once more for reads, and once more for look-ups:
    each kind has places of its own, so that calls that hang keep no submission waiting. 64 and three times 8 leave 12
    of `mrs.max_connections` to those who follow jobs; 8 reads of 0.2 s each use up every documented read quota.
    """

    max_intents: Annotated[int, pydantic.Field(ge=1)] = 512
    """
    Submissions of this process between their turn and their reply: being committed, waiting to be sent, or in flight.
    Too small and commits limit the rate; too big and a slow MRS makes intents older than `send_within_s`. Other writes
    and reads have no more than `max_others_in_flight`.
    """

    send_within_s: Seconds = 5.0
    """Seconds after its commit within which a submission must be sent; later it is queued again, unsent."""

    settle_s: Seconds = 45.0
    """
    Seconds to wait after a lost reply before looking for the job: long enough for a request to arrive that was on its
    way. Must be more than `send_within_s` plus the client's `call_timeout_s`; smaller risks a second job.
    """

    visibility_s: Seconds = 60.0
    """Seconds for which a fresh job may be missing from MRS's list. Smaller risks a second job after a lost reply."""

    look_up_interval_s: Seconds = 10.0
    """Seconds between two looks for a job whose reply was lost."""

    repeat_attempts: Annotated[int, pydantic.Field(ge=1, le=1000)] = 5
    """
    Times that one attempt is sent at most if its replies are lost and MRS offers nothing to look up: a Presto statement
    that reads, a call that may be repeated. Then it is `unknown`. Each time may put the same load on a cluster, so few;
    1 repeats nothing.
    """

    resubmit_attempts: Annotated[int, pydantic.Field(ge=1, le=1000)] = 20
    """
    Times that one attempt is sent at most if its replies are lost and it surely had no effect: a batch job or an order
    of a cluster whose look-ups find nothing, a call that reads. Then it is `unknown`. With the waits between them this
    outlasts two hours of outage.
    """

    repeat_backoff_s: Seconds = 10.0
    """
    Seconds to wait before an attempt whose reply was lost is sent again; doubles each time, up to ten minutes. The
    first repetition after a look-up waits no longer, for the look-up took its time. Smaller repeats sooner into an
    outage.
    """

    busy_wait_s: Seconds = 15.0
    """
    Seconds to leave a cluster alone after it said that it is full, unless one of our jobs on it ends earlier; and the
    first wait after it said that its state forbids jobs.
    """

    busy_most_s: Seconds = 300.0
    """
    Seconds between two tries of a cluster whose state forbids jobs, at most; the wait doubles from `busy_wait_s`. While
    others wait for the quota, all such tries together take 4 % of it. Bigger wastes fewer calls; a cluster that is back
    is noticed so much later.
    """

    priority_aging_s: Seconds = 120.0
    """
    Seconds of waiting that are worth one step of priority. A job of priority 0 is before every one of priority 9 that
    arrives nine times as long after it (18 minutes); one of priority 9 overtakes those of the default priority 5 that
    have waited up to four times as long (480 of them at 60 submissions a minute). Bigger makes priorities stricter and
    lets low ones wait longer.
    """

    queue_deadline_s: Annotated[float, pydantic.Field(ge=0, le=31_536_000)] = 0.0
    """
    Seconds that a request may wait for its submission if neither it nor its tenant names a `queue_deadline_s`; then it
    ends `cancelled`, and says what it waited for. 0: for ever, because a job for a cluster that is down over night is
    wanted in the morning, and only its sender knows better.
    """

    poll_interval_s: Seconds = 5.0
    """Seconds between two polls of a cluster's jobs. Smaller shows changes sooner and costs more read quota."""

    list_page: Annotated[int, pydantic.Field(ge=10, le=1000)] = 100
    """Jobs per page of a list call. 100 is what production clients of MRS use; more is not documented."""

    single_reads: Annotated[int, pydantic.Field(ge=0)] = 2
    """Up to so many jobs of a cluster are read one by one instead of by list. More cost more reads than a list does."""

    vanish_after_s: Seconds = 300.0
    """
    Seconds after which a job that MRS no longer shows becomes `unknown`. Takeovers do not extend it. Only time in which
    MRS answers counts, and a gap between two owners only up to three fifths of it: in a longer one no replica polled.
    """

    outcome_within_s: Seconds = 3600.0
    """
    Seconds after which a job that has ended on MRS, which does not say how, or that is in a state which no document
    knows, becomes `unknown`; counted as for `vanish_after_s`.
    """

    cluster_poll_s: Seconds = 15.0
    """Seconds between two looks at a cluster that is being created, resized or deleted."""

    cluster_settle_s: Seconds = 900.0
    """Seconds after which a resize or deletion that does not show on MRS becomes `unknown`, and an ordered cluster that
    MRS has not shown yet counts as failed."""

    clusters_fresh_s: Seconds = 10.0
    """
    Seconds for which the list of clusters, and how busy they are, is good for choosing one by name or tags. Smaller
    sees changes sooner and costs more of the read quota: a call for 100 clusters, and one for each of five candidates.
    """

    choose_within_s: Seconds = 3600.0
    """Seconds that a request waits while the clusters it names by name or tags are there but do not run; then it is
    rejected."""

    collect_within_s: Seconds = 45.0
    """
    Seconds from the moment a job is seen to have succeeded within which its rows are read, restarts included; then it
    is reported without them. Longer delays successes whose rows cannot be read; shorter loses rows to a short failure.
    """

    late_rows_s: Annotated[float, pydantic.Field(ge=0, le=86_400)] = 3600.0
    """
    Seconds after such a success for which rows that OBS has not given out are read further, restarts included; they
    come in an event of their own, which otherwise says that they have not come. 0: they are not read, and `succeeded`
    is the last word. Longer outlasts longer outages of OBS; each such request stays in memory until then.
    """

    max_late_rows: Annotated[int, pydantic.Field(ge=0)] = 1000
    """
    Requests of one partition whose rows come late, at the same time; each takes about 4 KiB of memory. A further one
    whose rows OBS has not given out succeeds without them for good, and says so.
    """

    result_job_types: frozenset[str] = frozenset({"SparkSql", "SparkScript"})
    """Job types whose rows are read after success. MRS documents the call for these two only."""

    inline_result_bytes: Annotated[int, pydantic.Field(ge=0, le=900_000)] = 65_536
    """Bytes of rows that an event carries; more are cut off and the event says so."""

    progress_step: Annotated[float, pydantic.Field(gt=0, le=100)] = 10.0
    """Per cent by which a job's progress must change before an event reports it."""

    kill_again_s: Seconds = 30.0
    """Seconds after which MRS is asked again to stop a job that continues."""

    cancel_wait_s: Seconds = 3600.0
    """
    Seconds for which a cancel waits for a request that has not come yet; then it is rejected, once everything has been
    read that was sent before, on all partitions.
    """

    max_waiting_cancels: Annotated[int, pydantic.Field(ge=0)] = 10_000
    """
    Cancels of one partition that wait for a request that has not come yet; each takes about 2 KiB of memory. Further
    ones wait for ten seconds only, time enough for another partition to say that it has the request.
    """

    remember_s: Seconds = 7 * 24 * 3600.0
    """
    Seconds for which a finished request answers for its id; up to a 512th of them later the same id starts a new job.
    Until then it takes 25 bytes of memory, and its record in the ledger. Of an id that is used again within a day, a
    look-up after a lost reply cannot distinguish the earlier job from the new one.
    """

    remember_rejected_s: Seconds = 3600.0
    """
    Seconds for which a rejected request answers for its id, so that its events continue counting when it is sent again,
    corrected. After that they begin again at 1. Larger costs memory while many bad messages come; `remember_s` is for
    requests that were accepted.
    """

    max_rejected: Annotated[int, pydantic.Field(ge=1)] = 10_000
    """
    Rejected requests of one partition that are remembered; each takes about 700 bytes of memory. A further one makes
    the oldest be forgotten, as if its `remember_rejected_s` had passed.
    """

    max_request_bytes: Annotated[int, pydantic.Field(ge=1024)] = 524_288
    """Bytes of a request message; larger ones are rejected. MRS takes 150,000 characters of arguments."""

    batch_records: Annotated[int, pydantic.Field(ge=1)] = 300
    """Messages and facts decided in one commit at most; the event loop does nothing else meanwhile, some 30 ms."""

    def decisions(
        self, spark_parent: str | None = None, logs: decisions.LogRules | None = None, keep_rows_s: float = 0
    ) -> decisions.DecisionConfig:
        """
        Return what decisions need to know of these settings.

        Args:
            spark_parent: see `DecisionConfig`.
            logs: the same.
            keep_rows_s: the same, in seconds.
        """
        return decisions.DecisionConfig(
            remember_ms=round(self.remember_s * 1000),
            progress_step=self.progress_step,
            cancel_wait_ms=round(self.cancel_wait_s * 1000),
            repeat_attempts=self.repeat_attempts,
            resubmit_attempts=self.resubmit_attempts,
            repeat_backoff_ms=round(self.repeat_backoff_s * 1000),
            collect_within_ms=round(self.collect_within_s * 1000),
            late_rows_ms=round(self.late_rows_s * 1000),
            remember_rejected_ms=round(self.remember_rejected_s * 1000),
            second_look_ms=round((self.settle_s + self.visibility_s) * 1000),
            spark_parent=spark_parent,
            keep_rows_ms=round(keep_rows_s * 1000),
            logs=logs,
        )
