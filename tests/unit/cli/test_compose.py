"""Request messages from flags and files: complete, checked, and keyed by the cluster."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from mrs_relay import errors
from mrs_relay.cli import compose
from mrs_relay.messages import envelope, requests

_SQL: dict[str, Any] = {
    "type": "mrs.sql.submit",
    "data": {"cluster": "c1", "engine": "spark", "statement": "SELECT 1"},
}


def test_what_is_missing_is_completed() -> None:
    """Without id, source and specversion a message gets a UUID, the default source and 1.0."""
    made = compose.message(_SQL, compose.Defaults())
    body = json.loads(made.value)
    assert str(uuid.UUID(made.id)) == made.id == body["id"]
    assert (body["specversion"], body["source"], made.source) == ("1.0", compose.SOURCE, compose.SOURCE)


def test_what_is_there_is_kept() -> None:
    """A whole message goes out with its own id and source."""
    made = compose.message({**_SQL, "id": "x", "source": "/mine"}, compose.Defaults(source="/other"))
    assert (made.id, made.source) == ("x", "/mine")


def test_the_relay_reads_what_is_composed() -> None:
    """A composed message passes the relay's own two steps of reading."""
    made = compose.message({**_SQL, "id": "x"}, compose.Defaults())
    read = envelope.read("any", made.value, made.headers)
    assert isinstance(requests.parse(read), requests.SqlSubmit)


@pytest.mark.parametrize(("given", "key"), [(None, b"c1"), ("mine", b"mine")])
def test_the_key_is_the_cluster_unless_given(given: str | None, key: bytes) -> None:
    """One cluster's requests share a partition by default."""
    assert compose.message(_SQL, compose.Defaults(key=given)).key == key


def test_an_invalid_request_is_refused_here() -> None:
    """What the relay would reject is not sent."""
    wrong = {**_SQL, "data": {**_SQL["data"], "engine": "spork"}}
    with pytest.raises(errors.BadMessage) as refused:
        compose.message(wrong, compose.Defaults())
    assert refused.value.field == "data.engine"


def test_without_validation_an_invalid_request_goes_out() -> None:
    """`--no-validate` leaves the verdict to the relay."""
    wrong = {**_SQL, "data": {"cluster": "c1"}}
    assert compose.message(wrong, compose.Defaults(validate=False)).key == b"c1"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (b'{"id": "a"}', ["a"]),
        (b'\xef\xbb\xbf{"id": "a"}\n{"id": "b"}\n', ["a", "b"]),
        (b'\xef\xbb\xbf[{"id": "a"}]', ["a"]),
        (b'[{"id": "a"}, {"id": "b"}]', ["a", "b"]),
        (b'{"id": "a"}\n\n{"id": "b"}\n', ["a", "b"]),
        (b'{\n  "id": "a"\n}\n', ["a"]),
        (b"[]", []),
    ],
)
def test_a_file_holds_one_message_a_list_or_lines(text: bytes, ids: list[str]) -> None:
    """All three forms of a file are read."""
    assert [document["id"] for document in compose.documents(text)] == ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "not valid JSON"),
        (b'{"id": ', "not valid JSON"),
        (b'{"id": "a"}\n{"id": \n', "line 2"),
        (b'{"id": "a"}\n7\n', "line 2 is not a JSON object"),
        (b'[{"id": "a"}, 7]', "entry 2 is not a JSON object"),
        (b"7", "the file is not a JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(text: bytes, expected: str) -> None:
    """The message names the line or entry."""
    with pytest.raises(errors.BadMessage, match=expected):
        compose.documents(text)


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        ("6b2f-1", "6b2f-1"),
        ("name:etl", {"name": "etl"}),
        ("name:etl,tag:team=ads,tag:empty=", {"name": "etl", "tags": {"team": "ads", "empty": ""}}),
    ],
)
def test_a_cluster_is_an_id_or_a_choice(text: str, cluster: object) -> None:
    """No id holds a colon, so one flag is enough for both."""
    assert compose.cluster(text) == cluster


@pytest.mark.parametrize("text", ["nam:etl", "name:", "tag:team", "name:etl,ads", "tag:=x"])
def test_a_choice_that_says_nothing_is_refused_with_the_form(text: str) -> None:
    """A slip is reported here, with what would be right."""
    with pytest.raises(errors.BadMessage, match=r"name:NAME and tag:KEY=VALUE"):
        compose.cluster(text)


def test_the_key_of_a_request_without_a_cluster_is_its_id() -> None:
    """Where it will run is not known yet; its id spreads requests over the partitions."""
    job = {"cluster": {"name": "etl"}, "job": {"job_type": "HiveSql"}}
    made = compose.message({"id": "r-1", "type": "mrs.job.submit", "data": job}, compose.Defaults())
    assert made.key == b"r-1"
