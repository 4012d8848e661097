"""
The command line: `mrs-relay` with serve, demo, emulate, submit, watch, jobs, topics, check, settings, schemas.

`main` is the list of commands and turns errors into exit codes; each command has a module of its own. `compose` makes
messages, `request_table` keeps the state that the events report, `view` and `screen` draw, `run` is the one place that
starts an event loop. No module here decides about jobs. Read `main` first.
"""
