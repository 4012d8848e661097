"""
The settings of the whole service: the parts' groups joined, and the only reader of the environment.

Every field can be set by an environment variable `MRS_RELAY_<GROUP>__<FIELD>` or in a TOML file; the environment wins.
In tables of groups with names of their own (`tenants`, `connections`) the name stands between the two. A part receives
its own group, never the whole.
"""

from __future__ import annotations

import difflib
import os
import pathlib
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

import pydantic
import pydantic_settings

from mrs_relay import errors
from mrs_relay import tenants as all_tenants
from mrs_relay.api import settings as api_settings
from mrs_relay.common import described, log_settings, service_links, setting_rows
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.lineage import settings as lineage_settings
from mrs_relay.forwarding import settings as forwarding_settings
from mrs_relay.kafka import instance
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import events
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.obs import settings as obs_settings
from mrs_relay.obs import upload_settings
from mrs_relay.read_model import settings as read_model_settings
from mrs_relay.traces import settings as traces_settings
from mrs_relay.web import settings as web_settings

PREFIX: Final = "MRS_RELAY_"

_ANY_NAME: Final = "[A-Z][A-Z0-9-]*(?:_[A-Z0-9-]+)*"
"""A tenant's or connection's name, as it stands in a variable."""


class _Read(pydantic_settings.BaseSettings):
    """Reads the environment first and then the file, whose values come in as arguments."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[pydantic_settings.BaseSettings],
        init_settings: pydantic_settings.PydanticBaseSettingsSource,
        env_settings: pydantic_settings.PydanticBaseSettingsSource,
        dotenv_settings: pydantic_settings.PydanticBaseSettingsSource,
        file_secret_settings: pydantic_settings.PydanticBaseSettingsSource,
    ) -> tuple[pydantic_settings.PydanticBaseSettingsSource, ...]:
        """Say in which order."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


class Settings(described.Described, _Read):
    """All settings."""

    model_config = pydantic_settings.SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
    )

    kafka: kafka_settings.KafkaSettings = pydantic.Field(default_factory=kafka_settings.KafkaSettings)
    """Brokers, topics, guarantee."""

    mrs: Annotated[mrs_settings.MrsSettings, pydantic.Field(default_factory=dict, validate_default=True)]
    """The connection to MRS; of all tenants that name no other. May be left out where each names one."""

    connections: dict[all_tenants.Name, mrs_settings.MrsSettings] = pydantic.Field(default_factory=dict)
    """Further connections to MRS, by the names that tenants use for them; one for each project, which counts quota."""

    tenants: all_tenants.Tenants = pydantic.Field(default_factory=dict)
    """Several input topics, each with rules of its own; without them kafka.topics.requests is read, without rules."""

    results: policies.Results = policies.Results()
    """What becomes of the rows of SQL; tenants may differ."""

    causes: policies.Causes = policies.Causes()
    """Which logs of failed jobs are read for their cause; tenants may differ."""

    obs: obs_settings.ObsSettings = pydantic.Field(default_factory=obs_settings.ObsSettings)
    """OBS: rows and logs are read from it (`results.path`, `causes.path`), and senders upload files to it."""

    uploads: upload_settings.UploadSettings = upload_settings.UploadSettings()
    """Where files of senders go; tenants may differ."""

    engine: engine_settings.EngineSettings = pydantic.Field(default_factory=engine_settings.EngineSettings)
    """Settings of submitting, following and remembering jobs."""

    lineage: lineage_settings.LineageSettings = pydantic.Field(default_factory=lineage_settings.LineageSettings)
    """What OpenLineage events show."""

    forwarding: forwarding_settings.ForwardingSettings = pydantic.Field(
        default_factory=forwarding_settings.ForwardingSettings
    )
    """Where `mrs-relay lineage forward` sends OpenLineage events."""

    web: web_settings.WebSettings = pydantic.Field(default_factory=web_settings.WebSettings)
    """Health, readiness and metrics of the relay over HTTP."""

    api: api_settings.ApiSettings = pydantic.Field(default_factory=api_settings.ApiSettings)
    """The HTTP API of `mrs-relay web`."""

    read_model: read_model_settings.ReadModelSettings = pydantic.Field(
        default_factory=read_model_settings.ReadModelSettings
    )
    """The database of `mrs-relay web`."""

    log: log_settings.LogSettings = pydantic.Field(default_factory=log_settings.LogSettings)
    """Logging."""

    traces: traces_settings.TracesSettings = pydantic.Field(default_factory=traces_settings.TracesSettings)
    """Spans of OpenTelemetry."""

    event_source: Annotated[str, pydantic.Field(pattern=r"^[^\s]{1,200}$")] = "/mrs-relay"
    """CloudEvents `source` of all events; name the deployment here when subscribers read several."""

    event_mode: events.Mode = "binary"
    """CloudEvents mode of all events: "binary" (attributes in headers) or "structured" (all of it in the value)."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _first_connection(cls, given: Any) -> Any:  # noqa: ANN401 - what the sources say
        """Where every tenant names another connection, the group `mrs` need not be there: it is the first one's."""
        tenants, connections = given.get("tenants"), given.get("connections")
        if not given.get("mrs") and isinstance(tenants, Mapping) and isinstance(connections, Mapping):
            names = [one.get("connection") for one in tenants.values() if isinstance(one, Mapping)]
            if names and all(names) and names[0] in connections:
                return {**given, "mrs": connections[names[0]]}
        return given

    @pydantic.model_validator(mode="after")
    def _waits_fit(self) -> Settings:
        for name, mrs in self._connections():
            least_s = self.engine.send_within_s + mrs.call_timeout_s
            if self.engine.settle_s <= least_s:
                raise ValueError(
                    f"engine.settle_s ({self.engine.settle_s:g}) must be more than engine.send_within_s + "
                    f"{name}.call_timeout_s ({least_s:g}): a request may be on its way for so long"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _tenants_fit(self) -> Settings:
        if all_tenants.OWN in self.connections:
            raise ValueError("connections.mrs: this name stands for the group mrs; use another one")

        known = [all_tenants.OWN, *self.connections]
        for name, tenant in self.tenants.items():
            if tenant.connection not in known:
                raise ValueError(
                    f"tenants.{name}.connection: there is no connection {tenant.connection}; known: {', '.join(known)}"
                )

        tenancies = self.tenancies
        if faults := [
            *all_tenants.topic_faults(tenancies),
            *all_tenants.folder_faults(tenancies),
            *all_tenants.delivery_faults(tenancies),
            *all_tenants.upload_faults(self.uploads, self.tenants, tenancies),
            *all_tenants.cause_faults(tenancies),
            *all_tenants.lineage_faults(tenancies, self.tenants),
        ]:
            raise ValueError("; ".join(faults))
        return self

    def _connections(self) -> Iterator[tuple[str, mrs_settings.MrsSettings]]:
        yield all_tenants.OWN, self.mrs
        yield from ((all_tenants.group_of(name), mrs) for name, mrs in self.connections.items())

    @property
    def tenancies(self) -> tuple[all_tenants.ResolvedTenant, ...]:
        """Return the settings of each tenant; without tenants one without a name."""
        return all_tenants.resolve(
            self.kafka,
            self.tenants,
            self.event_source,
            self.engine.queue_deadline_s,
            all_tenants.Shared(self.results, self.lineage, self.causes),
        )

    def connection(self, name: str) -> mrs_settings.MrsSettings:
        """Return the settings of a connection that a tenancy names."""
        return self.mrs if name == all_tenants.OWN else self.connections[name]


def load(config: pathlib.Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401 - values of any field
    """
    Read the settings.

    Args:
        config: TOML file with a table per group, or None.
        overrides: groups as mappings; they win over the file, the environment wins over them.

    Raises:
        SettingsError: one line for each setting that is missing or wrong, with its name and variable.
    """
    merged = _merge(_merge(_found_instance(), _read_file(config) if config else {}), overrides)
    _refuse_unknown_variables()
    try:
        return Settings(**merged)
    except pydantic.ValidationError as error:
        raise errors.SettingsError("\n".join(_lines(error))) from None  # the input may hold a secret
    except pydantic_settings.SettingsError as error:
        raise errors.SettingsError(f"{error}; see `mrs-relay settings`") from None


def _found_instance() -> dict[str, Any]:
    """Return the setting of an instance id that this machine has by itself; the file and the environment win."""
    found = instance.stable_name(os.environ, socket.gethostname())
    return {"kafka": {"instance_id": found}} if found is not None else {}


class _Topics(_Read):
    """The groups that say which topics there are; the others are passed over, so access to MRS is not needed."""

    model_config = pydantic_settings.SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore"
    )
    kafka: kafka_settings.KafkaSettings = pydantic.Field(default_factory=kafka_settings.KafkaSettings)
    tenants: all_tenants.Tenants = pydantic.Field(default_factory=dict)
    event_source: str = Settings.model_fields["event_source"].default
    results: policies.Results = policies.Results()

    @property
    def tenancies(self) -> tuple[all_tenants.ResolvedTenant, ...]:
        """See `Settings.tenancies`."""
        return all_tenants.resolve(self.kafka, self.tenants, self.event_source, shared=all_tenants.Shared(self.results))


class WebRoleSettings(_Topics):
    """The settings of `mrs-relay web`; see the groups of the same names in `Settings`."""

    api: api_settings.ApiSettings = pydantic.Field(default_factory=api_settings.ApiSettings)
    read_model: read_model_settings.ReadModelSettings = pydantic.Field(
        default_factory=read_model_settings.ReadModelSettings
    )
    log: log_settings.LogSettings = pydantic.Field(default_factory=log_settings.LogSettings)


class SenderSettings(_Topics):
    """The settings of a command that uploads files; see the groups of the same names in `Settings`."""

    obs: obs_settings.ObsSettings = pydantic.Field(default_factory=obs_settings.ObsSettings)
    uploads: upload_settings.UploadSettings = upload_settings.UploadSettings()


class ImportSettings(_Topics):
    """The settings of `mrs-relay ledger import`; see the groups of the same names in `Settings`."""

    engine: engine_settings.EngineSettings = pydantic.Field(default_factory=engine_settings.EngineSettings)


class ForwarderSettings(_Topics):
    """The settings of `mrs-relay lineage forward`; see the groups of the same names in `Settings`."""

    forwarding: forwarding_settings.ForwardingSettings = pydantic.Field(
        default_factory=forwarding_settings.ForwardingSettings
    )
    log: log_settings.LogSettings = pydantic.Field(default_factory=log_settings.LogSettings)


_Some = TypeVar("_Some", bound=_Topics)


def without_mrs(config: pathlib.Path | None = None) -> tuple[all_tenants.ResolvedTenant, ...]:
    """
    Read the groups that say which topics there are, for commands that need no MRS; see `Settings.tenancies`.

    Raises:
        SettingsError: as `load`.
    """
    return _load_some(_Topics, config).tenancies


def load_web_role(config: pathlib.Path | None = None) -> WebRoleSettings:
    """
    Read the settings of `mrs-relay web`.

    Raises:
        SettingsError: as `load`.
    """
    return _load_some(WebRoleSettings, config)


def load_sender(config: pathlib.Path | None = None) -> SenderSettings:
    """
    Read the settings of a command that uploads files.

    Raises:
        SettingsError: as `load`.
    """
    return _load_some(SenderSettings, config)


def load_import(config: pathlib.Path | None = None) -> ImportSettings:
    """
    Read the settings of a command that imports ledgers.

    Raises:
        SettingsError: as `load`.
    """
    return _load_some(ImportSettings, config)


def load_forwarder(config: pathlib.Path | None = None) -> ForwarderSettings:
    """
    Read the settings of `mrs-relay lineage forward`.

    Raises:
        SettingsError: as `load`.
    """
    return _load_some(ForwarderSettings, config)


def _load_some(model: type[_Some], config: pathlib.Path | None) -> _Some:
    _refuse_unknown_variables()
    try:
        return model(**(_read_file(config) if config else {}))
    except pydantic.ValidationError as error:
        raise errors.SettingsError("\n".join(_lines(error))) from None  # the input may hold a secret
    except pydantic_settings.SettingsError as error:
        raise errors.SettingsError(f"{error}; see `mrs-relay settings`") from None


def describe() -> list[setting_rows.Row]:
    """Return every setting, in order."""
    return list(setting_rows.rows_of(Settings, _variable))


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _read_file(path: pathlib.Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise errors.SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.SettingsError(f"the settings file {path} is not valid TOML: {error}") from error


def _refuse_unknown_variables() -> None:
    """
    Refuse a misspelt variable, which must not be ignored in silence.

    Raises:
        SettingsError: one line for each, with the nearest setting.
    """
    known = {row.variable for row in describe()}
    groups = {
        "__".join(words[:count]) for words in (one.split("__") for one in known) for count in range(1, len(words))
    }
    ours = re.compile("|".join(re.escape(one).replace("<NAME>", _ANY_NAME) for one in known | groups))
    links = service_links.of(os.environ, PREFIX)
    unknown = sorted(
        name
        for name in os.environ
        if name.upper().startswith(PREFIX) and not ours.fullmatch(name.upper()) and name not in links
    )
    if unknown:
        raise errors.SettingsError(
            "\n".join(
                f"{name}: no such setting{_nearest(name, known)}; `mrs-relay settings` lists all of them"
                for name in unknown
            )
        )


def _nearest(name: str, known: set[str]) -> str:
    """Say which setting's variable a misspelt one resembles."""
    alike = difflib.get_close_matches(name.upper(), sorted(known), n=1)
    return f" (the nearest is {alike[0]})" if alike else ""


def _lines(error: pydantic.ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"])
        text = str(fault["msg"]).removeprefix("Value error, ")
        yield f"{name} ({_variable(name)}): {text}" if name else text
