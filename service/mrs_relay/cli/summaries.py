"""
What each command does, in one line, for the list of commands: so the list needs no command.

A test compares the lines with the helps of the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SUMMARIES: Final[Mapping[str, str]] = {
    "serve": "Run the relay until SIGTERM or Ctrl-C, or until its terminal is closed.",
    "web": "Serve requests and events over HTTP until SIGTERM, SIGHUP or Ctrl-C.",
    "lineage": "Send what jobs read and write to a catalogue.",
    "demo": "See it work on this machine: embedded Kafka, an emulated MRS over TPC-H data, the relay, a dashboard, "
    "30 requests.",
    "emulate": "Play MRS on a port: signed requests, jobs that live and die, SQL that really runs over --data.",
    "submit": "Send requests: a batch job, a SQL statement, or whole messages from a file.",
    "wait": "Wait for the ends of requests that were sent before, and show their rows; of those that have ended, "
    "at once.",
    "events": "Show events, a line for each change: the past ones, with --follow also new ones as they are committed.",
    "watch": "Watch requests: a live table on a terminal, else as `mrs-relay events --follow`. Ctrl-C ends it.",
    "jobs": "Show the jobs as the relay's ledger has them, newest first.",
    "why": "Say what holds a request, in the order in which it has to end, and what ends each of it.",
    "status": "Show the overview: partitions, clusters with slots and queues, budgets, and what is paused.",
    "cancel": "Stop a request, whatever its state, also before it came.",
    "retry": "Send a request that failed, was cancelled or was rejected again, as its message stands in the topic.",
    "resolve": "Settle requests that are `unknown`, after a look at MRS.",
    "hold": "Submit nothing new that SCOPE names; intake, tracking and cancels go on.",
    "drain": "Submit nothing new that SCOPE names, and report when the last job that runs has ended.",
    "quarantine": "Set aside the requests that SCOPE names, until they are released or rejected.",
    "skip": "Pass over one message of a topic of requests that has not been read yet; it becomes a dead letter.",
    "release": "Lift the control of SCOPE.",
    "controls": "List the controls in effect.",
    "orphans": "Show jobs on MRS that have our token and that no partition follows, and followed jobs that MRS lost.",
    "audit": "Show the decisions of people and programs: who, from where, what, why, and what changed.",
    "dead-letters": "Look at messages that no event could answer, and send them once more.",
    "call": "Perform one operation of MRS and print its reply.",
    "topics": "Make the Kafka topics that the relay needs, check them, or print the rights on them.",
    "ledger": "Export ledgers to a file, verify the file, import it into ledgers on another Kafka.",
    "check": "Check settings, Kafka, its topics and MRS; exit 1 if something is wrong, 3 if one cannot be reached.",
    "settings": "List all settings: name, environment variable, default, meaning.",
    "schemas": "The contract: JSON Schemas of every message and an AsyncAPI document; write, check, show, register.",
}
"""Name of a command -> its line."""
