"""Run one SQL statement through the relay and print its rows: `python run_sql.py BOOTSTRAP CLUSTER [PREFIX]`."""

import asyncio
import sys

from mrs_relay import client as relay_client
from mrs_relay.kafka import settings


async def main(bootstrap: str, cluster: str, prefix: str = "mrs") -> None:
    """Submit, wait, print."""
    topics = settings.Topics(requests=f"{prefix}.requests", events=f"{prefix}.events")
    kafka = settings.KafkaSettings(bootstrap_servers=bootstrap, topics=topics)
    async with relay_client.RelayClient(kafka, source="/examples") as client:
        handle = await client.submit(relay_client.sql(cluster, "spark", "SELECT 1 AS one"))
        try:
            data = await handle.result(timeout_s=120)
        except relay_client.RequestEnded as error:
            sys.exit(f"no rows: {error}")
        for statement in data.result.statements if data.result else ():  # none where the statement has no rows
            print(statement.rows)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
