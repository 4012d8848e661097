"""
Decide what follows from a fact: (job, fact, now) → decision. Pure: no I/O, no clock, no logging.

Read `transitions` first: one line for each fact. `acceptance` handles new requests, `submission` submissions in doubt,
`cancellation` cancels, deadlines, retries and resolutions, `cluster_operations` clusters, and `internal_errors`
failures of the relay itself. The values are in `engine.model`; `engine.event_builder` builds the events.
"""
