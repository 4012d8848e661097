"""
The HTTP API of `mrs-relay web`: answers from the read model, and messages to Kafka.

    guards → routes (what there is) → requests, streams → read_model
                                    → submissions → client.sending → Kafka

It reads the database of `read_model`, never Kafka; what it sends are messages, as any sender's. Read `routes` first: it
is the list of everything that is served, and the OpenAPI document is made from it.
"""
