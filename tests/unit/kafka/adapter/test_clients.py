"""The one door to aiokafka: who may use it, which of its private parts we touch, and how its errors become ours."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import pathlib
import sys
from typing import Any

import aiokafka
import pytest
from aiokafka import client as kafka_client
from aiokafka import cluster as kafka_cluster
from aiokafka import conn as kafka_conn
from aiokafka import errors as kafka_errors
from aiokafka import structs as kafka_structs
from aiokafka.admin import NewTopic
from aiokafka.consumer import fetcher, group_coordinator, subscription_state
from aiokafka.coordinator.assignors.sticky import sticky_assignor
from aiokafka.producer import message_accumulator, sender
from aiokafka.protocol import fetch, transaction
from tests.support import runtimes

import mrs_relay
from mrs_relay import errors
from mrs_relay.kafka import records, settings
from mrs_relay.kafka.adapter import client, connection, producer, quiet
from mrs_relay.kafka.security import Security

_PACKAGE = pathlib.Path(mrs_relay.__file__).parent


def test_only_the_door_imports_the_library() -> None:
    """Everything that touches aiokafka lies in one folder."""
    users = set()
    for path in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                names.append(node.module)
            if any(name.split(".")[0] == "aiokafka" for name in names):
                users.add(path.relative_to(_PACKAGE).parent.as_posix())
    assert users == {"kafka/adapter"}


def test_release_is_the_one_we_know() -> None:
    """Private parts are those of 0.14."""
    assert aiokafka.__version__.startswith("0.14.")


def test_assertions_are_on() -> None:
    """The library guards its state machine with assert statements."""
    assert not sys.flags.optimize


@pytest.mark.parametrize(
    ("owner", "fragment"),
    [
        (aiokafka.AIOKafkaProducer, "self._closed = False"),
        (aiokafka.AIOKafkaProducer, "self._sender = Sender("),
        (aiokafka.AIOKafkaProducer, "self._message_accumulator = MessageAccumulator("),
        (aiokafka.AIOKafkaProducer, "self.client = AIOKafkaClient("),
        (sender.Sender, "self._sender_task = create_task("),
        (sender.Sender, "def sender_task(self)"),
        (sender.Sender, "task = create_task(self._send_produce_req("),
        (sender.Sender, "return create_task(self._do_add_partitions_to_txn("),
        (sender.Sender, "return create_task(self._do_txn_commit("),
        (sender.BaseHandler, "self._sender.client.send(node_id, req, group=self.group)"),
        (sender.SendProduceReqHandler, "self._client = sender.client"),
        (sender.SendProduceReqHandler, "self._client.send(node_id, request)"),
        (message_accumulator.MessageAccumulator, "def fail_all(self, exception)"),
        (message_accumulator.MessageAccumulator, "maybe_add_partition_to_txn(tp)"),
        (aiokafka.AIOKafkaConsumer, "self._client = AIOKafkaClient("),
        (kafka_client.AIOKafkaClient, "request_timeout_ms=self._request_timeout_ms,"),
        (kafka_client.AIOKafkaClient, "self._conns[conn_id] = await create_conn("),
        (kafka_client.AIOKafkaClient, "bootstrap_conn = await create_conn("),
        (kafka_client.AIOKafkaClient, "conn_id = (node_id, group)"),
        (kafka_client.AIOKafkaClient, "self._topics = set()"),
        (kafka_client.AIOKafkaClient, "self._sync_task = create_task("),
        (kafka_conn.AIOKafkaConnection, "return wait_for(fut, self._request_timeout)"),
        (group_coordinator.GroupCoordinator, "self._coordination_task = create_task("),
        (aiokafka.AIOKafkaConsumer, "self._fetcher = Fetcher("),
        (aiokafka.AIOKafkaConsumer, "self._coordinator = GroupCoordinator("),
        (fetcher.Fetcher, "self._fetch_task = create_task("),
        (fetcher.Fetcher, "self._pending_tasks = set()"),
        (kafka_conn.AIOKafkaConnection, "self._writer = self._reader = None"),
        (fetcher.Fetcher, "response = await self._client.send(node_id, request)"),
        (fetcher.Fetcher, "records = MemoryRecords(part_data[-1])"),
        (fetcher.Fetcher, "for partition, error_code, highwater, *part_data in partitions"),
        (fetcher.Fetcher, "if not tp_state.has_valid_position or tp_state.position != fetch_offset"),
        (fetch.FetchRequest, "def topics(self)"),
        (subscription_state.SubscriptionState, "def subscription(self)"),
        (subscription_state.Assignment, "def state_value(self, tp"),
        (subscription_state.TopicPartitionState, "def has_valid_position(self)"),
        (group_coordinator.GroupCoordinator, "self._heartbeat_task = "),
        (group_coordinator.GroupCoordinator, "resp = await self._send_req(request)"),
        (group_coordinator.GroupCoordinator, "await self._maybe_leave_group()"),
        (group_coordinator.GroupCoordinator, "await self._on_join_prepare(prev_assignment)"),
        (group_coordinator.GroupCoordinator, "success = await self._do_rejoin_group(subscription)"),
        (group_coordinator.GroupCoordinator, "await self._on_join_complete("),
        (group_coordinator.GroupCoordinator, "if self._heartbeat_task:"),
        (group_coordinator.CoordinatorGroupRebalance, "response = await self._coordinator._send_req(request)"),
        (group_coordinator.CoordinatorGroupRebalance, "self._coordinator._group_instance_id,"),
        (subscription_state.SubscriptionState, "def _notify_assignment_waiters(self)"),
        (subscription_state.Assignment, "return self._topic_partitions"),
        (subscription_state.Assignment, "return self._tp_state.get(tp)"),
        (subscription_state.TopicPartitionState, "def await_reset(self, strategy)"),
        (fetcher.Fetcher, "for tp in assignment.tps"),
        (fetcher.Fetcher, "self._wait_consume_future = create_future()"),
        (fetcher.Fetcher, "if not assignment.active:"),
        (fetcher.FetchResult, "if tp_state.paused:"),
        (group_coordinator.GroupCoordinator, "async def fetch_committed_offsets(self, partitions)"),
        (sticky_assignor.StickyPartitionAssignor, "cls.member_assignment = "),
        (sticky_assignor.StickyPartitionAssignor, "cls.generation"),
        (sticky_assignor.StickyPartitionAssignor, "DEFAULT_GENERATION_ID"),
        (transaction.EndTxnRequest, "class EndTxnRequest("),
        (NewTopic, "self.replication_factor = replication_factor"),
    ],
)
def test_private_parts_we_rely_on_are_there(owner: type, fragment: str) -> None:
    """A new release that changes one of them must be read before it is used."""
    assert fragment in inspect.getsource(owner)


async def test_kafka_refuses_the_default_replication_only_in_its_constructor() -> None:
    """Why we set the attribute afterwards."""
    with pytest.raises(kafka_errors.IllegalArgumentError):
        NewTopic("t", 1, -1)


def _producer(transactional_id: str | None) -> producer.KafkaProducer:
    return producer.KafkaProducer(connection.connect(runtimes.kafka_settings()), transactional_id, idempotent=True)


class EndTxnRequest:
    """Named like the library's."""


class ProduceRequest:
    """Named like the library's."""


async def _lost(*_args: object, **_options: object) -> object:
    raise kafka_errors.RequestTimedOutError


@pytest.mark.parametrize(
    ("transactional_id", "request_made", "raised", "tainted"),
    [
        ("x", EndTxnRequest(), quiet.Expected, True),  # never to be repeated with the same epoch
        ("x", ProduceRequest(), kafka_errors.RequestTimedOutError, True),
        (None, ProduceRequest(), kafka_errors.RequestTimedOutError, False),
    ],
)
async def test_lost_replies_are_noted_and_that_of_a_commit_is_final(
    transactional_id: str | None, request_made: object, raised: type[Exception], tainted: bool
) -> None:
    """The library repeats what raises an error of Kafka's; a repeated EndTxn could end a later transaction."""
    made = _producer(transactional_id)
    with pytest.raises(raised) as caught:
        await made._guard(_lost)(1, request_made)
    assert made.tainted is tainted
    if raised is quiet.Expected:
        assert not isinstance(caught.value, kafka_errors.KafkaError)


async def test_killed_producer_sends_nothing_more() -> None:
    """After the kill the library's own tasks end when they try to send."""
    made = _producer("x")
    made._client = made._make_client()
    sent: list[object] = []

    async def send(_node_id: int, request_made: object) -> None:
        sent.append(request_made)

    made._client.client.send = send
    await made.kill()
    with pytest.raises(asyncio.CancelledError):
        await made._client.client.send(1, ProduceRequest())
    assert sent == []
    with pytest.raises(errors.Fenced):
        await made.write([records.Outgoing("t", b"k", b"v", (), 0)])


async def test_killed_producer_leaves_no_task_of_the_library_behind() -> None:
    """The library awaits its tasks one by one, and the first that fails leaves the others alone."""
    made = _producer("x")
    made._client = made._make_client()
    made._client._sender._sender_task = asyncio.create_task(asyncio.Event().wait())

    async def never(_node_id: int, _request: object) -> None:
        await asyncio.Event().wait()

    request = asyncio.ensure_future(made._guard(never)(1, ProduceRequest()))
    await asyncio.sleep(0)
    await made.kill()
    assert request.cancelled()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (kafka_errors.ProducerFenced(), errors.Fenced),
        (kafka_errors.KafkaConnectionError(), errors.StreamDown),
        (TimeoutError(), errors.StreamDown),
        (AssertionError("state"), errors.StreamDown),
    ],
)
def test_whatever_goes_wrong_with_a_write_is_ours(error: Exception, kind: type[errors.StreamError]) -> None:
    """Fencing is distinguished for people, also where the library wraps it; everything else is an unknown outcome."""
    made = _producer("x")
    wrapped = kafka_errors.KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = error
    assert type(made._unknown_outcome(error)) is type(made._unknown_outcome(wrapped)) is kind


def test_write_that_is_not_taken_in_time_does_not_doubt_the_address() -> None:
    """The producer had been connected; what to look at are the replicas."""
    reported = str(_producer("x")._unknown_outcome(TimeoutError()))
    assert "in-sync replicas" in reported
    assert "is the address right" not in reported


def test_kafka_that_has_answered_before_does_not_doubt_the_address() -> None:
    """A broker that went away is no wrong setting."""
    made = connection.connect(runtimes.kafka_settings())
    assert "is the address right" in str(made.down("look", kafka_errors.NodeNotReadyError()))
    cluster = kafka_cluster.ClusterMetadata()
    cluster._brokers = {1: kafka_structs.BrokerMetadata(1, "kafka.example", 9092, None)}
    made.brokers.note(cluster)
    text = str(made.down("look", kafka_errors.NodeNotReadyError()))
    assert "it has answered before; see on the brokers" in text
    assert "is the address right" not in text


@pytest.mark.parametrize(
    "raised",
    [kafka_errors.UnknownError(), OSError("no route"), TimeoutError(), AssertionError("Did we not perform bootstrap?")],
)
async def test_errors_leave_the_door_as_ours(raised: Exception) -> None:
    """Address and setting are in the message, the library's error is the cause."""
    made = connection.connect(runtimes.kafka_settings(bootstrap_servers="kafka.example:9092"))
    with pytest.raises(errors.StreamDown, match=r"cannot look: Kafka at kafka\.example:9092 .*BOOTSTRAP") as caught:
        async with made.asking("look", 5.0):
            raise raised
    assert caught.value.__cause__ is raised


async def test_question_without_an_answer_ends() -> None:
    """Every question has a time limit."""
    made = connection.connect(runtimes.kafka_settings())
    with pytest.raises(errors.StreamDown, match="no answer"):
        async with made.asking("look", 0.01):
            await asyncio.Event().wait()


_SASL = {"protocol": "SASL_SSL", "username": "me", "password": "pa55", "mechanism": "SCRAM-SHA-256"}


def test_all_clients_get_the_same_security() -> None:
    """User, password, mechanism and TLS come from one place."""
    options = connection.connect(runtimes.kafka_settings(security=_SASL)).options("admin")
    assert options["security_protocol"] == "SASL_SSL"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", "pa55")
    assert options["sasl_mechanism"] == "SCRAM-SHA-256"
    assert options["ssl_context"].check_hostname
    assert options["client_id"] == "app-admin"


def test_password_is_not_in_errors_or_texts() -> None:
    """Neither the connection nor an error tells the password."""
    made = connection.connect(runtimes.kafka_settings(security=_SASL))
    reported = f"{made!r} {made.down('read', kafka_errors.KafkaConnectionError())}"
    assert "pa55" not in reported


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_unusable_certificates_name_the_settings(tmp_path: pathlib.Path, field: str) -> None:
    """A file that is no certificate, or is not there, refuses the start."""
    (tmp_path / "bad.pem").write_text("no certificate")
    for path in (tmp_path / "bad.pem", tmp_path / "missing.pem"):
        kafka = runtimes.kafka_settings(security={"protocol": "SSL", field: path})
        with pytest.raises(errors.SettingsError, match=r"kafka\.security\.ca_file, cert_file"):
            client.KafkaBroker(kafka)


def test_plain_connections_need_no_certificates() -> None:
    """Without TLS no context is made."""
    assert connection.connect(settings.KafkaSettings()).options("x")["ssl_context"] is None


def test_library_repeats_itself_rarely() -> None:
    """One message of a kind in half a minute is written, and nothing that we provoked ourselves."""
    rare = quiet.RareRepeats()

    def passes(created_s: float, message: str, error: Exception | None = None) -> bool:
        found = logging.LogRecord("aiokafka", logging.ERROR, "", 0, message, (), None)
        found.created = created_s
        found.exc_info = None if error is None else (type(error), error, None)
        return rare.filter(found)

    assert passes(1000.0, "cannot connect to %s")
    assert not passes(1029.0, "cannot connect to %s")
    assert passes(1029.0, "something else")
    assert passes(1031.0, "cannot connect to %s")
    assert not passes(2000.0, "unexpected", quiet.Expected())
    assert passes(2000.0, "unexpected", ValueError())


async def test_what_we_raise_on_purpose_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The library leaves futures behind that are never awaited, and asyncio reports each when it is collected."""
    quiet.install()
    try:
        for error in (quiet.Expected("given up"), ValueError("a bug")):
            future = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            del future
    finally:
        for name in (*quiet._LOGGERS, "asyncio"):
            logger = logging.getLogger(name)
            for found in [one for one in logger.filters if isinstance(one, quiet.Unexpected)]:
                logger.removeFilter(found)
    assert [record.exc_info and str(record.exc_info[1]) for record in caplog.records] == ["a bug"]


def test_a_missing_right_is_named_with_the_command_that_prints_what_is_needed() -> None:
    """The library's error names the topic, or several; the group and the transactional ids are in the settings."""
    made = connection.connect(settings.KafkaSettings())
    add = "`kafka-acls.sh --bootstrap-server localhost:9092 --add --allow-principal User:NAME"

    for what, error, missing, line in (
        (
            "write, and the outcome is unknown",
            kafka_errors.TopicAuthorizationFailedError("mrs.events"),
            "the right Write on topic mrs.events is missing",
            "--operation Write --topic mrs.events --resource-pattern-type literal`",
        ),
        (
            "read",
            kafka_errors.TopicAuthorizationFailedError({"mrs.requests"}),
            "the right Read on topic mrs.requests is missing",
            "--operation Read --topic mrs.requests --resource-pattern-type literal`",
        ),
        (
            "join the consumer group",
            kafka_errors.GroupAuthorizationFailedError("any"),
            "the right Read on group mrs-relay is missing",
            "--operation Read --group mrs-relay --resource-pattern-type literal`",
        ),
        (
            "start a producer",
            kafka_errors.TransactionalIdAuthorizationFailed(),
            "the right Write and Describe on transactional ids that begin with mrs-relay.mrs-relay. is missing",
            "--transactional-id mrs-relay.mrs-relay. --resource-pattern-type prefixed`",
        ),
        ("write", kafka_errors.TopicAuthorizationFailedError(), "a right on a topic is missing", ""),
        ("list the topics", kafka_errors.ClusterAuthorizationFailedError(), "a right on the cluster is missing", ""),
    ):
        text = str(made.down(what, error))
        assert f"cannot {what}: Kafka at localhost:9092" in text
        assert missing in text
        assert line in text
        assert not line or add in text

    assert "`mrs-relay topics acls`" in str(made.down("read", kafka_errors.TopicAuthorizationFailedError("mrs.events")))


def test_a_missing_right_names_the_user_who_lacks_it_where_the_settings_have_it() -> None:
    """A user who logs in with a password; Kafka alone knows the name of a certificate, a ticket or a token."""
    refusal = kafka_errors.TopicAuthorizationFailedError("mrs.events")
    known = (" for User:etl; ", "User:etl")
    for mechanism, (whom, principal) in {"PLAIN": known, "SCRAM-SHA-256": known, "GSSAPI": ("; ", "User:NAME")}.items():
        given: dict[str, Any] = {"mechanism": mechanism, "username": "etl", "password": "p"}
        security = Security.model_construct(protocol="SASL_SSL", **given)
        kafka = settings.KafkaSettings().model_copy(update={"security": security})
        text = str(connection.Connection(kafka, None).down("read", refusal))
        assert f"the right Read on topic mrs.events is missing{whom}" in text
        assert f"--allow-principal {principal} " in text
