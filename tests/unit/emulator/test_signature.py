"""The emulator's own verifier against the seven published vectors, and what the gateway says when it refuses."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client

from mrs_emulator.core import core, ids, refusals, settings, wire
from mrs_emulator.iam import accounts, signature

AK = "EXAMPLEACCESSKEY0001"
SK = "example-secret-key-for-test-vectors-0001"
PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
JOBS = f"/v2/{PROJECT}/clusters/6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01/job-executions"
ONE_JOB = f"{JOBS}/b6c1d6b0-3f1c-4d7e-8a47-1d6f0e9a2c55"


@dataclass(frozen=True)
class Vector:
    """One published example: a signed request, and the hash and signature that belong to it."""

    name: str
    verb: str
    path: str
    sdk_date: str
    canonical_hash: str
    signature: str
    query: str = ""
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    host: str = "mrs.cn-north-4.myhuaweicloud.com"
    access: str = AK
    secret: str = SK
    json_headers: bool = True

    def request(self) -> wire.Request:
        headers = {"Host": self.host, "X-Sdk-Date": self.sdk_date, **self.headers}
        if self.json_headers:
            headers = {"Content-Type": "application/json", "X-Project-Id": PROJECT, **headers}
        names = ";".join(sorted(name.lower() for name in headers))
        headers["Authorization"] = (
            f"SDK-HMAC-SHA256 Access={self.access}, SignedHeaders={names}, Signature={self.signature}"
        )
        headers["Accept"] = "*/*"  # added by the HTTP library after signing
        return wire.Request.of(self.verb, f"{self.path}?{self.query}", headers, self.body.encode())


VECTORS = (
    Vector(
        name="V1 list jobs",
        verb="GET",
        path=JOBS,
        query="job_state=RUNNING&limit=100&offset=1&sort_by=desc&submitted_time_begin=1795420800000",
        sdk_date="20261123T073000Z",
        canonical_hash="2087a8f845e1069f4f8bcd25cea61a2945fe2bc89c8de0857099365b94d125f6",
        signature="7d4681dcd8410ce2db200029a7f1106c4e4bdd02ce8f521a45498e0a73794cb9",
    ),
    Vector(
        name="V2 submit job",
        verb="POST",
        path=JOBS,
        body=(
            '{"job_name": "wordcount-20261123", "job_type": "MapReduce", "arguments": ["obs://demo-bucket/program/'
            'hadoop-mapreduce-examples.jar", "wordcount", "obs://demo-bucket/input/", "obs://demo-bucket/output/run-1"'
            '], "properties": {"fs.obs.endpoint": "obs.cn-north-4.myhuaweicloud.com"}}'
        ),
        sdk_date="20261123T073001Z",
        canonical_hash="b4a5603046a06694568b5eade2536c13631eeac78e91b48dd00c77f382994630",
        signature="a3f627fd5d69c46bb599c1b3fb91fbd5991bf36f31c7cd47f18a6c982b34020d",
    ),
    Vector(
        name="V3 kill job",
        verb="POST",
        path=f"{ONE_JOB}/kill",
        sdk_date="20261123T073002Z",
        canonical_hash="efbbcd0602aa46f6dc21c311060c90b9e354d8db51aacbf958532cfa04058f79",
        signature="e31571d6b2a09f43bd9017055a0cd130b2fcaef0a9f343d29940c0777bdb3dd1",
    ),
    Vector(
        name="V4 temporary key",
        verb="GET",
        path=ONE_JOB,
        sdk_date="20261123T073003Z",
        headers={"X-Security-Token": "example-security-token-0001"},
        access="EXAMPLETEMPACCESS001",
        secret="example-temporary-secret-key-0001",  # noqa: S106 - published example
        canonical_hash="8e65c2a6fe337cf2f3c93083ef959670098388473e4d99aedc057880bda5872f",
        signature="1fb25f6e2441c5034f5930f43105a7d1846d7a08b63f9c0164b9347639a50678",
    ),
    Vector(
        name="V5 project lookup",
        verb="GET",
        path="/v3/projects",
        query="name=cn-north-4",
        host="iam.cn-north-4.myhuaweicloud.com",
        headers={"User-Agent": "mrs-orchestrator/0.1"},
        json_headers=False,
        sdk_date="20261123T073004Z",
        canonical_hash="42841938dc709613152cf8d703d4bf2c010771a9b7e9ed2d634a34d42be6aeb9",
        signature="e9562b517cc3b5e94e0e64229bcfe8f259099b37e9408a98bb0fc5e2019b1ccd",
    ),
    Vector(
        name="V6 encoding",
        verb="GET",
        path=f"/v2/{PROJECT}/metadata/version/MRS%203.1.5.1/available-flavor",
        query="a%20key=x%20y%2Fz%2B1%26~%2A&name=%E6%95%B0%E6%8D%AE&tag=a&tag=b&z_flag=true",
        headers={"X-Language": "  en-us  "},
        sdk_date="20261123T073005Z",
        canonical_hash="0e0624da2d820ca1f23c32aa44c6a9718c153b2c6a45a8b8c8c941060816e08e",
        signature="32056edabc428b70433f86fa272a096f4494a3c949dee7a8c87b676736fc2089",
    ),
    Vector(
        name="V7 non-ASCII body",
        verb="POST",
        path=f"/v2/{PROJECT}/clusters/6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01/sql-execution",
        headers={"Content-Type": "application/json;charset=UTF-8"},
        body='{"sql_type": "presto", "sql_content": "select \'数据\' as c", "database": "default"}',
        sdk_date="20261123T073006Z",
        canonical_hash="6e8fbb3e7078bef446afe9bb2d7f1b0e827290ad393dc843fd609576adb98bbd",
        signature="6514330c0e8d1b5b22f6ba0cb05cc350aa1fc6b1d79baf7f61d873d6ddf6b6f3",
    ),
)
BY_NAME = {vector.name: vector for vector in VECTORS}


def at_ms(sdk_date: str) -> int:
    """Return the moment of an X-Sdk-Date."""
    return round(dt.datetime.strptime(sdk_date + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp() * 1000)


def opened(key: settings.Credential, project: str = PROJECT) -> signature.Gate:
    """Return a gate that knows this key alone."""
    chosen = settings.EmulatorSettings(credentials=(key,), project_id=project)
    return signature.Gate(accounts.Accounts(chosen, ids.Ids(7)), chosen)


def gate(vector: Vector, token: str | None = None) -> signature.Gate:
    """Return a gate that knows the vector's key."""
    key = settings.Credential.model_validate(
        {"access_key": vector.access, "secret_key": vector.secret, "security_token": token, "user": "svc"}
    )
    return opened(key)


def refused(vector: Vector, request: wire.Request, now_ms: int | None = None, token: str | None = None) -> str:
    """Return the error text that the gate refuses a request with."""
    with pytest.raises(refusals.Refusal) as caught:
        gate(vector, token).user(request, at_ms(vector.sdk_date) if now_ms is None else now_ms)
    return f"{caught.value.status} {caught.value.payload['error_code']} {caught.value.payload['error_msg']}"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_published_vector_is_computed_to_the_letter(vector: Vector) -> None:
    """Hash of the canonical request and signature equal those that the official signer made."""
    request = vector.request()
    claim = signature.read_claim(request.headers["authorization"])
    assert claim is not None
    to_sign = signature.string_to_sign(vector.sdk_date, signature.canonical_request(request, claim.signed_headers))
    assert to_sign.splitlines()[2] == vector.canonical_hash
    assert signature.signature(vector.secret, to_sign) == vector.signature


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_published_vector_is_admitted(vector: Vector) -> None:
    """A correctly signed request passes as the user its key belongs to."""
    token = vector.headers.get("X-Security-Token")
    assert gate(vector, token).user(vector.request(), at_ms(vector.sdk_date)) == "svc"


def test_changed_body_is_refused() -> None:
    """The body is signed: one byte more, and the signature is wrong."""
    vector = BY_NAME["V2 submit job"]
    request = vector.request()
    changed = wire.Request(request.verb, request.path, request.query, request.headers, request.body + b" ")
    assert refused(vector, changed).endswith("verify aksk signature fail")


@pytest.mark.parametrize("header", ["x-project-id", "content-type", "host"])
def test_changed_signed_header_is_refused(header: str) -> None:
    """Every header named in SignedHeaders counts."""
    vector = BY_NAME["V1 list jobs"]
    request = vector.request()
    headers = {**request.headers, header: "other"}
    changed = wire.Request(request.verb, request.path, request.query, headers, request.body)
    assert refused(vector, changed).startswith("401 APIGW.0301")


def test_query_in_other_order_is_the_same_request() -> None:
    """The query is sorted before it is signed, so its order on the way does not matter."""
    vector = BY_NAME["V1 list jobs"]
    request = vector.request()
    turned = "&".join(reversed(request.query.split("&")))
    changed = wire.Request(request.verb, request.path, turned, request.headers, request.body)
    assert gate(vector).user(changed, at_ms(vector.sdk_date)) == "svc"


def test_wrong_secret_and_unknown_key_look_the_same() -> None:
    """A stranger learns nothing about which keys exist."""
    vector = BY_NAME["V1 list jobs"]
    other = settings.Credential.model_validate({"access_key": "SOMEONEELSE", "secret_key": "s"})
    wrong = settings.Credential.model_validate({"access_key": vector.access, "secret_key": "wrong"})
    found = []
    for key in (other, wrong):
        with pytest.raises(refusals.Refusal) as caught:
            opened(key).user(vector.request(), at_ms(vector.sdk_date))
        found.append(caught.value.payload)
    assert found[0] == found[1]


@pytest.mark.parametrize("minutes", [-16, 16])
def test_clock_off_by_more_than_15_minutes_is_0303(minutes: int) -> None:
    """The gateway wants X-Sdk-Date within 15 minutes of its own clock, either way, and names both times."""
    vector = BY_NAME["V1 list jobs"]
    text = refused(vector, vector.request(), at_ms(vector.sdk_date) + minutes * 60_000)
    assert text.startswith("401 APIGW.0303")
    assert vector.sdk_date in text


@pytest.mark.parametrize("minutes", [-15, 15])
def test_clock_off_by_15_minutes_is_still_admitted(minutes: int) -> None:
    """15 minutes exactly are within the limit."""
    vector = BY_NAME["V1 list jobs"]
    assert gate(vector).user(vector.request(), at_ms(vector.sdk_date) + minutes * 60_000) == "svc"


@pytest.mark.parametrize(
    ("header", "value", "ending"),
    [
        ("authorization", None, "x-auth-token not found"),
        ("authorization", "Basic abc", "verify aksk signature fail"),
        ("x-sdk-date", None, "verify aksk signature fail"),
        ("x-sdk-date", "yesterday", "verify aksk signature fail"),
    ],
)
def test_missing_or_malformed_authentication_is_0301(header: str, value: str | None, ending: str) -> None:
    """Each way of not signing has its documented ending."""
    vector = BY_NAME["V3 kill job"]
    request = vector.request()
    headers = {name: text for name, text in request.headers.items() if name != header}
    headers |= {header: value} if value is not None else {}
    changed = wire.Request(request.verb, request.path, request.query, headers, request.body)
    assert refused(vector, changed) == f"401 APIGW.0301 Incorrect IAM authentication information: {ending}"


def test_temporary_key_with_another_token_is_refused() -> None:
    """A temporary key is worth nothing without its own security token."""
    vector = BY_NAME["V4 temporary key"]
    assert refused(vector, vector.request(), token="another").endswith("decrypt token fail")  # noqa: S106 - invented


def test_foreign_project_in_the_header_is_0310() -> None:
    """X-Project-Id must name the emulator's project."""
    vector = BY_NAME["V1 list jobs"]
    key = settings.Credential.model_validate({"access_key": vector.access, "secret_key": vector.secret})
    with pytest.raises(refusals.Refusal, match=r"APIGW\.0310"):
        opened(key, "otherproject").user(vector.request(), at_ms(vector.sdk_date))


def test_signed_body_over_12_mb_is_413() -> None:
    """The gateway takes at most 12 MB in a signed request."""
    vector = BY_NAME["V2 submit job"]
    request = vector.request()
    large = wire.Request(request.verb, request.path, "", request.headers, b"x" * (12 * 1024 * 1024 + 1))
    assert refused(vector, large).startswith("413 APIGW.0201")


def test_declared_payload_hash_replaces_the_hash_of_the_body() -> None:
    """With X-Sdk-Content-Sha256 the declared value is signed, so a stream need not be hashed first."""
    headers = {"x-sdk-date": "20261123T073000Z", "x-sdk-content-sha256": "UNSIGNED-PAYLOAD"}
    request = wire.Request("POST", "/x", "", headers, b"anything")
    assert signature.canonical_request(request, ["x-sdk-date"]).endswith("UNSIGNED-PAYLOAD")


async def test_emulator_refuses_unsigned_requests_unless_reported_otherwise() -> None:
    """The signature check is on by default and answers in the gateway's shape, with the request id in the body."""
    url = f"{http_client.Client(core.Emulator(settings.EmulatorSettings()), clocks.HandClock()).base}/job-executions"
    reply = await core.Emulator(settings.EmulatorSettings()).handle(wire.Request.of("GET", url))
    assert reply.status == 401
    assert reply.json()["request_id"] == reply.headers["X-Request-Id"]
    assert (
        await core.Emulator(settings.EmulatorSettings(auth=False)).handle(wire.Request.of("GET", url))
    ).status == 202


def test_secrets_stay_out_of_repr() -> None:
    """Settings may be printed; keys and tokens may not."""
    key = settings.Credential.model_validate({"secret_key": "hush-1", "security_token": "hush-2"})
    assert "hush" not in repr(settings.EmulatorSettings(credentials=(key,)))
