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
]


@pytest.mark.parametrize("line", WAYS)
def test_secret_beside_a_name_that_says_so_is_removed(line: str) -> None:
    """However a program prints it; what stands around it stays."""
    shown = log_redaction.without_secrets(f"before\n{line}\nafter")
    assert SECRET not in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter")


def test_keys_of_the_cloud_are_removed_wherever_they_stand() -> None:
    """An access key id has twenty capitals and digits, a secret access key forty letters and digits."""
    line = "signed with ABCDEFGHIJ0123456789 and abcdefghijABCDEFGHIJ0123456789abcdefghij"
    assert log_redaction.without_secrets(line) == "signed with … and …"


def test_text_without_secrets_stays() -> None:
    """The messages that people look for, and words of prose that only sound like a secret."""
    line = "User class threw exception: java.lang.OutOfMemoryError: Java heap space (the token expired, secret service)"
    assert log_redaction.without_secrets(line) == line


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
