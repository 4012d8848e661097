"""
Jobs and data of V1.1: 23 operations over four kinds of rows.

Read `v11_api.py` first, then `v11_jobs.py` and `v11_runs.py`.
"""
