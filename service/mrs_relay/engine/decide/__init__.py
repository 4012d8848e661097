"""
Decide what follows from a fact: (job, fact, now) → decision. Pure: no I/O, no clock, no logging.

Read `transitions` first: one line for each fact. `acceptance` decides about new requests, `submission` about
submissions in doubt, `cancellation` about cancels, deadlines, retries and resolutions, `cluster_operations` about
clusters, `internal_errors` about failures of the relay itself. The values are in `engine.model`; events are built by
`engine.event_builder`.
"""
