"""
The rooms behind `stream/client.py`: one kind of client a module, the only places that import aiokafka.

They keep the rules that make aiokafka 0.14 safe: errors are mapped in `connection.py`, private attributes are
touched in `producer.py` and `consumer.py` alone, and a test fails when one of them disappears. Read `producer.py`
first.
"""
