"""
The Kafka runtime: a handler per owned partition, whose state, records and input offset are committed together.

It owns group membership, fencing, restoring, committing and shutting down; it knows nothing of jobs. What a record
means is left to the handler that `app.py` passes in. Read `lease.py` first (what a handler holds), then `ledger.py`
(how it is restored and committed), then `runtime.py` and `partition_worker.py` (who starts and ends it).
"""
