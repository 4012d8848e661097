"""
Define the values that the engine works on: jobs, facts about jobs, and the commands that follow. Pure.

Read `jobs` first (a job and its states; its smaller values are in `job_values`), then `facts` and `commands`.
`job_records` encodes a job for the ledger, by `named_records` or `placed_records`; `job_names` names it on MRS,
`deployments` recognizes the deployment in a name, `verdict` interprets MRS's states, and `later_fields` keeps fields
that a later version wrote.
"""
