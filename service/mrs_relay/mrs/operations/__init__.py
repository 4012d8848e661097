"""The operations as values, a file per resource; `registry` finds one by its name. Read `jobs` first."""
