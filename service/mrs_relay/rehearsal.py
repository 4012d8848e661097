"""The relay in memory with the real engine, under its public name: see `testing.rehearsal`."""

from mrs_relay.testing.rehearsal import ATTENTIVE, QUICK, Relay

__all__ = ["ATTENTIVE", "QUICK", "Relay"]
