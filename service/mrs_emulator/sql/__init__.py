"""
SQL that really runs: Spark, Hive and Presto on DuckDB over the files of a folder.

Read `sql.py` first (the warehouse, the one door to DuckDB), then `dialect.py` (text to statements), `checks.py`
(mistakes, in the engines' words) and `meaning.py` (what is played, and what it means), `sql_jobs.py` (SQL as batch
jobs) and `presto.py` (SQL statements).
"""
