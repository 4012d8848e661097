"""Tenants and connections in the settings: from a file and from variables, what follows from them, what is refused."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import pytest

from mrs_relay import errors, settings, tenants
from mrs_relay.messages import reasons

FILE = """
event_source = "/relay"

[kafka.topics]
requests = "old.requests"
latest = "mrs.latest"

[mrs]
endpoint = "http://mrs.test"
project_id = "p1"
access_key = "AK1"
secret_key = "secret-one"

[connections.lake]
endpoint = "http://lake.test"
project_id = "p2"
access_key = "AK2"
secret_key = "secret-two"

[tenants.nightly]
requests = "nightly.requests"
connection = "lake"
events = "nightly.events"
allow = {types = ["mrs.job.*"], clusters = ["c-1", "name:night-*"]}
limits = {running = 4, queue_deadline_s = 3600}
defaults = {cluster = "c-1", retry = {attempts = 2}}

[tenants.ad_hoc]
requests = "old.requests"
event_source = "/people"
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(name="file")
def _file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "relay.toml"
    path.write_text(FILE)
    return path


def _write(path: pathlib.Path, old: str, new: str) -> pathlib.Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_each_tenant_gets_its_topics_group_connection_and_rules(file: pathlib.Path) -> None:
    """What a tenant does not say is the deployment's; its ledger and consumer group follow from its topic."""
    found = settings.load(file)
    nightly, ad_hoc = found.tenancies
    topics = nightly.kafka.topics

    assert (nightly.name, nightly.connection, nightly.event_source) == ("nightly", "lake", "/relay/nightly")
    assert (topics.requests, topics.ledger, topics.events) == (
        *("nightly.requests", "nightly.requests.ledger"),
        "nightly.events",
    )
    assert (topics.dead_letters, topics.latest) == ("mrs.dead-letters", "mrs.latest")
    assert nightly.kafka.group_id == "mrs-relay.nightly.requests"
    assert nightly.policy.limits.running == 4
    assert nightly.policy.defaults.given == {"cluster": "c-1", "retry": {"attempts": 2}}
    assert ad_hoc.event_source == "/people"
    assert ad_hoc.policy.allow.types is None
    assert found.connection("lake").project_id == "p2"
    assert found.connection("mrs").project_id == "p1"


def test_a_tenant_on_the_deployment_s_own_topic_keeps_its_group_and_its_fences(file: pathlib.Path) -> None:
    """Replicas with tenants and replicas of before never own a partition at the same time."""
    found = settings.load(file)
    ad_hoc = found.tenancies[1]
    assert ad_hoc.kafka.group_id == found.kafka.group_id
    assert ad_hoc.kafka.transactional_id(3) == found.kafka.transactional_id(3)


def test_without_tenants_there_is_one_without_name_and_rules(file: pathlib.Path) -> None:
    """Everything is as it was: the deployment's topics, group, connection and source, and nothing is restricted."""
    file.write_text(FILE.partition("[connections.lake]")[0])
    found = settings.load(file)
    (only,) = found.tenancies
    assert only.kafka is found.kafka
    assert (only.name, only.connection, only.event_source, only.policy.tenant) == ("", "mrs", "/relay", "")


def test_variables_make_tenants_and_win_over_the_file(file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and tables are JSON, everything else is taken as it stands: a key of digits stays a text."""
    for name, value in {
        "TENANTS__NIGHTLY__LIMITS__RUNNING": "7",
        "TENANTS__NIGHTLY__ALLOW__TYPES": '["mrs.sql.submit"]',
        "TENANTS__NEW__REQUESTS": "123",
        "TENANTS__NEW__CONNECTION": "pond",
        "TENANTS__NEW__DEFAULTS": '{"priority": 2, "cluster": "c-9"}',
        "TENANTS__NEW__DEFAULTS__PRIORITY": "3",
        "TENANTS__NEW__DEFAULTS__LABELS": '{"team": "red"}',
        "CONNECTIONS__POND__ENDPOINT": "http://pond.test",
        "CONNECTIONS__POND__PROJECT_ID": "77",
        "CONNECTIONS__POND__ACCESS_KEY": "1234",
        "CONNECTIONS__POND__SECRET_KEY": "1e5",
    }.items():
        monkeypatch.setenv(settings.PREFIX + name, value)

    found = settings.load(file)
    by_name = {one.name: one for one in found.tenancies}
    assert sorted(by_name) == ["ad_hoc", "new", "nightly"]
    assert by_name["nightly"].policy.limits.running == 7
    assert by_name["nightly"].policy.limits.queue_deadline_s == 3600
    assert by_name["nightly"].policy.allow.types == ("mrs.sql.submit",)
    assert by_name["new"].kafka.topics.requests == "123"
    assert by_name["new"].policy.defaults.given == {"priority": 3, "cluster": "c-9", "labels": {"team": "red"}}

    pond = found.connection("pond")
    assert (pond.project_id, pond.access_key) == ("77", "1234")
    assert pond.secret_key is not None
    assert pond.secret_key.get_secret_value() == "1e5"


@pytest.mark.parametrize("read", [settings.load, settings.without_mrs])
def test_a_variable_that_is_no_json_is_reported_without_a_stack(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[pathlib.Path], object]
) -> None:
    """Commands that need no MRS read the same variables as the service, and say the same of a wrong one."""
    monkeypatch.setenv(settings.PREFIX + "TENANTS", "{bad")
    with pytest.raises(errors.SettingsError, match="tenants"):
        read(file)


def test_where_each_tenant_names_a_connection_the_group_mrs_may_be_missing(file: pathlib.Path) -> None:
    """A connection without tenants needs no keys."""
    text = FILE.replace("[tenants.ad_hoc]\n", '[tenants.ad_hoc]\nconnection = "lake"\n')
    start, end = text.index("[mrs]"), text.index("[connections.lake]")
    file.write_text(text[:start] + text[end:])
    assert {one.connection for one in settings.load(file).tenancies} == {"lake"}
    file.write_text(file.read_text().replace('connection = "lake"\nrequests = "old', 'requests = "old'))
    with pytest.raises(errors.SettingsError, match="MRS_RELAY_MRS"):
        settings.load(file)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('connection = "lake"', 'connection = "see"', "tenants.nightly.connection: there is no connection see"),
        ("[connections.lake]", "[connections.mrs]", "connections.mrs"),
        ('"nightly.requests"', '"old.requests"', "topic old.requests cannot be used"),
        ('"nightly.events"', '"old.requests.ledger"', "topic old.requests.ledger cannot be used"),
        ('"nightly.events"', '"mrs.dead-letters"', "topic mrs.dead-letters cannot be used"),
        ('requests = "nightly.requests"\n', "", "MRS_RELAY_TENANTS__NIGHTLY__REQUESTS"),
        ("[tenants.nightly]", "[tenants.Nightly]", "Nightly"),
        ("[tenants.nightly]", "[tenants.a__b]", "a__b"),
        ("running = 4", "runing = 4", "tenants.nightly.limits.runing"),
        ("running = 4", "running = 0", "tenants.nightly.limits.running"),
        ('"mrs.job.*"', '"mrs.jobs.*"', "tenants.nightly.allow.types"),
        ("attempts = 2", "attempts = 99", "tenants.nightly.defaults.retry"),
        (
            'secret_key = "secret-two"',
            'secret_key = "secret-two"\ncall_timeout_s = 60',
            "connections.lake.call_timeout",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(file: pathlib.Path, old: str, new: str, expected: str) -> None:
    """The process does not start, the setting is named, and no secret shows."""
    with pytest.raises(errors.SettingsError) as caught:
        settings.load(_write(file, old, new))
    assert expected in str(caught.value)
    assert "secret-" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("TENANTS__NIGHTLY__REQUEST", "TENANTS__NIGHTLY__LIMITS__RUNING", "TENANT__A__REQUESTS"),
        *("CONNECTIONS__LAKE__SECRETKEY", "TENANTS___A__REQUESTS"),
    ],
)
def test_a_misspelt_variable_of_a_tenant_is_refused(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It must not be ignored in silence."""
    monkeypatch.setenv(settings.PREFIX + name, "1")
    with pytest.raises(errors.SettingsError, match=f"{name}: no such setting"):
        settings.load(file)


def test_a_group_in_a_variable_that_is_no_json_is_named_and_not_shown(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value may hold a secret."""
    monkeypatch.setenv("MRS_RELAY_CONNECTIONS__LAKE", "{secret_key: do-not-show")
    with pytest.raises(errors.SettingsError) as caught:
        settings.load(file)
    assert "MRS_RELAY_CONNECTIONS__LAKE" in str(caught.value)
    assert "do-not-show" not in str(caught.value)


def test_no_secret_of_a_connection_shows(file: pathlib.Path) -> None:
    """Neither text nor repr of the settings tells a key."""
    found = settings.load(file)
    assert "secret-two" not in f"{found} {found!r} {found.model_dump_json()}"


def test_commands_without_mrs_read_tenants_from_file_and_variables(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only sends or watches needs no keys of MRS."""
    file.write_text(FILE.partition("[mrs]")[0] + "[tenants.nightly]\nrequests = 'nightly.requests'\n")
    monkeypatch.setenv("MRS_RELAY_TENANTS__OTHER__REQUESTS", "other.requests")
    found = {one.name: one.kafka.topics.requests for one in settings.without_mrs(file)}
    assert found == {"nightly": "nightly.requests", "other": "other.requests"}


def test_the_settings_table_shows_tenants_and_connections() -> None:
    """Each with the place where its own name goes, a variable, and its meaning."""
    rows = {row.name: row for row in settings.describe()}
    assert rows["tenants.<name>.limits.running"].variable == "MRS_RELAY_TENANTS__<NAME>__LIMITS__RUNNING"
    assert rows["connections.<name>.secret_key"].variable == "MRS_RELAY_CONNECTIONS__<NAME>__SECRET_KEY"
    assert not [row.name for row in rows.values() if not row.text]


def test_connections_are_called_as_in_the_settings() -> None:
    """What is asked to people names the group that they can look at."""
    assert (tenants.group_of("mrs"), tenants.group_of("lake")) == ("mrs", "connections.lake")


def test_the_example_of_the_page_for_operators_is_one(tmp_path: pathlib.Path) -> None:
    """What docs/tenants.md shows can be used as it stands, with keys."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "tenants.md").read_text()
    path = tmp_path / "relay.toml"
    path.write_text(page.partition("```toml\n")[2].partition("```")[0].replace("…", "key"))
    nightly, analysts = settings.load(path).tenancies
    assert (nightly.connection, analysts.connection) == ("mrs", "lake")
    assert nightly.policy.limits.running == 20
    assert all(f"`{one}`" in page for one in reasons.CODES if "not_allowed" in one)


def test_delivery_without_a_folder_is_refused(file: pathlib.Path) -> None:
    """It would do nothing, for no tenant; a folder of one tenant is enough."""
    file.write_text(file.read_text() + '[results]\ndeliver = "inline"\n')
    with pytest.raises(errors.SettingsError, match=r"results\.deliver does nothing without results\.path"):
        settings.load(file)
    file.write_text(file.read_text() + '[tenants.nightly.results]\npath = "obs://lake/nightly"\n')
    assert settings.load(file).tenancies


def test_parent_of_spark_programs_without_a_topic_of_lineage_is_refused(file: pathlib.Path) -> None:
    """There would be no run to name: for no tenant, or for the one that asks for it; a topic of one is enough."""
    before = file.read_text()
    file.write_text(f"{before}[lineage]\nspark_parent = true\n")

    with pytest.raises(
        errors.SettingsError, match=r"lineage\.spark_parent does nothing without kafka\.topics\.lineage"
    ):
        settings.load(file)

    file.write_text(f"{before}[tenants.nightly.lineage]\nspark_parent = true\n")
    with pytest.raises(
        errors.SettingsError, match=r"nightly\.lineage\.spark_parent .* tenants\.nightly\.lineage_topic"
    ):
        settings.load(file)

    owned = before.replace('requests = "nightly.requests"', 'requests = "nightly.requests"\nlineage_topic = "own"')
    for group in ("lineage", "tenants.nightly.lineage"):
        file.write_text(f"{owned}[{group}]\nspark_parent = true\n")
        assert settings.load(file).tenancies
