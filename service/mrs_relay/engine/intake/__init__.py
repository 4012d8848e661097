"""
Turn Kafka records into facts: requests, invalid requests, cancels; or into dead letters. Pure.

Read `reader` first. `policy` holds what a tenant may do, `policy_check` applies it, and `cancel_routing` sends
cancels to the other partitions. A request becomes a job in `work.job_factory`.
"""
