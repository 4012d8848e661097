"""
The read model of `mrs-relay web`: what the topics say about requests, in a database that can be asked.

    topics → projector → record_reader → store → database → queries, event_log → HTTP

Kafka stays the truth: the database can be deleted at any time and is built again from the topics. This package writes
nothing to Kafka and serves nothing. Read `projector` first, then `tables`.
"""
