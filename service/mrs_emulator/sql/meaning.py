"""
What a statement means in its dialect, said in DuckDB's: refuses what is not played, rewrites what differs.

`check` comes first: a function outside the lists of `played.py` and of the rewrites here is refused. `rewrite` then
puts the macros of `macros.py` where DuckDB's own function answers otherwise.
"""

from __future__ import annotations

from sqlglot import exp

from mrs_emulator.sql import java_meaning, played, presto_meaning, refusing, rewriting, statement

_REFUSED_NODES: tuple[tuple[type[exp.Expr], str, str], ...] = (
    (exp.TableSample, "TABLESAMPLE", "use WHERE or LIMIT"),
    (exp.Pivot, "PIVOT and UNPIVOT", "use CASE inside of aggregates"),
    (exp.MatchRecognize, "MATCH_RECOGNIZE", "use window functions"),
    (exp.Parameter, "variables", "write the value into the statement"),
    (exp.SessionParameter, "session variables", "write the value into the statement"),
    (exp.Collate, "COLLATE", "compare lower() or upper() of both sides"),
    (exp.WithinGroup, "WITHIN GROUP", "use aggregates without it"),
    (exp.Qualify, "QUALIFY", "filter in an outer query"),
    (exp.QueryTransform, "TRANSFORM", "use SQL functions"),
)

_INTERVALS_IN = (exp.Add, exp.Sub, exp.WindowSpec)


def played_with_meaning(tree: exp.Expr, spoken: statement.Dialect) -> exp.Expr:
    """
    Return the statement with DuckDB's meaning.

    Raises:
        SqlRefused: something in it is not played; names it and says what to do.
    """
    rewrites = presto_meaning.REWRITES if spoken == "presto" else java_meaning.REWRITES
    names = presto_meaning.NAMES if spoken == "presto" else java_meaning.NAMES
    _check(tree, spoken, rewrites, names)
    for node in reversed(list(tree.find_all(exp.Expr))):  # children before their parents
        rewrite = rewrites.get(type(node))
        if isinstance(node, exp.Anonymous):
            rewrite = names.get(node.name.lower())
        if rewrite is None:
            continue
        made = rewrite(node, spoken)
        if made is not node:
            node.replace(made)
    return tree


def _check(
    tree: exp.Expr, spoken: statement.Dialect, rewrites: rewriting.Rewrites, names: rewriting.NamedRewrites
) -> None:
    for node in tree.find_all(exp.Expr):
        for kind, what, instead in _REFUSED_NODES:
            if isinstance(node, kind):
                raise refusing.not_played(what, instead)

        if isinstance(node, exp.Interval) and not isinstance(node.parent, _INTERVALS_IN):
            raise refusing.not_played("an interval as a value", "add it to a date, or subtract it")

        if isinstance(node, exp.Anonymous):
            name = node.name.lower()
            if name not in names and name not in played.NAMES[spoken]:
                raise refusing.function(name)
        elif (
            isinstance(node, exp.Func)
            and type(node) not in rewrites
            and type(node).__name__ not in played.CLASSES[spoken]
        ):
            raise refusing.function(str(node.meta.get("name") or node.sql_name()).lower())
