"""A service that runs a nightly report through the relay; `test_nightly.py` tests it without Kafka."""

from mrs_relay.client import RelayClient, RequestFailed, sql


async def report(client: RelayClient, cluster: str, day: str) -> str:
    """Return the report's figure, or why there is none; run again for the same day, the job is not repeated."""
    statement = f"SELECT sum(amount) AS total FROM sales WHERE day = '{day}'"  # noqa: S608 - the day is our own
    request = sql(cluster, "spark", statement, priority=7, run_deadline_s=3600)
    handle = await client.submit(request, request_id=f"nightly-{day}")
    try:
        data = await handle.result(timeout_s=2 * 3600)
    except RequestFailed as failed:
        return f"no report: {failed}"
    if data.result is None or not data.result.statements:
        return f"the report of {day} was made before"
    return f"total of {day}: {data.result.statements[0].rows[0]['total']}"
