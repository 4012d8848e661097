"""
Run committed commands against MRS, and report the outcomes as facts.

`submitter` submits a job once, looks lost submissions up, stops and reads jobs; the kind's adapter (`engine.work`)
makes the calls. `cluster_selector` selects a cluster for a request that names none. Read `submitter` first.
"""
