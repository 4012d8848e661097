"""
The orchestration: from a request to the job's last event.

`relay` is the loop of one partition, in five steps. `transitions` is the pure core; `jobs`, `facts` and `commands` are
its words. `executor` acts after the commit, with `submitter`, `job_tracker` and `scheduling` as its hands. Read
`relay` first, then `facts`, `transitions` and `submitter`.
"""
