"""
Who may submit next, and why a job waits.

    queued job → entries.QueueEntry → scheduler.SubmissionScheduler → Turn → commit → lanes.InFlight → MRS
                                            │
                     queues: a ClusterQueue for each cluster and operation, in it a TenantQueue for each tenant
                     breaker: how long a cluster is left alone that takes no calls
                     lanes: how many calls may be under way, shared by tenants and their clusters
                     quota: what a tenant may have under way
                     waits: the reason why an entry waits

An entry goes when its cluster has a slot, its tenant is within its limits, its lane has a place, nothing is paused and
the write quota has a token. Tenants take turns, and so do the queues of each tenant. Within a queue the order is fixed
when an entry is made: arrival, moved forward by `priority_aging_s` for each step of priority.

Read `scheduler.py` first, then `breaker.py` and `lanes.py`.
"""
