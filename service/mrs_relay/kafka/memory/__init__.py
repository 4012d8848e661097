"""
A broker in memory with the contract of the real one, for tests, simulations and the relay in memory.

Read `memory_broker` first. `memory_group` implements the consumer group, `memory_log` logs and transactions,
`memory_clients` producers, readers and admin clients, `memory_topic_io` the protocols of `topic_io`.
"""
