"""
The values that the engine works on: jobs, the facts that happen to them, the commands that follow. Pure.

Read `jobs` first (a job and its states; its smaller values are in `job_values`), then `facts` and `commands`.
`job_records` writes a job to the ledger, `job_names` names it on MRS, `deployments` tells whose a name is,
`verdict` interprets MRS's states, and `later_fields` keeps what a later version wrote.
"""
