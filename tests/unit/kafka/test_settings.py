"""The settings refuse what cannot work and keep secrets to themselves."""

from __future__ import annotations

import pydantic
import pytest

from mrs_relay.common import described
from mrs_relay.kafka import security, settings

_LOGIN = {"protocol": "SASL_SSL", "username": "u"}
_TOKENS = {
    "protocol": "SASL_SSL",
    "mechanism": "OAUTHBEARER",
    "token_endpoint": "https://idp.test/token",
    "client_id": "relay",
    "client_secret": "pa55",
}


def test_defaults_are_those_of_production() -> None:
    """Without any setting the strong guarantee and Kafka's usual timeouts hold."""
    kafka = settings.KafkaSettings()
    assert (kafka.transactional, kafka.session_timeout_ms, kafka.topics.ledger) == (True, 8_000, "mrs.requests.ledger")


def test_transactional_id_does_not_depend_on_the_replica() -> None:
    """A new owner fences the old one only if both use the same id."""
    kafka = settings.KafkaSettings(app_id="a", group_id="g", topics=settings.Topics(requests="t"))
    assert kafka.transactional_id(3) == "a.g.t.3"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"commit_timeout_s": 15.0}, "kafka.commit_timeout_s"),
        ({"request_timeout_ms": 12_000}, "kafka.request_timeout_ms"),
        ({"heartbeat_interval_ms": 20_000}, "kafka.heartbeat_interval_ms"),
        ({"rebalance_timeout_ms": 40_000}, "kafka.join_request_timeout_ms"),
        ({"replication_factor": 0}, "kafka.replication_factor"),
        ({"topics": {"requests": "a", "events": "a"}}, "kafka.topics"),
        ({"topics": {"requests": "a", "events": "a.ledger"}}, "kafka.topics"),
        ({"topics": {"latest": "mrs.requests.ledger"}}, "kafka.topics"),
        ({"security": {"protocol": "SASL_SSL"}}, "kafka.security.username"),
        ({"security": {"protocol": "SSL", "key_file": "/k"}}, "kafka.security.cert_file"),
        ({"security": {**_LOGIN, "password": "p", "password_file": "/p"}}, "expected one of them"),
        (
            {"security": {**_LOGIN, "password": "p", "client_secret": "s", "client_secret_file": "/s"}},
            "client_secret_file",
        ),
        ({"security": {**_LOGIN, "mechanism": "OAUTHBEARER"}}, "either kafka.security.token_endpoint or .token_file"),
        ({"security": {**_TOKENS, "token_file": "/t"}}, "either kafka.security.token_endpoint or .token_file"),
        ({"security": {**_TOKENS, "client_secret": None}}, "needs kafka.security.client_id and .client_secret"),
        ({"security": {**_TOKENS, "token_endpoint": "http://idp.test/token"}}, "expected an https:// address"),
        ({"topics": {"requests": "with blank"}}, "topics.requests"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, object], named: str) -> None:
    """The message names the setting."""
    with pytest.raises(pydantic.ValidationError, match=named):
        settings.KafkaSettings.model_validate(changes)


def test_unknown_settings_are_refused() -> None:
    """A misspelt setting must not be ignored."""
    with pytest.raises(pydantic.ValidationError, match="bootstrap_server"):
        settings.KafkaSettings.model_validate({"bootstrap_server": "x"})


def test_passwords_do_not_show() -> None:
    """Neither text nor repr of the settings tells a password."""
    kafka = settings.KafkaSettings.model_validate(
        {"security": {"protocol": "SASL_SSL", "username": "u", "password": "pa55", "key_password": "pa55"}}
    )
    assert "pa55" not in f"{kafka} {kafka!r} {kafka.model_dump_json()}"


def test_every_setting_is_described() -> None:
    """Each field says what it means."""
    for group in (settings.KafkaSettings, settings.Topics, security.Security):
        undescribed = group.model_fields.keys() - described.descriptions(group).keys()
        assert not undescribed
