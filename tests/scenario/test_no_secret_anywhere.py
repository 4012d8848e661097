"""
Marked secrets through every path: none comes out in logs, events, metrics, pages, errors or reprs.

`unit/engine/test_nothing_leaks.py` draws lives of requests; `contract/test_obs_client.py` has an OBS that quotes keys.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import pathlib
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

import aiohttp
import pydantic
import pytest
import structlog
from tests.support import access, service, service_harness, web_role

from mrs_relay import app as relay_app
from mrs_relay import errors, measuring, settings
from mrs_relay.common import clock, faults, logs
from mrs_relay.engine import probe
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import login
from mrs_relay.mrs import auth, client, iam, transport
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.mrs.operations import clusters
from mrs_relay.web import metrics

_MARK: Final = "hunter2"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Write logs as the service does; returns what was written since the last call."""
    before = structlog.get_config(), logging.getLogger().handlers[:], logging.getLogger().level
    logs.setup(level="DEBUG", style="json")
    try:
        yield lambda: capsys.readouterr().err
    finally:
        structlog.configure(**before[0])
        logging.getLogger().handlers[:], level = before[1], before[2]
        logging.getLogger().setLevel(level)
        logging.captureWarnings(capture=False)


def _clean(**said: object) -> None:
    """Fail for each text that shows a mark; says where."""
    found = {name: (text, text.find(_MARK)) for name, text in ((name, str(one)) for name, one in said.items())}
    assert {name: text[max(0, at - 200) : at + 60] for name, (text, at) in found.items() if at >= 0} == {}


# Settings

_PLAIN: Final = {
    "MRS__ENDPOINT": "https://mrs.test",
    "MRS__PROJECT_ID": service.PROJECT,
    "MRS__ACCESS_KEY": "AK",
    "MRS__SECRET_KEY": "SK",
}


def _environment(monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(f"{settings.PREFIX}{name}", value)


def _rows(word: str) -> list[str]:
    """Return the variables, without prefix, of the settings whose type or name has a word, but those of tables."""
    rows = [row for row in settings.describe() if "<" not in row.name]
    return [row.variable.removeprefix(settings.PREFIX) for row in rows if word in row.kind or row.name.endswith(word)]


@pytest.mark.parametrize("variable", _rows("SecretStr"))
def test_a_secret_of_the_settings_is_in_no_text_of_them(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Neither in their repr, nor as a text or JSON, nor in an error about it, or about another setting."""
    wrong = {"KAFKA__PARTITIONS": "none", "ENGINE__POLL_INTERVAL_S": "-1", "MRS__REGION": "nowhere"}
    for more in ({}, wrong, {"MRS__PROJECT_ID": "no project"}):
        for value in (_MARK, f"{_MARK} two words\n", f"postgresql://u:{_MARK}@db/relay", f"odd://u:{_MARK}@db"):
            _environment(monkeypatch, {**_PLAIN, **more, variable: value})
            try:
                found = settings.load()
            except errors.SettingsError as error:
                _clean(error=error, repr=repr(error), stack="".join(traceback.format_exception(error)))
                continue
            texts = {"repr": repr(found), "text": str(found), "json": found.model_dump_json()}
            _clean(**texts, rows=settings.describe(), tenants=repr(found.tenancies))


@pytest.mark.parametrize(
    "variable", [one for word in ("url", "endpoint", "proxy", "issuer") for one in _rows(word)]
)  # fmt: skip
def test_a_password_in_an_address_is_refused_or_hidden(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Addresses are logged and shown, so that none may hold one; the error does not repeat it."""
    for value in (f"https://user:{_MARK}@host.test/path", f"http://{_MARK}@localhost"):
        _environment(monkeypatch, {**_PLAIN, variable: value})
        with pytest.raises(errors.SettingsError) as refused:
            settings.load()
        _clean(error=refused.value, stack="".join(traceback.format_exception(refused.value)))


def test_a_file_that_is_no_toml_is_not_quoted(tmp_path: pathlib.Path) -> None:
    """The line with the fault may be that of a secret."""
    path = tmp_path / "relay.toml"
    for text in (f"[mrs]\nsecret_key = {_MARK}\n", f'[mrs]\nsecret_key = ["{_MARK}"]\n', f'[mrs]\n{_MARK} = "\n'):
        path.write_text(text)
        with pytest.raises(errors.SettingsError) as refused:
            settings.load(path)
        if f"{_MARK} =" not in text:  # a name of a setting that is not known is shown
            _clean(error=refused.value)


# MRS and IAM that quote all they get


def _quoting(request: transport.Request) -> dict[str, str]:
    said = f"cannot do that: {dict(request.headers)} {request.target} {(request.body or b'').decode()}"
    return {"error_code": "TEST.0001", "error_msg": said}


class _Quoting:
    """A gateway that answers each call with a refusal which quotes it."""

    def __init__(self, status: int) -> None:
        self.status = status

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        del timeout_s
        return transport.Response(self.status, json.dumps(_quoting(request)).encode())


def _group(**given: Any) -> mrs_settings.MrsSettings:
    return mrs_settings.MrsSettings.model_validate({"endpoint": "https://mrs.test", "region": "cn-north-4", **given})


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
async def test_a_gateway_that_quotes_the_call_is_not_quoted(status: int) -> None:
    """Neither token nor signature, whatever class the error has."""
    token = pydantic.SecretStr(f"{_MARK}-token")
    keys = auth.Keys("AK", pydantic.SecretStr(f"{_MARK}-key"), pydantic.SecretStr(f"{_MARK}-security"))
    group = _group(project_id=service.PROJECT, access_key="AK", secret_key="SK")  # noqa: S106 - the test's
    time = clock.SystemClock()
    signers: list[auth.Signer] = [
        auth.TokenSigner(token, "mrs.test", service.PROJECT),
        auth.KeySigner(keys, "mrs.test", service.PROJECT, time),
    ]
    for signer in signers:
        made = client.Client(group, _Quoting(status), time, signer)
        with pytest.raises(errors.MrsError) as raised:
            await made.call(clusters.SHOW_CLUSTER_DETAILS, path={"cluster_id": service.CLUSTER})
        _clean(error=raised.value, repr=repr(raised.value), args=raised.value.args, signer=repr(signer))
        assert "Signature=" not in str(raised.value) or "Signature=***" in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_an_iam_that_quotes_the_login_is_not_quoted(status: int) -> None:
    """It gets a password, and says whose it was."""
    group = _group(iam_user="ann", iam_password=f"{_MARK}-pass", iam_domain="home", project_id=service.PROJECT)
    asked = iam.Iam(group, _Quoting(status), clock.SystemClock())
    with pytest.raises(errors.MrsError) as raised:
        await asked.grant(group)
    _clean(error=raised.value, repr=repr(raised.value), args=raised.value.args, group=repr(group))


# A source of tokens for Kafka that quotes all it gets


@contextlib.contextmanager
def _token_endpoint(status: int) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            said = json.dumps({"error": f"{dict(self.headers)} {body} {_MARK}", "access_token": 7}).encode()
            self.send_response(status, _MARK)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *given: Any) -> None:
            del given

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_a_token_endpoint_that_quotes_the_secret_is_not_quoted(status: int) -> None:
    """Nor is a reply that cannot be read: it may hold a token."""
    with _token_endpoint(status) as url:
        kafka = kafka_settings.KafkaSettings.model_validate(
            {
                "security": {
                    "protocol": "SASL_PLAINTEXT",
                    "mechanism": "OAUTHBEARER",
                    "token_endpoint": url,
                    "client_id": "relay",
                    "client_secret": f"{_MARK}-secret",
                }
            }
        )
        tokens = login.tokens_for(kafka.security)
        assert tokens is not None
        with pytest.raises(login.CannotLogIn) as raised:
            await tokens.token()
    _clean(error=raised.value, repr=repr(raised.value), kafka=repr(kafka))


# A whole relay


class _Wire(service_harness.Wire):
    """
    A network on which calls of MRS fail in a way for each of them, and then work.

    A failure quotes the call, or is a bug whose text does.
    """

    def __init__(self, mrs: Any) -> None:
        super().__init__(mrs)
        self.failures: dict[str, list[int]] = {}

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        place = f"{request.verb} {request.target.partition('?')[0]}"
        left = self.failures.setdefault(place, [500, 0, 429, 403] if request.verb == "POST" else [500, 0, 403])
        if not left:
            return await super().send(request, timeout_s)
        status = left.pop()
        if not status:
            raise ValueError(f"{_MARK} {_quoting(request)}")
        return transport.Response(status, json.dumps(_quoting(request)).encode())


_TOPICS: Final = {"latest": "mrs.latest", "lineage": "mrs.lineage", "status": "mrs.status"}
_SPOKEN: Final = ("mrs.events", "mrs.latest", "mrs.lineage", "mrs.status", "mrs.audit", "mrs.control")


def _settings() -> settings.Settings:
    engine = {"poll_interval_s": 0.1, "settle_s": 1.0, "visibility_s": 0.3, "look_up_interval_s": 0.1}
    engine |= {"send_within_s": 0.2, "busy_wait_s": 0.1, "repeat_backoff_s": 0.1}
    return service_harness.settings(
        kafka={"topics": _TOPICS},
        mrs={"call_timeout_s": 0.5, "throttled_wait_s": 1, "budgets": False},
        engine=engine,
        lineage={"sql": "redacted"},
    )


def _requests() -> Iterator[bytes]:
    """Yield requests with marks where arguments, SQL, properties and passwords are, and some that are not valid."""
    properties = {"spark.secret": f"{_MARK}-value"}
    for number in range(4):
        yield _job(f"j-{number}", arguments=["obs://b/a.jar", f"--password={_MARK}-argument"], properties=properties)
        for engine in ("spark", "hive", "presto"):
            yield service.sql(f"{engine}-{number}", engine, f"select a from t where b = '{_MARK} literal'")
    yield _job("bad-1", arguments=[f"{_MARK}-argument", {"x": _MARK}])
    yield service.call("c-1", "CreateDataSource", {}, {"name": "d", "credentials": {"password": f"{_MARK}-inner"}})
    yield f'{{"id": "cut", "type": "mrs.sql.submit", "data": {{"statement": "{_MARK}'.encode()
    yield json.dumps({"password": _MARK}).encode()


def _job(request_id: str, **job: Any) -> bytes:
    data = {"cluster": service.CLUSTER, "job": {"job_type": "SparkSubmit", "job_name": "job", **job}}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


@contextlib.asynccontextmanager
async def _relay() -> AsyncIterator[service_harness.ServiceHarness]:
    async with service_harness.start(_settings(), replicas=0, emulated={"pace": {"run_s": 0.3}}) as here:
        await here.start_replica(_Wire(here.mrs))
        yield here


async def test_a_relay_tells_nothing_of_what_requests_ask_for_or_of_its_keys(
    logged: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """Logs, all topics that others read, why letters are dead, metrics, readiness, and all pages of the web role."""
    async with _relay() as here:
        for number, value in enumerate(_requests()):
            here.put(value, key=b"k%d" % number)
        wanted = [f"{kind}-{number}" for kind in ("j", "spark", "hive", "presto") for number in range(4)]
        await here.until_ended(wanted, 120)

        served = here.replicas[0].served
        probes = {"mrs": probe.Probe(served[0].connection.client, "https://mrs.test", "mrs")}
        now = measuring.snapshot(served, probes, measuring.Meter(served, here.chosen, here.time))
        said: dict[str, object] = {
            "metrics": list(metrics.families(now, is_ready=True)),
            "ready": relay_app.health_of(served, probes).as_json(),
        }
        for topic in _SPOKEN:
            said[topic] = [(one.headers, one.value) for one in here.broker.committed(topic)]
        said["letters"] = [
            [value for name, value in one.headers if name.startswith("mrs_relay_")]
            for one in here.broker.committed(here.chosen.kafka.topics.dead_letters)
        ]
        assert said["mrs.lineage"]
        assert said["letters"]

        chosen = web_role.chosen(f"sqlite:///{tmp_path}/web.db", kafka={"topics": _TOPICS})
        async with web_role.role(web_role.Stage(broker=here.broker), chosen) as client_of_web:
            for path in ("/", "/requests", "/clusters", "/tenants", "/dead-letters", "/audit", "/controls", "/metrics"):
                said[path] = await _page(client_of_web, path)
            for path in ("/v1/requests?limit=200", "/v1/clusters", "/v1/dead-letters", "/v1/audit", "/ready"):
                said[path] = await _page(client_of_web, path)
            for request_id in wanted:
                said[request_id] = await _page(client_of_web, f"/v1/requests/{request_id}?source=/test")
                said[f"why {request_id}"] = await _page(client_of_web, f"/v1/requests/{request_id}/why?source=/test")
            said |= await _refused(client_of_web)

    text = logged()
    assert "internal_error" in text
    assert "submission_in_doubt" in text
    _clean(logs=text, **said)
    assert here.chosen.mrs.secret_key is not None
    assert here.chosen.mrs.secret_key.get_secret_value() not in text + str(said)


async def _page(of: web_role.Client, path: str) -> str:
    async with of.session.get(of.url + path, headers={"Accept": "text/html, application/json"}) as reply:
        assert reply.status in {200, 404}, path
        return await reply.text()


async def _refused(of: web_role.Client) -> dict[str, object]:
    """Return what the API answers to bodies that it refuses."""
    sql = {"cluster": service.CLUSTER, "engine": "spark", "statement": f"select '{_MARK}'"}
    bodies: list[object] = [
        {"type": "mrs.sql.submit", "data": {**sql, "engine": _MARK}},
        {"type": "mrs.sql.submit", "data": {**sql, "statement": [_MARK]}},
        {"type": "mrs.sql.submit", "data": _MARK},
        [_MARK],
    ]
    found: dict[str, object] = {}
    for number, body in enumerate(bodies):
        for path in ("/v1/requests", "/v1/requests/validate", "/v1/requests/dry-run"):
            async with of.session.post(of.url + path, json=body) as reply:
                found[f"{path} {number}"] = await reply.text()
    return found


async def test_a_token_of_the_http_api_is_neither_answered_nor_logged(
    logged: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """Not one that is unknown, malformed, in the wrong place, or sent to the login of browsers."""
    tokens = tmp_path / "tokens"
    tokens.write_text("")
    api = {"access": {"tokens_file": str(tokens)}}
    async with web_role.running(web_role.Stage(), web_role.chosen(api=api, tenants=access.TENANTS)) as port:
        said: dict[str, object] = {}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            for number, header in enumerate((f"Bearer {_MARK}-token", f"Basic {_MARK}", _MARK)):
                async with session.get(f"{url}/v1/requests", headers={"Authorization": header}) as reply:
                    assert reply.status == 401
                    said[f"header {number}"] = f"{dict(reply.headers)} {await reply.text()}"
            async with session.get(f"{url}/v1/requests?access_token={_MARK}") as reply:
                said["query"] = f"{dict(reply.headers)} {await reply.text()}"
            form = {"token": f"{_MARK}-token", "next": "/"}
            async with session.post(f"{url}/login", data=form, headers={"Sec-Fetch-Site": "same-origin"}) as reply:
                assert reply.status >= 400
                said["login"] = f"{dict(reply.headers)} {await reply.text()}"
    _clean(logs=logged(), **said)


def test_an_unexpected_error_is_described_without_its_text() -> None:
    """Libraries quote the value that they failed on; a group has the errors of several."""

    def failing() -> None:
        try:
            json.loads(_MARK)
        except ValueError as error:
            raise ExceptionGroup(_MARK, [KeyError(_MARK), error, UnicodeError(_MARK)]) from error

    with pytest.raises(ExceptionGroup) as raised:
        failing()
    shown = faults.trace(raised.value)
    assert "JSONDecodeError" in shown
    _clean(trace=shown, name=faults.name(raised.value), stack=faults.stack(raised.value))


def test_the_check_of_this_file_finds_a_leak() -> None:
    """A text with a mark fails."""
    with pytest.raises(AssertionError, match="where"):
        _clean(where=f"a {_MARK} b")
