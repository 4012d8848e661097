"""The settings of a connection: addresses, limits, and errors that name the field and hide the value."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from tests.unit.mrs import support

from mrs_relay.common import described
from mrs_relay.mrs import regions, settings


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("cn-north-4", "https://mrs.cn-north-4.myhuaweicloud.com"),
        ("ap-southeast-1", "https://mrs.ap-southeast-1.myhuaweicloud.cn"),
        ("eu-west-101", "https://mrs.eu-west-101.myhuaweicloud.eu"),
        ("af-north-1", "https://mrs.af-north-1.myhuaweicloud.com"),
    ],
)
def test_a_region_stands_for_its_endpoint(region: str, url: str) -> None:
    """The built-in list gives the address of every region, odd suffixes included."""
    group = support.group(endpoint=None, region=region)
    assert group.base_url == url
    assert group.host == url.removeprefix("https://")


def test_the_list_has_every_region_of_the_sdk() -> None:
    """All 33 documented regions are in it."""
    assert len(regions.REGIONS) == 33


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://mrs.eu-de.otc.t-systems.com", "https://mrs.eu-de.otc.t-systems.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("HTTPS://MRS.Example.com", "https://mrs.example.com"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_endpoint_wins_over_the_region(given: str, used: str) -> None:
    """Emulators and partner clouds are reached by address."""
    assert support.group(endpoint=given, region="cn-north-4").base_url == used


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"endpoint": "mrs.example.com"}, "endpoint\n  Value error, must be an http:// or https:// address"),
        ({"endpoint": "ftp://mrs.example.com"}, "must be an http:// or https:// address"),
        ({"endpoint": "https://"}, "must be an http:// or https:// address"),
        ({"endpoint": "https://mrs.example.com/v1.1"}, "scheme, host and port alone"),
        ({"endpoint": "https://user:pw@mrs.example.com"}, "scheme, host and port alone"),
        ({"endpoint": "https://mrs.example.com:http"}, "endpoint"),
        ({"endpoint": None}, "one of endpoint and region is needed"),
        ({"endpoint": None, "region": "moon-1"}, "region 'moon-1' is not in the built-in list: set endpoint"),
        ({"iam_endpoint": "http://iam.example.com"}, "expected https://, or http:// on the loopback address"),
        ({"iam_endpoint": "http://10.0.0.5:8080"}, "iam_over_http=true allows it"),
        ({"iam_endpoint": "http://localhost.example.com"}, "passwords would cross the network in clear"),
        ({"project_id": "a-b"}, "project_id"),
        ({"access_key": ""}, "access_key"),
        ({"access_key": "a\nb"}, "access_key"),
        ({"secret_key": ""}, "secret_key"),
        ({"secret_key": "a\nb"}, "secret_key"),
        ({"security_token": " "}, "security_token"),
        ({"language": "de-de"}, "language"),
        ({"connect_timeout_s": 0}, "connect_timeout_s"),
        ({"call_timeout_s": -1}, "call_timeout_s"),
        ({"keepalive_s": -1}, "keepalive_s"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_reply_bytes": 1}, "max_reply_bytes"),
        ({"throttled_wait_s": 0}, "throttled_wait_s"),
        ({"timeout": 1}, "timeout"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, Any], says: str) -> None:
    """The error names the wrong setting and what it must be."""
    with pytest.raises(pydantic.ValidationError) as caught:
        support.group(**change)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"iam_endpoint": "https://iam.example.com"},
        {"iam_endpoint": "http://127.0.0.1:8080"},
        {"iam_endpoint": "http://[::1]:8080"},
        {"iam_endpoint": "http://localhost:8080"},
        {"iam_endpoint": "http://iam.example.com", "iam_over_http": True},
    ],
)
def test_iam_is_asked_encrypted_or_on_this_machine(given: dict[str, Any]) -> None:
    """Passwords cross a network in clear only where a person has allowed it."""
    assert support.group(**given).iam_url == given["iam_endpoint"]


def test_errors_and_repr_show_no_secret() -> None:
    """Neither a valid nor a refused secret is ever shown."""
    with pytest.raises(pydantic.ValidationError) as caught:
        support.group(secret_key="secret-word\n", access_key="access-word\n")  # noqa: S106 - no real one
    assert "secret-word" not in str(caught.value)
    assert "access-word" not in str(caught.value)
    assert support.SECRET not in repr(support.group())
    assert "EXAMPLEACCESSKEY" not in repr(support.group())


def test_every_setting_is_described() -> None:
    """Each field says what it means and why its default is what it is."""
    texts = described.descriptions(settings.MrsSettings)
    for name, field in settings.MrsSettings.model_fields.items():
        assert texts.get(name), name
        if not field.is_required():
            assert "efault" in texts[name], name
