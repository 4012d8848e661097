"""The scripted relay in memory, under its public name: see `testing.scripted`."""

from mrs_relay.testing.scripted import Relay

__all__ = ["Relay"]
