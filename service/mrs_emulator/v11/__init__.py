"""
Jobs and data of V1.1: 23 operations over four kinds of rows.

Read `oldapi.py` first, then `oldjobs.py` and `runs.py`.
"""
