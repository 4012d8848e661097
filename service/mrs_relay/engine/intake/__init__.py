"""
Turn Kafka records into facts (requests, invalid requests, cancels) or into dead letters. Pure.

Read `reader` first. `policy` holds the rules of a tenant, `policy_check` applies them, and `cancel_routing` sends
cancels to the other partitions. `job_factory` makes a job of a request.
"""
