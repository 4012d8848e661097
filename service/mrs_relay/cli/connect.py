"""
Turn options into a broker: the Kafka group of the settings, and a connection made from it.

Only this group is read, so sending and watching require no access to MRS.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

import pydantic

from mrs_relay import errors, settings, tenants
from mrs_relay.common import logs
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import client


def tenancies(config: pathlib.Path | None, bootstrap: str | None) -> tuple[tenants.ResolvedTenant, ...]:
    """
    Read the settings of Kafka for each tenant; `bootstrap` wins over all of them.

    Raises:
        SettingsError: a setting is wrong; the message names it.
    """
    found = settings.without_mrs(config)
    if bootstrap is None:
        return found
    try:
        return tuple(
            dataclasses.replace(
                one,
                kafka=kafka_settings.KafkaSettings.model_validate({**dict(one.kafka), "bootstrap_servers": bootstrap}),
            )
            for one in found
        )
    except pydantic.ValidationError as error:
        raise errors.SettingsError(f"--bootstrap: {error.errors()[0]['msg']}") from None


def chosen(found: Sequence[tenants.ResolvedTenant], name: str | None) -> tenants.ResolvedTenant:
    """
    Choose the tenant of a command: the named one, or the only one.

    Raises:
        SettingsError: there is no such tenant, or none is named and there are several.
    """
    names = [one.name for one in found if one.name]
    known = f"known: {', '.join(names)}" if names else "there are no tenants in the settings"
    if name is None and len(found) > 1:
        raise errors.SettingsError(f"--tenant: say which tenant; {known}")
    for one in found:
        if name is None or one.name == name:
            return one
    raise errors.SettingsError(f"--tenant: there is no tenant {name!r}; {known}")


def meant(config: pathlib.Path | None, bootstrap: str | None, name: str | None) -> Sequence[tenants.ResolvedTenant]:
    """
    Choose the tenants of a command: the named one, or all.

    Raises:
        SettingsError: a setting is wrong, or there is no such tenant.
    """
    found = tenancies(config, bootstrap)
    return found if name is None else [chosen(found, name)]


def kafka(
    config: pathlib.Path | None, bootstrap: str | None, tenant: str | None = None
) -> kafka_settings.KafkaSettings:
    """
    Read the Kafka settings of a tenant, or of all where there are none; `bootstrap` wins over all of them.

    Raises:
        SettingsError: a setting is wrong, or the tenant is not known; the message names it.
    """
    return chosen(tenancies(config, bootstrap), tenant).kafka


def broker(found: kafka_settings.KafkaSettings) -> client.KafkaBroker:
    """
    Make a connection for one command; the library's log is silenced, because our own errors report its failures.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """
    logs.setup(level="ERROR")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    client.quieten()
    return client.KafkaBroker(found)
