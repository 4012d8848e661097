"""
The demo: the whole service on this machine, with about thirty requests, in a minute.

Read `command` first. `demo_stage` starts the processes, `demo_requests` says what is sent and how it must end,
`demo_view` shows it.
"""
