"""
Looks for the mistakes that an engine finds before it runs a statement: names, groups, numbers of columns, types.

What it cannot see it lets pass. The first mistake is raised in the engine's words, by `wording_presto.py` and its kin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from mrs_emulator.sql import calls, catalogue, grouping, kinds, scopes, statement, words

Outputs = tuple[scopes.Output, ...] | None
_CATALOGS = frozenset({"", "hive", "spark_catalog"})
_WITH_UNITS = frozenset({"datediff", "date_diff", "dateadd", "date_add", "timestampadd", "timestampdiff"})


class Checker:
    """
    Checks queries.

    Args:
        known: what tables there are.
        says: the words of the engine, which raise.
        spoken: the dialect.
    """

    def __init__(self, known: catalogue.Catalogue, says: words.Words, spoken: statement.Dialect) -> None:
        self._known = known
        self._says = says
        self._spoken = spoken

    def query(
        self, node: exp.Expr, outer: scopes.Scope | None = None, named: Mapping[str, Outputs] | None = None
    ) -> Outputs:
        """
        Check a query; its columns, or None where they do not show.

        Raises:
            SqlRefused: the first mistake.
        """
        named = dict(named or {})
        for common in (node.args.get("with_") or node.args.get("with") or exp.With(expressions=[])).expressions:
            found = self.query(common.this, outer, named)
            named[common.alias.lower()] = _renamed(found, common.args.get("alias"))

        match node:
            case exp.Subquery() | exp.Paren():
                return self.query(node.this, outer, named)
            case exp.SetOperation():
                return self._set_operation(node, outer, named)
            case exp.Select():
                return self._select(node, outer, named)
            case exp.Values():
                return self._values(node)
            case _:
                return None

    def _set_operation(
        self, node: exp.SetOperation, outer: scopes.Scope | None, named: Mapping[str, Outputs]
    ) -> Outputs:
        left, right = (self.query(one, outer, named) for one in (node.left, node.right))
        if left is not None and right is not None:
            self._says.set_operation(node, [one.kind for one in left], [one.kind for one in right])
        return left

    def _values(self, node: exp.Values) -> Outputs:
        first = node.expressions[0] if node.expressions else None
        if first is None:
            return None
        cells = first.expressions if isinstance(first, exp.Tuple) else [first]
        found = tuple(scopes.Output(None, self.kind(one, scopes.Scope())) for one in cells)
        return _renamed(found, node.args.get("alias"))

    def _select(self, node: exp.Select, outer: scopes.Scope | None, named: Mapping[str, Outputs]) -> Outputs:
        scope = scopes.Scope(outer)
        self._from(node, scope, named)
        where = node.args.get("where")
        if where is not None:
            self._expression(where.this, scope, named)
            self._says.filtered(where.this, self.kind(where.this, scope))
        outputs = self._outputs(node, scope, named)
        self._grouped(node, scope, named, outputs)
        return outputs

    def _grouped(self, node: exp.Select, scope: scopes.Scope, named: Mapping[str, Outputs], outputs: Outputs) -> None:
        """Check GROUP BY, HAVING and ORDER BY, and that what stands beside aggregates is grouped."""
        aliases = {one.name.lower(): one for one in outputs or () if one.name}
        by_alias = scopes.Scope(scope.outer, scope.sources, scope.merged, aliases)
        group, having, order = (node.args.get(key) for key in ("group", "having", "order"))
        count = None if outputs is None else len(outputs)

        for one in group.expressions if group else ():
            if _is_position(one):
                self._says.position(one, count, "GROUP BY")
            else:
                self._expression(one, by_alias if self._spoken == "spark" else scope, named)

        if having is not None:
            self._expression(having.this, scope if self._spoken == "presto" else by_alias, named)

        for one in order.expressions if order else ():
            if _is_position(one.this):
                self._says.position(one.this, count, "ORDER BY")
            else:
                self._expression(one.this, by_alias, named)

        for alone in grouping.ungrouped(node, scope, aliases):
            self._says.not_grouped(alone, node)

    def _outputs(self, node: exp.Select, scope: scopes.Scope, named: Mapping[str, Outputs]) -> Outputs:
        found: list[scopes.Output] | None = []
        above = scopes.Scope(scope.outer, scope.sources, scope.merged)  # in Spark with the aliases before a column

        for one in node.expressions:
            if one.is_star and not isinstance(one, exp.Count):
                if not scope.sources:
                    self._says.star_alone(one)
                stars = scope.outputs(one.table if isinstance(one, exp.Column) else None)
                found = None if stars is None or found is None else found + [output for _, output in stars]
                continue

            self._expression(one.unalias(), above, named)
            if self._spoken == "spark" and one.alias:
                above.aliases[one.alias.lower()] = scopes.Output(one.alias, None)
            name = one.alias or (one.name if isinstance(one, exp.Column) else self._says.column_name(one))
            if found is not None:
                found.append(scopes.Output(name, self.kind(one, scope)))
            if isinstance(one.unalias(), exp.Explode | exp.Unnest | exp.Inline):
                found = None

        return None if found is None else tuple(found)

    def _from(self, node: exp.Select, scope: scopes.Scope, named: Mapping[str, Outputs]) -> None:
        start = node.args.get("from_") or node.args.get("from")
        joined = node.args.get("joins") or []
        if start is None:
            return

        scope.sources.append(self._source(start.this, scope, named))
        for join in joined:
            scope.sources.append(self._source(join.this, scope, named))
            scope.merged |= {one.name.lower() for one in join.args.get("using") or []}
            if str(join.args.get("method")).upper() == "NATURAL":
                names = [one.name.lower() for one in scope.sources[-1].columns or () if one.name]
                scope.merged |= {name for name in names if any(one.find(name) for one in scope.sources[:-1])}
            if join.args.get("on") is not None:
                self._expression(join.args["on"], scope, named)
            if join.kind in {"SEMI", "ANTI"}:  # the right side is seen by ON only
                scope.sources.pop()

        for lateral in node.args.get("laterals") or []:
            scope.sources.append(self._lateral(lateral, scope, named))

    def _lateral(self, node: exp.Lateral, scope: scopes.Scope, named: Mapping[str, Outputs]) -> scopes.Source:
        alias = node.args.get("alias")
        for column in node.this.find_all(exp.Column):
            self._expression(column, scope, named)
        names = [one.name for one in alias.args.get("columns") or []] if alias else []
        columns = tuple(scopes.Output(name, None) for name in names) or None
        return scopes.Source(alias.name if alias else "", columns)

    def _source(self, node: exp.Expr, scope: scopes.Scope, named: Mapping[str, Outputs]) -> scopes.Source:
        alias = node.args.get("alias")
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            found = named[node.name.lower()] if not node.db and node.name.lower() in named else self.table(node)
            is_common = not node.db and node.name.lower() in named
            database = None if is_common else node.db or self._known.current()
            return scopes.Source(node.alias_or_name, _renamed(found, alias), database)
        if isinstance(node, exp.Subquery | exp.Values):
            return scopes.Source(node.alias_or_name, _renamed(self.query(node, scope.outer, named), alias))
        names = [one.name for one in alias.args.get("columns") or []] if alias else []
        columns = tuple(scopes.Output(name, None) for name in names) or None
        return scopes.Source(node.alias_or_name, None if node.args.get("offset") else columns)

    def table(self, node: exp.Table) -> Outputs:
        """
        Return the columns of a table, which must be there.

        Raises:
            SqlRefused: it is not, or its database or catalogue.
        """
        if node.catalog.lower() not in _CATALOGS:
            self._says.no_catalog(node)
        database = node.db or self._known.current()
        found = self._known.relation(database, node.name)
        if found is None:
            if not self._known.has_database(database):
                self._says.no_database(node, database)
            self._says.no_table(node, database)
            return None
        return tuple(scopes.Output(name, self._says.type_name(kind)) for name, kind in found.columns.items())

    def kind(self, node: exp.Expr, scope: scopes.Scope) -> str | None:
        """Return the type of an expression."""

        def of(column: exp.Column) -> str | None:
            found = scope.found(column)
            return found[0][1].kind if len(found) == 1 else None

        return kinds.kind(node, self._spoken, of)

    def _expression(self, node: exp.Expr, scope: scopes.Scope, named: Mapping[str, Outputs]) -> None:
        """Check the names of an expression, then the operands of its operators and functions."""
        parts = list(_own(node))
        for part in parts:
            if isinstance(part, exp.Query):
                self._says.subquery(part, self.query(part, scope, named))
            elif isinstance(part, exp.Column) and not isinstance(part.this, exp.Star):
                self._column(part, scope)
        for part in reversed(parts):
            self._says.applied(part, lambda one: self.kind(one, scope))

    def _column(self, node: exp.Column, scope: scopes.Scope) -> None:
        if len(node.parts) == 1 and node.name.lower() in scope.aliases:
            return
        if _is_bound(node):
            return
        found = scope.found(node)
        if len(found) > 1:
            self._says.ambiguous(node, found)
        if not found and not scope.is_open:
            self._says.no_column(node, scope)


def _own(node: exp.Expr) -> Iterator[exp.Expr]:
    """Return the parts of an expression, those of queries inside of it left out."""
    yield node
    if isinstance(node, exp.Query):
        return
    for one in node.iter_expressions():
        yield from _own(one)


def _is_bound(node: exp.Column) -> bool:
    """Return whether a name is a parameter of a lambda around it, or no column at all."""
    first = node.parts[0].name.lower()
    if node.parent is not None and calls.name(node.parent) in _WITH_UNITS and node.parent.expressions[0] is node:
        return True
    above = node.parent
    while above is not None:
        if isinstance(above, exp.Lambda) and any(one.name.lower() == first for one in above.expressions):
            return True
        above = above.parent
    return False


def _is_position(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string


def _renamed(found: Outputs, alias: exp.Expr | None) -> Outputs:
    """Return columns with the names that an alias gives them."""
    names: Sequence[exp.Expr] = (alias.args.get("columns") or []) if alias is not None else []
    if not names:
        return found
    if found is None or len(found) != len(names):
        return tuple(scopes.Output(one.name, None) for one in names)
    return tuple(scopes.Output(one.name, output.kind) for one, output in zip(names, found, strict=True))
