"""`mrs-relay web`: the HTTP API. Everything about it is a setting; see `mrs-relay settings api`."""

from __future__ import annotations

import importlib.util

from mrs_relay import errors, settings
from mrs_relay.cli import options


def web(config: options.Config = None) -> None:
    """
    Serve requests and events over HTTP until SIGTERM, SIGHUP or Ctrl-C.

    Reads the topics of events and dead letters into a database and answers from it. Any number may run, beside any
    number of relays; they need Kafka and no access to MRS. Everything is a setting, in the environment or in a file.
    """
    if importlib.util.find_spec("sqlalchemy") is None:
        raise errors.SettingsError("`mrs-relay web` needs a database library: pip install 'mrs-relay[web]'")
    from mrs_relay import web_role  # noqa: PLC0415 - the other commands start sooner without it, and need no extra

    web_role.run(settings.load_web_role(config))
