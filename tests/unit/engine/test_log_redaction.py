"""What events show of the end of a log: no secrets, none of the request's own values, and not too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.engine import log_redaction, redaction

SECRET = "hunter2-S3cret"  # noqa: S105 - it is the example
WAYS = [
    f"spark.hadoop.fs.obs.secret.key={SECRET}",
    f"spark.hadoop.fs.obs.access.key -> x, password: {SECRET},",
    f'{{"db_password": "{SECRET}", "x": 1}}',
    f"--conf spark.ssl.keyPassword={SECRET}",
    f"java -jar a.jar --db-password {SECRET} --verbose",
    f"args: -token {SECRET}",
    f"jdbc:mysql://root:{SECRET}@db:3306/sales",
    f"https://lake.obs.test/x?AccessKeyId=AAA&Signature={SECRET}&Expires=1",
    f"https://lake.obs.test/x?X-Amz-Credential={SECRET}&X-Amz-Date=1",
    f"X-Auth-Token: {SECRET} and more of it {SECRET}",
    f"Authorization: OBS AAA:{SECRET}",
    f"header Bearer {SECRET}==",
    f"javax.security.Password => '{SECRET} {SECRET}'",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"api_key = {SECRET}",
    rf"{{\"password\":\"{SECRET}\",\"x\":1}}",
    rf"password=\"{SECRET}\"",
    rf'password = "a\"{SECRET}"',
    f"password=a,{SECRET};{SECRET} -",
    f"password -> {SECRET}",
    f"jdbc:mysql://root:p@{SECRET}@db:3306/sales",
    f"<name>javax.jdo.option.ConnectionPassword</name><value>{SECRET}</value>",
    f"<password>{SECRET}</password>",
    f"--password 'a {SECRET}'",
    f"create user a identified by '{SECRET}'",
    f"passphrase: {SECRET}",
    f"(spark.ssl.keyPassword,{SECRET})",
    f"Array((spark.hadoop.fs.obs.secret.key,{SECRET}), (spark.app.name,x))",
    f"(password,a){SECRET})",
    f"(password,{SECRET}",
    "spark.ssl.keyPassword" + " " * 30 + SECRET,
    f"machine git.test login me password {SECRET}",
    f"secret key {SECRET}",
    f"secret key: {SECRET}",
    f"jdbc:mysql://root:a/{SECRET}@db:3306/sales",
    f"jdbc:mysql://root:a/b@{SECRET}@db:3306/sales",
    f"mysql://root:12/{SECRET}@db:3306/sales",
    f"redis://:{SECRET}@cache:6379/0",
]


@pytest.mark.parametrize("line", WAYS)
def test_secret_beside_a_name_that_says_so_is_removed(line: str) -> None:
    """However a program prints it; what stands around it stays."""
    shown = log_redaction.without_secrets(f"before\n{line}\nafter")
    assert SECRET not in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("--db-password opensesame --verbose", "--db-password … --verbose"),
        ("javax.jdo.option.ConnectionPassword opensesame", "javax.jdo.option.ConnectionPassword …"),
        ("(spark.ssl.keyPassword,opensesame) (spark.app.name,x)", "(spark.ssl.keyPassword,…) (spark.app.name,x)"),
        ("postgresql://u:open/sesame@host:5432/db", "postgresql://…@host:5432/db"),
        ("http://host:8088/apps/opensesame@cluster", "http://host:8088/…@cluster"),
    ],
)
def test_a_secret_that_is_a_word_is_removed_where_it_cannot_be_prose(line: str, shown: str) -> None:
    """Behind an option or a setting, in a pair and in an address; nothing else is."""
    assert log_redaction.without_secrets(f"before\n{line}\nafter") == f"before\n{shown}\nafter"


def test_keys_of_the_cloud_are_removed_wherever_they_stand() -> None:
    """An access key id has twenty capitals and digits, a secret access key forty letters and digits."""
    line = "signed with ABCDEFGHIJ0123456789 and abcdefghijABCDEFGHIJ0123456789abcdefghij"
    assert log_redaction.without_secrets(line) == "signed with … and …"


@pytest.mark.parametrize(
    "line",
    [
        "User class threw exception: java.lang.OutOfMemoryError: Java heap space (the token expired, secret service)",
        "FATAL: password authentication failed for user etl",
        "mismatched input: unexpected token 'FROM' (line 3, pos 12)",
        "insert into t (token, amount) values",
        "Token required",
        "at org.apache.hadoop.security.token.TokenProvider.get(TokenProvider.java:91)",
        "tracking URL: http://node-1:8088/proxy/application_17_0042/",
        "akka.tcp://driver@node-1:35000/user/x@y",
        "see https://docs.test/a/b, or write to help@docs.test",
    ],
)
def test_text_without_secrets_stays(line: str) -> None:
    """The messages that people look for, and words of prose that only sound like a secret."""
    assert log_redaction.without_secrets(f"before\n{line}\nafter") == f"before\n{line}\nafter"


HOSTILE = ["(", "((((a", "(password,", "(a.password,x)y", "password", "password x ", "--token\t", "token" + " " * 300]
HOSTILE += [
    "a://b:",
    "a://:x",
    "a" * 20 + "://u:",
    "http://h:80/",
    "<password>",
    'password="',
    "secret key ",
    "-----BEGIN",
]


@pytest.mark.timeout(120)
def test_time_is_in_proportion_to_the_text() -> None:
    """For a megabyte, made so that a pattern which looks at each rest of a line again would not end in minutes."""
    log_redaction.without_secrets("".join(piece * (65_536 // len(piece)) for piece in HOSTILE))


def test_end_of_the_log_is_shown_and_the_cause_if_it_lies_before() -> None:
    """The limit holds for the shown text; a cause far before the end is where it begins."""
    text = "early\n" + "x" * 500 + "\nCAUSE here\n" + ("y" * 99 + "\n") * 30 + "end"
    at = text.index("CAUSE")
    piece, from_start = log_redaction.piece(text, at, 1000)
    shown = log_redaction.detail(piece, 1000, None, from_start=from_start)
    assert (shown[:10], len(shown), shown[-1]) == ("CAUSE here", 1000, redaction.ELLIPSIS)

    piece, from_start = log_redaction.piece(text, -1, 1000)
    shown = log_redaction.detail(piece, 1000, None, from_start=from_start)
    assert (shown[0], len(shown), shown[-3:]) == (redaction.ELLIPSIS, 1000, "end")
    assert log_redaction.detail(*("short", 1000, None), from_start=False) == "short"


def test_values_of_the_request_are_removed() -> None:
    """Arguments and SQL, also where the shown piece begins within one."""
    asked = redaction.Asked(
        ("--customer=4711", "select card from payments where id = 7"), ("select card from payments",)
    )
    text = "started with --customer=4711\nrunning select card from payments where id = 7\nfailed"
    shown = log_redaction.detail(text, 1000, asked, from_start=False)
    assert "4711" not in shown
    assert "card" not in shown
    assert shown.endswith("failed")


@given(st.text(max_size=3000), st.integers(-1, 3000), st.integers(100, 500))
def test_piece_is_a_part_of_the_log_within_its_room(text: str, at: int, most: int) -> None:
    """Whatever the log: twice what is shown at most, taken from it as it is."""
    piece, _ = log_redaction.piece(text, min(at, len(text) - 1), most)
    assert piece in text
    assert len(piece) <= 2 * most


def test_half_a_secret_is_not_shown() -> None:
    """What was cut off in front is left out up to the next line or word, and so is the rest of a private key."""
    text = f"{'x' * 3000}{SECRET} token=" + "y" * 950 + " end"
    piece, from_start = log_redaction.piece(text, -1, len(text) - text.index("3cret") >> 1)
    shown = log_redaction.detail(log_redaction.without_secrets(piece), 1000, None, from_start=from_start)
    assert shown == "token=… end"
    key = "MIIEabc+/\n" * 5 + "-----END RSA PRIVATE KEY-----\nafter"
    assert log_redaction.without_secrets(key) == "…\nafter"
