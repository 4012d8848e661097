"""
The clients of `kafka/adapter/client.py`: one kind of client a module, and the only modules that import aiokafka.

They keep the rules that make aiokafka 0.14 safe: errors are mapped in `connection.py`, fetched batches are unpacked in
`unpacking.py`, and a test fails when a private attribute that we use disappears. The library is not changed for its
other users. Read `producer.py` first.
"""
