"""
Share MRS's budgets between replicas by demand: one replica, the coordinator, grants leases to all.

`coordinator` decides each replica's part and does no I/O. `notes` are the messages between replicas, and `exchange`
carries them beside the consumer group's offsets. Read `coordinator` first. Where no exchange is possible, each replica
spends its static share, by its partitions.
"""
