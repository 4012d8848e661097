"""
The messages of the relay, requests and events: pure functions and models, no I/O, no clock.

`envelope` is CloudEvents on Kafka, `requests` and `events` are the models, `registry` names their types, `reasons` is
the closed list of reasons for a bad end, `codec` reads and writes all JSON and `digests` says which requests are equal.
The contract is made from the models: `schema`, `asyncapi` and `examples` make the documents, `export` writes
`schemas/`, `compat` checks changes of schemas, `checking` checks messages. Read `requests` first.
"""
