"""
The socket around the emulator, its page for people, and its own paths under /emulator.

Read `server.py` first.
"""
