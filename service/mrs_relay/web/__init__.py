"""
The HTTP interface of the service: health, readiness and metrics. Read `server` first.

It reads snapshots that other packages make, and changes nothing.
"""
