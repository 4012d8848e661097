"""What MRS says is told without what the request asked for."""

from __future__ import annotations

import pytest

from mrs_relay.engine import discreet, jobs

_SQL = jobs.Presto("select name, card from customers where card = 'hunter2' and note <> 'it''s 4111 1111'")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("line 1:8: Column 'card' cannot be resolved", "line 1:8: Column 'card' cannot be resolved"),
        ("no table customers", "no table customers"),
        (f"cannot parse: {_SQL.statement}", "cannot parse: …"),
        ("near card = 'hunter2' there", "near card = '…' there"),
        ("cannot cast hunter2 to bigint", "cannot cast … to bigint"),
        ("mismatched input: name, card from customers where", "mismatched input: …"),
        ("parse error == SQL == select 1 ^^^", "parse error …"),
        ("MRS's reply wasn't clear", "MRS's reply wasn't clear"),
    ],
)
def test_sql_is_left_out_and_names_stay(text: str, told: str) -> None:
    """Literals of the statement, and pieces of it that are more than a name, are left out of the text."""
    assert discreet.told(text, _SQL) == told


def test_quotation_over_several_lines_is_recognised() -> None:
    """MRS's texts come on one line, whatever the statement looks like."""
    work = jobs.Presto("select a,\n  b\nfrom\tsecret_table where x > 17")
    assert discreet.told("bad: select a, b from secret_table where x > 17", work) == "bad: …"


@pytest.mark.parametrize("text", ["{} is no path", "arguments --class, {}, 7", "properties: {}"])
def test_arguments_and_properties_are_left_out(text: str) -> None:
    """Whatever is in the arguments or the values of properties stands for itself wherever it comes."""
    work = jobs.Batch("SparkSubmit", ("--password", "p4ss w0rd"), {"key": "p4ss"})
    assert "p4ss" not in discreet.told(text.format("p4ss w0rd"), work)


def test_secrets_of_a_call_are_left_out() -> None:
    """What stands under a secret name of a body is left out; the rest of the call is no secret."""
    body = {"cluster_name": "nightly", "managers": [{"admin_password": "Pa55word!"}], "job_parameters": {"x": 12345}}
    text = "the cluster nightly cannot have the password Pa55word! and 12345"
    assert discreet.told(text, jobs.Call("CreateCluster", body=body)) == (
        "the cluster nightly cannot have the password … and …"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Column 'card' cannot be resolved", "Column 'card' cannot be resolved"),
        ("cannot cast '4111 1111' to bigint", "cannot cast … to bigint"),
        ('cannot cast "4111 1111" to bigint', "cannot cast … to bigint"),
        ("the job's log isn't there", "the job's log isn't there"),
        ("bad\n\n== SQL ==\nselect 1\n^^^", "bad …"),
    ],
)
def test_quoted_values_are_left_out_when_the_work_is_not_known(text: str, told: str) -> None:
    """After MRS has taken the work its text is gone: quoted values that are no names are left out."""
    assert discreet.told(text, None) == told
    assert discreet.told(text, jobs.Goal("created")) == told
