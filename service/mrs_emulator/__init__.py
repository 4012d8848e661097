"""
Huawei Cloud MRS played over HTTP, so that software can be tested against MRS without MRS.

A package of its own: it shares no code with mrs-relay and needs no Kafka. What the two have in common is the contract,
so a misreading in one shows as a failing test against the other.

Read `core/core.py` first (the way of one request), then the rooms: `jobs/` (jobs of V2 over time), `sql/` (SQL that
really runs), `clusters/` (clusters over time), `v11/` (jobs and data of V1.1), `iam/` (who may call), `http/` (the
socket, the page, the emulator's own paths). `core/settings.py` says what can be turned on and off.

`core.core.Emulator` needs no socket; `http.server.running` puts one around it, and so does the command `mrs-emulator`.
"""
