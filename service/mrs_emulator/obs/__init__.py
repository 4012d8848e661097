"""
OBS over HTTP: signed S3 requests and OBS's own, over the folder that `sql/obs.py` shares with jobs.

Read first: `service.py`, the way of a request. Only the standard library and `core` are used, apart from `listener.py`.
"""
