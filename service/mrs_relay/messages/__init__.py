"""
What may come in and what goes out: pure functions and models, no I/O, no clock.

`envelope` is CloudEvents on Kafka, `requests` and `events` are the models, `registry` names their types, `reasons` is
the closed list of what can go wrong, `codec` is the only JSON on the way and `digests` says which requests are equal.
The contract is made from them: `schema`, `asyncapi` and `examples` make the documents, `export` writes `schemas/`,
`compat` judges changes, `checking` messages. Read `requests` first.
"""
