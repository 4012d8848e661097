"""
Write OpenLineage run events: a START and an end for each attempt of a job, in the transaction of its change of state.

`runs` says which run events follow from a decision, `run_events` builds them, `datasets` names what a job reads and
writes, `statements` takes SQL apart (the only module here that imports sqlglot), and `recorder` collects the events of
one unit of work. `spark_parent` adds the run as parent to the arguments of Spark programs. Read `runs` first.
"""
