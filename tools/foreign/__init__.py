"""Clients that others wrote for MRS and OBS, run unmodified against the emulator (`make foreign-clients`)."""
