"""
Utilities that are independent of Kafka, MRS and jobs.

`clock` reads the time, `tasks` owns background tasks, `backoff` computes retry delays, `logs` sets up structlog. They
are independent of each other.
"""
