"""
The rooms behind `kafka/adapter/client.py`: one kind of client a module, the only places that import aiokafka.

They keep the rules that make aiokafka 0.14 safe: errors are mapped in `connection.py`, what was fetched is unpacked in
`unpacking.py`, private attributes are touched there, in `producer.py`, `consumer.py` and `names.py` alone, and a test
fails when one of them disappears. Nothing of the library is changed for its other users. Read `producer.py` first.
"""
