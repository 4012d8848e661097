"""Find out why Kafka cannot be used, in a message for people; the library reports the reason only in its own log."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import conn
from aiokafka import errors as kafka_errors
from aiokafka.protocol import metadata

from mrs_relay.kafka.adapter import login

_PROBE_S: Final = 3.0

_PAPERS: Final = {
    "OAUTHBEARER": "kafka.security.token_endpoint, client_id, client_secret and scope, or token_file",
    "GSSAPI": "the ticket or keytab (klist; KRB5_CLIENT_KTNAME, KRB5CCNAME), kafka.security.kerberos_service and "
    "kerberos_host",
}
REPLICAS: Final = (
    "see on the brokers whether partitions lack in-sync replicas, those of __transaction_state and __consumer_offsets "
    "included (min.insync.replicas, transaction.state.log.min.isr)"
)
"""The checks for a Kafka that answers but does not carry out a request."""

_PASSWORD: Final = "kafka.security.mechanism, username and password"  # noqa: S105 - names of settings


async def examine(options: Mapping[str, Any]) -> str | None:
    """
    Connect once to the first address that answers, and return the fault that blocks a request.

    Args:
        options: the library's, as for any client.

    Returns:
        The thing to check: TLS, the listener's kind, our login, or that Kafka answers and another fault blocks the
        request. None if no address answers.
    """
    for host, port, _ in conn.collect_hosts(options["bootstrap_servers"], randomize=False):
        try:
            async with asyncio.timeout(_PROBE_S):
                return await _examine_address(host, port, options)
        except (OSError, TimeoutError):
            continue
    return None


async def _examine_address(host: str, port: int, options: Mapping[str, Any]) -> str:
    """Return the obstacle at one address; raises OSError, TimeoutError if it does not answer."""
    try:
        await _try_login(host, port, options)
    except ssl.SSLError as error:
        return f"TLS fails: {error}; check kafka.security.ca_file and the names in the brokers' certificates"
    except (OSError, TimeoutError):
        raise
    except Exception as error:  # noqa: BLE001 - `_refusal` raises what is not Kafka's
        return _refusal(error, options["security_protocol"], options.get("sasl_mechanism", ""))
    return f"it answers, but has not done this in time; {REPLICAS}"


async def _try_login(host: str, port: int, options: Mapping[str, Any]) -> None:
    named = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    connection = await conn.create_conn(host, port, request_timeout_ms=int(_PROBE_S * 1000), **named)
    try:
        # NB: the library takes a refused token for an accepted one; the next reply lists no brokers then.
        reply = await connection.send(metadata.MetadataRequest([]))
        if not reply.brokers and options.get("sasl_mechanism") == "OAUTHBEARER":
            raise kafka_errors.SaslAuthenticationFailed("it does not accept the token")
    finally:
        await connection.close()


def _refusal(error: Exception, protocol: str, mechanism: str) -> str:
    """
    Return the meaning of a failed login, for people.

    Raises:
        Exception: `error` itself, if it is neither Kafka's nor of a login.
    """
    papers = _PAPERS.get(mechanism, _PASSWORD) if protocol.startswith("SASL") else "kafka.security.protocol"
    if isinstance(error, kafka_errors.UnsupportedSaslMechanismError):
        return f"it does not take kafka.security.mechanism {mechanism}: {_text(error)}"
    if isinstance(
        error, kafka_errors.SaslAuthenticationFailed | kafka_errors.AuthenticationFailedError | login.CannotLogIn
    ) or login.is_kerberos(error):
        return f"it does not let us in: {_text(error)}; check {papers}"
    if isinstance(error, kafka_errors.KafkaError):
        return f"it closes the connection ({_text(error)}); check kafka.security.protocol and {papers}"
    raise error


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
