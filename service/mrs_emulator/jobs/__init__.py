"""
Jobs of V2: submit, read, list, kill, delete.

Read `life.py` first (a job over time, pure), then `rules.py` (how scripted jobs behave) and `jobs.py`.
"""
