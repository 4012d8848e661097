"""
A broker in memory with the contract of the real one, for tests, simulations and the relay in memory.

Read `memory_broker` first; `memory_group` is the consumer group, `memory_log` logs and transactions,
`memory_topic_io` what `topic_io` needs.
"""
