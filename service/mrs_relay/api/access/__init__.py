"""
Who may what over HTTP: who calls, and which least role each route wants.

    authentication (tokens, oidc, certificates, logins) → callers → least_roles → scopes, which handlers ask
    logins (failures, code_flow) → sessions: browsers log in, and have a cookie

A route without a line in `least_roles` is an administrator's alone. Read `least_roles` first: it is the whole table.
"""
