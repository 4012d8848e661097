"""
What may come in and what goes out: pure functions and models, no I/O, no clock.

`envelope` is CloudEvents on Kafka, `requests` and `events` are the models, `registry` names their types, `reasons` is
the closed list of what can go wrong and `codec` is the only JSON on the way. The contract is made from them: `schema`,
`asyncapi` and `examples` make the documents, `export` writes `schemas/`, `compat` judges changes, `checking` messages.
Read `requests` first.
"""
