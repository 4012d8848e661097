"""
From options to a broker: the Kafka group of the settings, and a connection made from it.

Only this group is read, so a person who sends or watches needs no access to MRS.
"""

from __future__ import annotations

import logging
import pathlib

import pydantic

from mrs_relay import errors, settings
from mrs_relay.kit import logs
from mrs_relay.stream import client
from mrs_relay.stream import settings as stream_settings


def kafka(config: pathlib.Path | None, bootstrap: str | None) -> stream_settings.KafkaSettings:
    """
    Read the Kafka settings; `bootstrap` wins over all of them.

    Raises:
        SettingsError: a setting is wrong; the message names it.
    """
    found = settings.connection_only(config)
    if bootstrap is None:
        return found
    try:
        return stream_settings.KafkaSettings.model_validate({**dict(found), "bootstrap_servers": bootstrap})
    except pydantic.ValidationError as error:
        raise errors.SettingsError(f"--bootstrap: {error.errors()[0]['msg']}") from None


def broker(found: stream_settings.KafkaSettings) -> client.KafkaBroker:
    """
    A connection for one command; what its library has to say is told by our own errors instead.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """
    logs.setup(level="ERROR")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return client.KafkaBroker(found)
