"""
Traces: what the relay does for one request as spans of OpenTelemetry; the only modules that import its libraries.

A request's spans are recorded when they are over: after a commit, from the jobs before and after it, and after each
step towards MRS. Ids that other spans refer to follow from the request, so the next owner of a partition finds them
without a word in the ledger. Read `tenant_traces.py` first.
"""
