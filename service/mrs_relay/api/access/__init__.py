"""
Who may what over HTTP: who calls, and which least role each route wants.

    authentication (tokens, oidc, certificates) → callers → least_roles → scopes, which handlers ask

A route without a line in `least_roles` is an administrator's alone. Read `least_roles` first: it is the whole table.
"""
