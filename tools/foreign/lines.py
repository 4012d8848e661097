"""
The loop of a client program in Python: a line of JSON on standard input is a call, a line on standard output its reply.

It needs the standard library alone, since each client runs in a virtual environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]

AK = os.environ.get("CLIENT_AK", "")
SK = os.environ.get("CLIENT_SK", "")
PROJECT = os.environ.get("CLIENT_PROJECT", "")
ENDPOINT = os.environ.get("CLIENT_ENDPOINT", "")
OBS = os.environ.get("CLIENT_OBS", "")


def serve(version: str, methods: Mapping[str, list[str]], answer: Answer) -> None:
    """
    Say what the client is, then answer calls until standard input ends.

    Args:
        version: of the client, as its package says.
        methods: names of its methods, by API.
        answer: performs one call; an error of the client becomes the reply.
    """
    out, sys.stdout = sys.stdout, sys.stderr  # what a client prints does not mix with the replies

    def say(what: Mapping[str, Any]) -> None:
        out.write(json.dumps(what, default=str) + "\n")
        out.flush()

    say({"version": version, "methods": methods})
    for line in sys.stdin:
        try:
            say(answer(json.loads(line)))
        except Exception as error:  # noqa: BLE001 - whatever the client raises is the outcome of the call
            say({"error": f"{type(error).__name__}: {error}"})
