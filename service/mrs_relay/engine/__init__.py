"""
Turn requests into MRS jobs and publish each status change, from a request to the job's last event.

`relay` is the loop of one partition, in five steps. `transitions` is the pure core; `jobs`, `facts` and `commands` are
its types. `executor` runs commands after the commit, by means of `submitter`, `job_tracker` and `scheduling`. Read
`relay` first, then `facts`, `transitions` and `submitter`.
"""
