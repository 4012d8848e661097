"""
Poll MRS for the jobs and clusters that are under way, and report changes as facts.

Read `job_tracker` first; `tracked_jobs` holds its records of each job, `cluster_tracker` follows clusters.
"""
