"""The AK/SK signature: the published vectors, the encoding rules and the cheap HMAC."""

from __future__ import annotations

import hashlib
import hmac
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.mrs import signing

VECTORS: list[dict[str, Any]] = json.loads(pathlib.Path(__file__).with_name("vectors.json").read_text("utf-8"))


def _parts(vector: dict[str, Any]) -> tuple[signing.SignedHeaders, str, str]:
    headers = signing.SignedHeaders.of(vector["headers"])
    query = signing.canonical_query(vector["query"])
    canonical = signing.canonical_request(vector["verb"], vector["path"], query, headers, vector["body"].encode())
    return headers, query, canonical


def test_all_seven_vectors_are_here() -> None:
    """A vector that is lost from the data would be a rule without a check."""
    assert [vector["name"][:2] for vector in VECTORS] == ["V1", "V2", "V3", "V4", "V5", "V6", "V7"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_gives_the_published_signature(vector: dict[str, Any]) -> None:
    """Every step of the signature equals what the official signer makes of the same request."""
    headers, query, canonical = _parts(vector)
    assert canonical.split("\n") == vector["canonical"]
    text = signing.string_to_sign(headers.date, canonical)
    assert text.split("\n") == vector["string_to_sign"]
    key = signing.Key(vector["access"], vector["secret"])
    assert key.signature(text) == vector["signature"]
    assert signing.authorization(key, headers, canonical) == vector["authorization"]
    url = f"https://{vector['host']}{vector['path']}" + (f"?{query}" if query else "")
    assert url == vector["url"]


@pytest.mark.parametrize("change", ["verb", "path", "body", "date"])
def test_any_change_of_the_request_changes_the_signature(change: str) -> None:
    """A signature holds for one request alone."""
    vector = VECTORS[1]
    _, _, before = _parts(vector)
    other = {
        "verb": {"verb": "PUT"},
        "path": {"path": vector["path"] + "/kill"},
        "body": {"body": vector["body"] + " "},
        "date": {"headers": {**vector["headers"], "X-Sdk-Date": "20261123T073002Z"}},
    }[change]
    _, _, after = _parts({**vector, **other})
    assert after != before


@given(st.binary(min_size=1, max_size=150), st.text())
def test_the_prepared_key_signs_like_hmac(secret: bytes, text: str) -> None:
    """The key that is padded once signs like the standard library, whatever its length."""
    try:
        word = secret.decode()
    except UnicodeDecodeError:
        word = secret.hex()
    expected = hmac.new(word.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert signing.Key("AK", word).signature(text) == expected


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/v2/p/clusters", "/v2/p/clusters/"),
        ("/v2/p/clusters/", "/v2/p/clusters/"),
        ("/v/MRS%203.1.5", "/v/MRS%203.1.5/"),
        ("/v/a%7eb%2Bc", "/v/a~b%2Bc/"),
        ("/v/%e6%95%b0", "/v/%E6%95%B0/"),
        ("/v/a%2Fb", "/v/a/b/"),
    ],
)
def test_a_path_is_decoded_and_encoded_again(path: str, canonical: str) -> None:
    """The canonical path has upper-case hex, encodes all but unreserved characters and ends with a slash."""
    assert signing.canonical_path(path) == canonical


def test_a_query_is_sorted_by_name_and_value_before_it_is_encoded() -> None:
    """Names, then values, in plain order; booleans in lower case; an empty value keeps its equals sign."""
    query: signing.Query = {"b": ["2", "10"], "a b": True, "a": "", "A": 1.5}
    assert signing.canonical_query(query) == "A=1.5&a=&a%20b=true&b=10&b=2"


def test_headers_with_an_underscore_are_left_out() -> None:
    """The official signer does not sign names that hold an underscore."""
    headers = signing.SignedHeaders.of({"X-Sdk-Date": "20261123T073000Z", "X_Odd": "1", "Host": "h"})
    assert headers.names == "host;x-sdk-date"
    assert headers.block == "host:h\nx-sdk-date:20261123T073000Z\n"


def test_a_key_shows_no_secret() -> None:
    """The repr of a key holds the access key id and nothing of the secret."""
    assert repr(signing.Key("AK1", "the-secret-word")) == "Key('AK1')"
