"""Which columns stand beside aggregates and are not grouped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from mrs_emulator.sql import calls, scopes


def ungrouped(node: exp.Select, scope: scopes.Scope, aliases: Mapping[str, scopes.Output]) -> Iterator[exp.Expr]:
    """
    Return the first column of each part of a query with groups that neither an aggregate nor a group has.

    Args:
        node: the query.
        scope: what its names mean.
        aliases: names of its own columns, which ORDER BY may use.
    """
    group, having, order = (node.args.get(key) for key in ("group", "having", "order"))
    if group is not None and (group.find(exp.Rollup, exp.Cube, exp.GroupingSets) or group.args.get("all")):
        return

    parts = [one.unalias() for one in node.expressions]
    later = [having.this] if having is not None else []
    if group is None and having is None and not any(_has_aggregate(one) for one in parts):
        return

    groups = _groups(node, scope)
    if groups is None:
        return

    for part in [*parts, *later]:
        yield from _alone(part, groups, scope)

    for one in order.expressions if order else ():
        if not (isinstance(one.this, exp.Column) and one.this.name.lower() in aliases):
            yield from _alone(one.this, groups, scope)


def _has_aggregate(node: exp.Expr) -> bool:
    return any(calls.is_aggregate(one) for one in _outside(node))


def _outside(node: exp.Expr) -> Iterator[exp.Expr]:
    """Return the parts of an expression that are not in a query of their own."""
    yield node
    if isinstance(node, exp.Query):
        return
    for one in node.iter_expressions():
        yield from _outside(one)


def _groups(node: exp.Select, scope: scopes.Scope) -> set[str] | None:
    """Return the grouped expressions; None where a position or an alias stands for one that does not show."""
    group = node.args.get("group")
    found = set()
    for one in group.expressions if group else ():
        meant = one
        if isinstance(one, exp.Literal) and not one.is_string:
            index = int(one.name) - 1
            if not 0 <= index < len(node.expressions):
                return None
            meant = node.expressions[index].unalias()
        elif isinstance(one, exp.Column) and not scope.found(one):
            aliased = [part for part in node.expressions if part.alias.lower() == one.name.lower()]
            meant = aliased[0].unalias() if aliased else one
        found.add(_key(meant, scope))
    return found


def _key(node: exp.Expr, scope: scopes.Scope) -> str:
    """Return an expression as text, its columns with the relations that they are of."""
    copy = node.copy()
    copy = exp.Paren(this=copy)
    for column in list(copy.find_all(exp.Column)):
        found = scope.found(column)
        if len(found) == 1 and found[0][1].name is not None:
            column.replace(exp.column(found[0][1].name.lower(), table=found[0][0].name.lower()))
    return str(copy.this.sql()).lower()


def _alone(node: exp.Expr, groups: set[str], scope: scopes.Scope) -> Iterator[exp.Expr]:
    """Return columns that are not in an aggregate and not in a group."""
    if calls.is_aggregate(node) or isinstance(node, exp.Query) or _key(node, scope) in groups:
        return
    if isinstance(node, exp.Filter) and calls.is_aggregate(node.this):
        return
    if isinstance(node, exp.Column):
        if node.is_star or scope.has(node):  # a column of a query around it is the same for all rows
            yield node
        return
    if isinstance(node, exp.Star):
        yield node
        return
    for one in node.iter_expressions():
        yield from _alone(one, groups, scope)
