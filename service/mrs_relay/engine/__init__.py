"""
The orchestration: from a request to the job's last event.

`relay` is the loop of one partition, in five steps. `decide` is the pure core; `jobs`, `facts` and `commands` are its
words. `perform` acts after the commit, with `submitter`, `tracker` and `scheduling` as its hands. Read
`relay` first, then `facts`, `decide` and `submitter`.
"""
