"""
The demo: the whole service on this machine, with about thirty requests, in a minute.

Read `command` first. `demo_stage` starts the processes, `demo_requests` lists the requests and their expected
ends, `demo_view` shows them.
"""
