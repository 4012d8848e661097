"""
Shares MRS's budgets between replicas by demand: leases that one replica, the coordinator, grants to all.

`coordinator` decides who may spend what and does no I/O, `notes` is what the replicas tell each other, `exchange`
carries it beside the consumer group's offsets. Read `coordinator` first. Where no exchange is possible each replica
spends its static share, by its partitions.
"""
