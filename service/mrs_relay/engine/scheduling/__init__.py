"""
Schedule submissions: choose who submits next, and say why a job waits.

    queued job → entries.QueueEntry → scheduler.SubmissionScheduler → Admitted → commit → lanes.InFlight → MRS
                                            │
                     fair_queue: the next entry; tenants take turns, and so do the queues of each tenant
                     admission: whether an entry may go now, by these parts:
                        queues   a ClusterQueue for each cluster and operation, in it a TenantQueue for each tenant
                        slots    which jobs hold a slot of a cluster
                        lanes    how many calls may be under way, shared by tenants and their clusters
                        pauses   how long a connection or a cluster takes no calls; breaker: the state of one cluster
                        tokens   the write quota, and the part of it for probes
                        quota    a tenant's usage against its limits
                     waits: the reason why an entry waits
     overview: slots, pauses and queues at one moment, for people

An entry is admitted when its cluster has a slot, its tenant is within its limits, its lane has a place, nothing is
paused and the write quota has a token. Tenants take turns, and so do the queues of each tenant. Within a queue the
order is fixed when an entry is made: arrival, moved forward by `priority_aging_s` for each step of priority.

Read `scheduler.py` first, then `fair_queue.py` and `admission.py`.
"""
