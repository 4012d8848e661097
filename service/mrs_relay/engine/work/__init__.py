"""
The kinds of work: one adapter for each kind tells the rest of the engine what it must know of it.

An adapter turns the kind's requests into jobs and answers the pure core; its calls submit to MRS, find a lost
submission again, follow, stop and read it. Nothing else in the engine tests what a job runs. A new kind is a module
here and a line in `kinds`. Read `adapter` first, then `batch_v2`.

`submitter` submits and looks up for all kinds, `cluster_selector` picks a cluster, `job_factory` builds a job from a
request, and `observations`, `results` and `codes` read MRS's replies.
"""
