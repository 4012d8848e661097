"""
The 22 TPC-H queries with the standard's validation parameters, in SQL that Presto, Spark and Hive all accept.

They run on the tables that `tpchgen-cli parquet` writes. Two differ from the standard's text to stay within the common
dialect: query 13 names its columns inside the subquery, query 15 uses WITH instead of a view.

Source: TPC-H standard specification 3.0.1, section 2.4.
"""

from __future__ import annotations

import importlib.resources

COUNT = 22
"""Number of queries."""


def query(number: int) -> str:
    """
    Return text of query `number` (1 to 22), without a semicolon.

    Raises:
        ValueError: there is no such query.
    """
    if not 1 <= number <= COUNT:
        raise ValueError(f"TPC-H has queries 1 to {COUNT}, not {number}")
    return importlib.resources.files(__name__).joinpath(f"q{number:02d}.sql").read_text(encoding="utf-8").strip()
