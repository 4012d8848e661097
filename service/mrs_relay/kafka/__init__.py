"""
The Kafka runtime: a handler per owned partition, whose state, records and input offset are committed together.

It owns group membership, fencing, restoring, committing and shutting down; it knows nothing of jobs. What a record
means is left to the handler that `wiring.py` passes in. Read `lease.py` first (the interface of a handler), then
`ledger.py` (restore and commit), then `runtime.py` and `partition_worker.py` (start and end of a lease).
"""
