"""
Ledgers as files: a ledger partition is read as a snapshot, written to a file, and filled from one on another Kafka.

None of this runs in a relay, and nothing here knows what a value means. Read `ledger_file.py` first (the format), then
`snapshot.py` (reading without ownership), then `filling.py` (writing as an owner).
"""
