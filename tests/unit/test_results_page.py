"""What docs/results.md shows: settings, a request, an answer and one that comes late."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support import doc_code

from mrs_relay import settings
from mrs_relay.engine.work import arrow_chunks, arrow_rows, arrow_stream
from mrs_relay.messages import events, requests

_SETTINGS, _, _REQUEST, _ANSWER, _, _CHUNKS, _ARROW, _LATE = [
    block.text for block in doc_code.blocks("docs/results.md")
]


def _shown(text: str) -> Any:
    return json.loads(text.partition("\n")[2].rpartition("\n```")[0] if text.startswith("```") else text)


def test_the_settings_give_each_tenant_its_folder(tmp_path: Path) -> None:
    """With keys they can be used as they stand."""
    path = tmp_path / "relay.toml"
    keys = '[mrs]\nregion = "cn-north-4"\nproject_id = "p"\naccess_key = "a"\nsecret_key = "s"\n'
    path.write_text(keys + _SETTINGS.removeprefix("```toml\n").removesuffix("\n```"))
    [analysts] = settings.load(path).tenancies
    results = analysts.policy.results
    assert (results.path, results.deliver, results.max_rows) == ("obs://lake/mrs-results/analysts/", "inline", 500)


def test_the_request_asks_for_rows_and_the_answer_has_them() -> None:
    """As the models read them."""
    asked = requests.SqlSubmit.model_validate(_shown(_REQUEST)["data"])
    assert asked.result is not None
    assert (asked.result.deliver, asked.result.max_rows) == ("both", 100)
    result = events.Result.model_validate(_shown(_ANSWER)["result"])
    assert result.statements[0].row_count == len(result.statements[0].rows) == 2
    assert result.location
    assert result.url_expires_at


def test_the_late_answer_is_a_notice_with_rows() -> None:
    """As readers of events take it."""
    shown = _shown(_LATE)
    data = events.EventData.model_validate({**shown, "request": {"id": "q-1", "source": "/s"}, "attempt": 1})
    assert (data.state, data.repeated) == ("succeeded", True)
    assert data.result is not None
    assert data.result.statements[0].rows == [["1", "9.50"]]


def test_the_answer_in_chunks_names_them() -> None:
    """As readers of events take it."""
    named = events.Result.model_validate(_shown(_CHUNKS)["result"]).chunks
    assert named is not None
    assert (named.topic, named.count, named.row_count) == ("mrs.results", 87, 1_000_000)


def test_readers_with_pyarrow_alone_make_tables_of_an_event_and_of_chunks() -> None:
    """The functions as they stand there."""
    shown: dict[str, Any] = {}
    exec(_ARROW.removeprefix("```python\n").removesuffix("\n```"), shown)  # noqa: S102 - the page's own code
    text = b"id,name\n1,a\n2,b\n"
    many = text + b"2,b\n" * 100
    chunks = arrow_chunks.ArrowChunks(arrow_stream.Rows(has_header=True, kinds=["int", "text"]), 1000)
    values = [*chunks.add(many), *chunks.end()]
    assert len(values) > 1
    assert shown["table_of_chunks"](values).to_pydict() == {"id": [1] + [2] * 101, "name": ["a"] + ["b"] * 101}
    read = events.Result(statements=[events.StatementResult(rows=[], row_count=2, csv=text.decode())])
    result = arrow_rows.made(read, arrow_stream.Rows(has_header=True, kinds=None), 5000)
    table = shown["table_of_event"]({"result": result.model_dump()})
    assert table.to_pydict() == {"id": ["1", "2"], "name": ["a", "b"]}
