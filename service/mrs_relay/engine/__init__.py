"""
The orchestration: from a request to the job's last event.

`relay` is the loop of one partition, in five steps. `transitions` is the pure core; `jobs`, `facts` and `commands` are
its types. `executor` acts after the commit, by `submitter`, `job_tracker` and `scheduling`. Read `relay` first, then
`facts`, `transitions` and `submitter`.
"""
