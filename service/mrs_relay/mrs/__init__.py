"""
The REST client of MRS; knows nothing of Kafka or jobs and is usable without them.

An operation is a value (`operation`, `operations/`) with its bodies (`models/`); `client.Client.call` is the one way to
perform it: build, limit, sign (`auth`, `signing`), send (`transport`, the one door to aiohttp's client), read
(`replies`; `told` takes an error body apart, `codes` is the table of error codes). `limits` spends the documented
budgets evenly; `deadlines` are cheap timeouts. Read `client` first.

It leaves to its callers: what a job is, whether to try again, and the write budget, which must be spent before an
intention is committed.
"""
