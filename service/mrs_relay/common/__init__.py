"""
Small tools that know nothing of Kafka, MRS or jobs.

`clock` tells the time, `tasks` owns background tasks, `backoff` spaces out tries, `logs` sets up structlog. They are
independent of each other.
"""
