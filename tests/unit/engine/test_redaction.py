"""What MRS says is reported without what the request asked for."""

from __future__ import annotations

import random
import string
import time

import msgspec
import pytest

from mrs_relay.engine import redaction
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import kinds


def _reported(text: str, work: jobs.Work | None) -> str:
    job = jobs.Job(
        "/s", "r-1", "cluster" if isinstance(work, jobs.TargetState) else "job", "d", jobs.State.QUEUED, work=work
    )
    job = msgspec.structs.replace(job, statement=isinstance(work, jobs.Presto))
    return redaction.redact(text, kinds.of(job).asked(job))


_SQL = jobs.Presto("select name, card from customers where card = 'hunter2' and note <> 'it''s 4111 1111'")


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_sql_is_left_out_and_names_stay(text: str, expected: str) -> None:
    """Literals of the statement, and pieces of it that are more than a name, are left out of the text."""
    assert _reported(text, _SQL) == expected


def test_quotation_over_several_lines_is_recognised() -> None:
    """MRS's texts come on one line, whatever the statement looks like."""
    work = jobs.Presto("select a,\n  b\nfrom\tsecret_table where x > 17")
    assert _reported("bad: select a, b from secret_table where x > 17", work) == "bad: …"


@pytest.mark.parametrize("text", ["{} is no path", "arguments --class, {}, 7", "properties: {}"])
def test_arguments_and_properties_are_left_out(text: str) -> None:
    """Whatever is in the arguments or the values of properties stands for itself wherever it comes."""
    work = jobs.Batch("SparkSubmit", ("--password", "p4ss w0rd"), {"key": "p4ss"})
    assert "p4ss" not in _reported(text.format("p4ss w0rd"), work)


def test_secrets_of_a_call_are_left_out() -> None:
    """What stands under a secret name of a body is left out; the rest of the call is no secret."""
    body = {"cluster_name": "nightly", "managers": [{"admin_password": "Pa55word!"}], "job_parameters": {"x": 12345}}
    text = "the cluster nightly cannot have the password Pa55word! and 12345"
    assert _reported(text, jobs.Call("CreateCluster", body=body)) == (
        "the cluster nightly cannot have the password … and …"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Column 'card' cannot be resolved", "Column 'card' cannot be resolved"),
        ("cannot cast '4111 1111' to bigint", "cannot cast … to bigint"),
        ('cannot cast "4111 1111" to bigint', "cannot cast … to bigint"),
        ("the job's log isn't there", "the job's log isn't there"),
        ("bad\n\n== SQL ==\nselect 1\n^^^", "bad …"),
    ],
)
def test_quoted_values_are_left_out_when_the_work_is_not_known(text: str, expected: str) -> None:
    """After MRS has taken the work its text is gone: quoted values that are no names are left out."""
    assert _reported(text, None) == expected
    assert _reported(text, jobs.TargetState("created")) == expected


_RANDOM = random.Random(1)  # noqa: S311 - no secret
_LONG = jobs.Presto(
    "select cast('" + "".join(_RANDOM.choices(string.ascii_lowercase + " ,", k=149_000)) + "' as bigint)"
)
_HARD = {
    "words": "".join(_RANDOM.choices(string.ascii_letters + " .,:;", k=200_000)),
    "a piece of the statement": "x" + _LONG.statement[100:120_000] + "y",
    "one character": "a" * 1_000_000,
    "quotation marks": "' '' \"" * 100_000,
    "marks that are never closed": " 'a" * 100_000,
    "blanks before SQL": " " * 1_000_000 + "== SQ",
    "signs of SQL": "== " * 100_000,
}
_WORKS: dict[str, jobs.Work | None] = {
    "one literal": _LONG,
    "unknown": None,
    "many literals": jobs.Presto("select 'aaaa'" + ", 'aaaab', 'aaaac'" * 7_000),
    "quotation marks": jobs.Batch("SparkSql", ("'" * 120_000,)),
}


@pytest.mark.parametrize("text", _HARD.values(), ids=_HARD)
@pytest.mark.parametrize("work", _WORKS.values(), ids=_WORKS)
def test_long_text_is_reported_in_a_moment(text: str, work: jobs.Work | None) -> None:
    """The event loop stands still while a text is cleaned, so its length must not count, nor the sender's skill."""
    begun_s = time.thread_time()
    reported = _reported(text, work)
    assert time.thread_time() - begun_s < 0.3
    assert len(reported) <= redaction.MAX_LENGTH + 2


@pytest.mark.parametrize("shift", [1, 3, 4, 8, 15])
@pytest.mark.parametrize(
    "work",
    [
        jobs.Presto("select 1 where card = 'hunter2-hunter3-4'"),
        jobs.Batch("SparkSubmit", ("hunter2-hunter3-4",)),
        jobs.Call("CreateCluster", body={"admin_password": "hunter2-hunter3-4"}),
        None,
    ],
    ids=["statement", "argument", "secret", "unknown"],
)
def test_value_in_which_a_long_text_is_cut_off_is_left_out(work: jobs.Work | None, shift: int) -> None:
    """Its beginning says as much as the whole: nothing of it is reported, but for less than any word."""
    quote = " '" if work is None else ""
    text = ("." * (redaction.MAX_LENGTH - shift - len(quote)) + quote + "hunter2-hunter3-4" + quote).ljust(20_000, ".")
    reported = _reported(text, work)
    assert "hunt" not in reported
    assert len(reported) <= redaction.MAX_LENGTH + 1
