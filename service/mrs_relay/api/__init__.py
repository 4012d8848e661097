"""
The HTTP API of `mrs-relay web`: requests, their events and dead letters, from the read model.

    routes (what there is) → guards → handlers (requests, dead_letters, events) → read_model

It reads the database of `read_model` and never Kafka. Read `routes` first: it is the list of everything that is served,
and the OpenAPI document is made from it.
"""
