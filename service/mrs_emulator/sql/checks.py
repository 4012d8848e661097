"""The checks of a statement before it is translated, by the rules and in the words of its engine."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from mrs_emulator.sql import calls, catalogue, changes_presto, checking, places, statement, wording_presto


def check(sql: str, spoken: statement.Dialect, known: catalogue.Catalogue) -> None:
    """
    Look for the mistakes that the engine would find in a statement; what cannot be parsed is left to the translation.

    Raises:
        SqlRefused: the first mistake, in the engine's words.
    """
    try:
        tokens = sqlglot.tokenize(sql, read=spoken)
        tree = sqlglot.parse_one(calls.masked(sql, tokens), read=spoken)
    except sqlglot.errors.SqlglotError:
        return
    where = places.Places(sql, tokens, tree)
    if spoken == "presto":
        says = wording_presto.PrestoWords(where)
        queries = checking.Checker(known, says, spoken)
        if isinstance(tree, exp.Query):
            queries.query(tree)
        else:
            changes_presto.PrestoChanges(known, says, queries).check(tree)
