"""
Huawei Cloud MRS played over HTTP, so that software can be tested against MRS without MRS.

It shares no code with the client in `mrs/`: what the two have in common is the contract, so a misreading in one shows
as a failing test against the other. Only `kit/` is shared.

Read `core.py` first (the way of one request), then `jobs.py` and `life.py` (jobs over time), `presto.py` and `sql.py`
(SQL that really runs), `rules.py` (how scripted jobs behave), `clusterlife.py` and `stages.py` (clusters over time),
`records.py`, `state.py` and `keeping.py` (what is remembered, and over a restart), `settings.py` (all that can be
turned on and off).
Beside V2 there are V1.1 jobs and data (`oldapi.py`), IAM (`iam.py`, `accounts.py`), trouble on order (`faults.py`,
`meddling.py`), a clock that can be bent (`bentclock.py`) and a page for people (`page.py`, `overview.py`).
`server.py` puts a socket around it; `core.Emulator` needs none.
"""
