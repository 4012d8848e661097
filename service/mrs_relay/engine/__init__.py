"""
Turn requests into MRS jobs and publish each status change, from a request to the job's last event.

`relay` is the loop of one partition, in five steps: take records and facts, read them (`intake`), decide (`decide`,
pure, on the values of `model`), commit (`unit_of_work`), and run commands (`executor`, by means of `scheduling`,
`execution` and `trackers`). Read `relay` first, then `model.facts`, `decide.transitions` and `execution.submitter`.
"""
