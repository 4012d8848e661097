"""
The way of one request, and what all operations share: routes, checks, refusals, settings, clock, what is remembered.

Read `core.py` first, then `routes.py`, `state.py` and `persistence.py`. Trouble on order is `faults.py` and
`fault_effects.py`.
"""
