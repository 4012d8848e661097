"""
Adapt the engine to each kind of work: batch jobs, SQL statements, calls, operations on clusters.

An adapter turns the kind's requests into jobs and answers the questions of the pure core. Its calls submit a job to
MRS, find a lost submission again, and follow, stop and read the job. No other module of the engine depends on the kind
of a job. A new kind is a module here and a line in `kinds`. Read `adapter` first, then `batch_v2`.

Three modules serve all adapters: `observations`, `results` and `codes` read MRS's replies.
"""
