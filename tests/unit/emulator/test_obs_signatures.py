"""
Signatures of OBS against published examples.

Source: AWS, "Signature Calculations for the Authorization Header", "Authenticating Requests: Using Query Parameters",
"Transferring Payload in Multiple Chunks", and, for version 2, "Signing and Authenticating REST Requests".
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable

import pytest

from mrs_emulator.core import ids
from mrs_emulator.core import settings as emulator_settings
from mrs_emulator.iam import accounts
from mrs_emulator.obs import access, chunks, errors, own_signature, service, v4, wire

AK = "AKIAIOSFODNN7EXAMPLE"
SK = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DOMAINS = ("s3.amazonaws.com",)
SCOPE = "20130524/us-east-1/s3/aws4_request"
NOW_MS = round(dt.datetime(2013, 5, 24, tzinfo=dt.UTC).timestamp() * 1000)
EMPTY = hashlib.sha256(b"").hexdigest()
READ = {
    "host": "examplebucket.s3.amazonaws.com",
    "range": "bytes=0-9",
    "x-amz-content-sha256": EMPTY,
    "x-amz-date": "20130524T000000Z",
    "authorization": f"AWS4-HMAC-SHA256 Credential={AK}/{SCOPE},SignedHeaders=host;range;x-amz-content-sha256;"
    "x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
}
PRESIGNED = (
    f"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={AK}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
CHUNKED = {
    "host": "s3.amazonaws.com",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
    "content-length": "66824",
    "authorization": f"AWS4-HMAC-SHA256 Credential={AK}/{SCOPE},SignedHeaders=content-encoding;content-length;host;"
    "x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,"
    "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
}
CHUNK_SUMS = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)


def gate() -> access.Gate:
    """Return a gate that knows the key of the examples."""
    chosen = emulator_settings.EmulatorSettings.model_validate({"credentials": [{"access_key": AK, "secret_key": SK}]})
    return access.Gate(accounts.Accounts(chosen, ids.Ids(1)), "owner", checks=True)


def admit(verb: str, path: str, headers: dict[str, str], now_ms: int = NOW_MS) -> access.Admitted:
    return gate().admit(wire.request(verb, path, headers, DOMAINS), now_ms)


def refusal(verb: str, path: str, headers: dict[str, str], now_ms: int = NOW_MS) -> str:
    with pytest.raises(errors.ObsError) as caught:
        admit(verb, path, headers, now_ms)
    return caught.value.code


def test_published_request_of_version_4_is_admitted() -> None:
    """In the header, with a signed range; its body must be the empty one."""
    assert admit("GET", "/test.txt", READ).payload == EMPTY
    assert admit("GET", PRESIGNED, {"host": READ["host"]}).payload is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"range": "bytes=0-8"}, "SignatureDoesNotMatch"),
        ({"x-amz-date": "20130525T000000Z"}, "AccessDenied"),
        ({"x-amz-date": ""}, "AccessDenied"),
        ({"authorization": READ["authorization"].replace(AK, "AKIAOTHER")}, "InvalidAccessKeyId"),
        ({"authorization": "AWS4-HMAC-SHA256 nonsense"}, "InvalidArgument"),
        ({"authorization": ""}, "AccessDenied"),
        ({"authorization": READ["authorization"].replace("host;", "")}, "AccessDenied"),
    ],
)
def test_what_is_not_signed_so_is_refused(changes: dict[str, str], code: str) -> None:
    """By the code that says which part is wrong."""
    assert refusal("GET", "/test.txt", READ | changes) == code


def test_time_is_part_of_a_signature() -> None:
    """A quarter of an hour in a header, its own life for a presigned URL."""
    quarter_ms, day_ms = 15 * 60 * 1000, 86_400_000
    admit("GET", "/test.txt", READ, NOW_MS + quarter_ms)
    assert refusal("GET", "/test.txt", READ, NOW_MS + quarter_ms + 1) == "RequestTimeTooSkewed"
    assert refusal("GET", "/test.txt", READ, NOW_MS - quarter_ms - 1) == "RequestTimeTooSkewed"
    admit("GET", PRESIGNED, {"host": READ["host"]}, NOW_MS + day_ms)
    assert refusal("GET", PRESIGNED, {"host": READ["host"]}, NOW_MS + day_ms + 1) == "AccessDenied"
    assert refusal("PUT", PRESIGNED, {"host": READ["host"]}) == "SignatureDoesNotMatch"
    assert refusal("GET", PRESIGNED.replace("86400", "604801"), {"host": READ["host"]}) == "AccessDenied"


def _chunks(sums: Iterable[str]) -> bytes:
    parts = (b"a" * 65_536, b"a" * 1024, b"")
    return b"".join(
        f"{len(part):x};chunk-signature={found}\r\n".encode() + part + b"\r\n"
        for part, found in zip(parts, sums, strict=True)
    )


@pytest.mark.parametrize("piece", [7, 1000, 100_000])
def test_published_body_in_chunks_is_taken_apart(piece: int) -> None:
    """However it arrives; each chunk's signature follows from the one before."""
    framing = admit("PUT", "/examplebucket/chunkObject.txt", CHUNKED).framing
    assert framing is not None
    decoder, whole = chunks.Decoder(framing), _chunks(CHUNK_SUMS)
    found = b"".join(
        data for start in range(0, len(whole), piece) for data in decoder.feed(whole[start : start + piece])
    )
    decoder.end()
    assert found == b"a" * 66_560


def test_chunks_that_are_changed_cut_or_none_are_refused() -> None:
    """A body that is not what was signed becomes no object."""
    framing = admit("PUT", "/examplebucket/chunkObject.txt", CHUNKED).framing
    assert framing is not None
    for body, code in (
        (_chunks(CHUNK_SUMS).replace(b"aaa", b"aab", 1), "SignatureDoesNotMatch"),
        (_chunks((CHUNK_SUMS[0], CHUNK_SUMS[0], CHUNK_SUMS[2])), "SignatureDoesNotMatch"),
        (b"hello\r\n", "InvalidRequest"),
        (b"x" * 1000, "InvalidRequest"),
    ):
        with pytest.raises(errors.ObsError, match=code):
            list(chunks.Decoder(framing).feed(body))
    decoder = chunks.Decoder(framing)
    list(decoder.feed(_chunks(CHUNK_SUMS)[:-100]))
    with pytest.raises(errors.ObsError, match="IncompleteBody"):
        decoder.end()


@pytest.mark.parametrize(
    ("path", "date", "signature"),
    [
        ("/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 +0000", "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
        ("/?prefix=photos&max-keys=50&marker=puppy", "Tue, 27 Mar 2007 19:42:41 +0000", "htDYFYduRNen8P9ZfE/s9SuKy0U="),
        ("/?acl", "Tue, 27 Mar 2007 19:44:46 +0000", "c2WLPFtWHVgbEmeEG93a4cG37dM="),
    ],
)
def test_published_request_of_version_2_has_its_signature(path: str, date: str, signature: str) -> None:
    """The bucket stands in the host and is signed as part of the path."""
    headers = {"host": "johnsmith.s3.amazonaws.com", "date": date, "authorization": f"AWS {AK}:{signature}"}
    request = wire.request("GET", path, headers, DOMAINS)
    claim = own_signature.read(request)
    assert claim is not None
    assert signature in own_signature.signatures(request, claim, SK)
    assert gate().admit(request, own_signature.signed_ms(request, claim)).prefix == "x-amz-"
    with pytest.raises(errors.ObsError, match="RequestTimeTooSkewed"):
        gate().admit(request, NOW_MS)


def test_keys_and_buckets_are_read_from_host_and_path() -> None:
    """The longest domain counts; an address has no sub-domains; what is no UTF-8 or too long names nothing."""
    domains = ("localhost", "obs.localhost")
    for host, path, named in (
        ("127.0.0.1:80", "/bucket/a/b", ("bucket", "a/b")),
        ("localhost:80", "/bucket", ("bucket", "")),
        ("bucket.obs.localhost", "/a%2Fb//c", ("bucket", "a/b//c")),
        ("my.bucket.localhost:1", "/", ("my.bucket", "")),
        ("[::1]:80", "/", ("", "")),
        ("", "/b/k", ("b", "k")),
    ):
        request = wire.request("GET", path, {"host": host}, domains)
        assert (request.bucket, request.key) == named

    for path, code in (
        ("/b/%ff", "InvalidURI"),
        (f"/b/{'x' * 1025}", "KeyTooLong"),
        ("/b?a=%ff", "InvalidURI"),
        ("/b/\udcff", "InvalidURI"),
    ):
        with pytest.raises(errors.ObsError, match=code):
            wire.request("GET", path, {}, domains)


def test_date_of_version_4_may_be_an_http_date() -> None:
    """The header Date stands in for X-Amz-Date, as the algorithm allows."""
    headers = {name: value for name, value in READ.items() if name != "x-amz-date"} | {
        "date": "Fri, 24 May 2013 00:00:00 GMT"
    }
    claim = v4.read(wire.request("GET", "/test.txt", headers, DOMAINS))
    assert claim is not None
    assert claim.signed_ms == NOW_MS


def test_page_in_a_browser_writes_nothing_without_a_signature() -> None:
    """Where signatures are not checked, a form of any page could send what deletes objects."""
    chosen = emulator_settings.EmulatorSettings()
    free = access.Gate(accounts.Accounts(chosen, ids.Ids(1)), "owner", checks=False)
    for page in ({"origin": "http://elsewhere"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        with pytest.raises(errors.ObsError, match="AccessDenied"):
            free.admit(wire.request("POST", "/bucket?delete", page, DOMAINS), NOW_MS)
        assert free.admit(wire.request("GET", "/bucket", page, DOMAINS), NOW_MS).owner == "owner"
    assert free.admit(wire.request("POST", "/bucket?delete", {}, DOMAINS), NOW_MS).owner == "owner"


def test_bytes_that_are_no_text_are_refused_like_others() -> None:
    """In a signature, and in a header that is signed."""
    host = {"host": READ["host"]}
    assert refusal("GET", PRESIGNED.replace("aeeed9", "%C3%A9"), host) == "SignatureDoesNotMatch"
    assert refusal("GET", "/test.txt", READ | {"range": "bytes=\udce9"}) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("PUT", "/bucket?versioning"),
        ("PUT", "/bucket?location"),
        ("DELETE", "/bucket?uploads"),
        ("DELETE", "/bucket?delete"),
        ("PUT", "/bucket/key?uploads"),
        ("PUT", "/bucket/key?partNumber=1"),
        ("GET", "/bucket/key?partNumber=1"),
    ],
)
def test_sub_resource_with_another_verb_is_no_other_operation(verb: str, path: str) -> None:
    """To turn on versions makes no bucket, and to delete what a bucket has beside objects deletes no bucket."""
    with pytest.raises(errors.ObsError, match="NotImplemented"):
        service.operation(wire.request(verb, path, {}, DOMAINS))


def test_each_operation_keeps_its_name() -> None:
    """A part names an upload and a number."""
    for verb, path, name in (
        ("PUT", "/b/k?uploadId=1&partNumber=2&x-id=UploadPart", "UploadPart"),
        ("GET", "/b/k?uploadId=1&part-number-marker=2", "ListParts"),
        ("POST", "/b/k?uploads", "InitiateMultipartUpload"),
        ("GET", "/b?list-type=2&prefix=delete", "ListObjects"),
    ):
        assert service.operation(wire.request(verb, path, {}, DOMAINS)) == name
