"""
What the service shows over HTTP: health, readiness and metrics. Read `server` first.

It reads snapshots that others make and changes nothing.
"""
