"""What names mean inside a query: the relations of its FROM, their columns, and the queries around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Output:
    """
    A column of a relation.

    Attributes:
        name: its name, or None where the engine would make one up.
        kind: its type as the engine writes it, or None where that is not known.
    """

    name: str | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """
    A relation in FROM.

    Attributes:
        name: the name that qualifies its columns.
        columns: its columns, or None where they are not known.
        database: the database of a table.
    """

    name: str
    columns: tuple[Output, ...] | None
    database: str | None = None

    def find(self, name: str) -> Output | None:
        """Return a column by name."""
        return next((one for one in self.columns or () if one.name is not None and one.name.lower() == name), None)


@dataclass(slots=True)
class Scope:
    """
    What an expression of a query may name.

    Attributes:
        outer: the scope of the query around it.
        sources: the relations of FROM, in order.
        merged: names of columns that USING or NATURAL made one.
        aliases: names of the query's own columns, where they may be used.
    """

    outer: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: set[str] = field(default_factory=set)
    aliases: dict[str, Output] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """There may be columns that are not known."""
        return any(one.columns is None for one in self.sources) or (self.outer is not None and self.outer.is_open)

    def found(self, column: exp.Column) -> list[tuple[Source, Output]]:
        """
        Return the columns that a name may mean, of the innermost query that has one.

        The part before a dot is a relation, or a column that has fields.
        """
        here = self._here(column)
        if not here and self.outer is not None:
            return self.outer.found(column)
        return here

    def has(self, column: exp.Column) -> bool:
        """Return whether a name means a column of this query, not of one around it."""
        return bool(self._here(column))

    def _here(self, column: exp.Column) -> list[tuple[Source, Output]]:
        parts = [one.name.lower() for one in column.parts]
        here = self._qualified(parts) if len(parts) > 1 else []
        return here or self._plain(parts[0], is_struct=len(parts) > 1)

    def _qualified(self, parts: Sequence[str]) -> list[tuple[Source, Output]]:
        name = parts[-1]
        sources = [one for one in self.sources if one.name.lower() == parts[-2]]
        found = [(one, column) for one in sources if (column := one.find(name)) is not None]
        if found or len(parts) < 3:  # noqa: PLR2004 - relation, column, field
            return found
        fields = [(one, one.find(parts[1])) for one in self.sources if one.name.lower() == parts[0]]
        return [(one, Output(column.name, None)) for one, column in fields if column is not None]

    def _plain(self, name: str, *, is_struct: bool) -> list[tuple[Source, Output]]:
        found = [(one, column) for one in self.sources if (column := one.find(name)) is not None]
        if name in self.merged:
            found = found[:1]
        return [(source, Output(column.name, None)) for source, column in found] if is_struct else found

    def outputs(self, qualifier: str | None = None) -> list[tuple[Source, Output]] | None:
        """Return the columns of `*` or a qualified `*`, those that USING made one first; None where not known."""
        chosen = [one for one in self.sources if qualifier is None or one.name.lower() == qualifier.lower()]
        if not chosen or any(one.columns is None for one in chosen):
            return None

        found = [(source, column) for source in chosen for column in source.columns or ()]
        if qualifier is not None or not self.merged:
            return found

        merged: dict[str | None, tuple[Source, Output]] = {}
        rest = []

        for source, column in found:
            name = column.name and column.name.lower()
            if name in self.merged:
                merged.setdefault(name, (source, column))
            else:
                rest.append((source, column))

        return [*merged.values(), *rest]
