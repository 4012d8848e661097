from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.support import ports


def test_ports_in_a_row_are_all_different() -> None:
    """A port is never given twice, even before it is bound."""
    assert len({ports.free_port() for _ in range(50)}) == 50


def test_given_port_can_be_bound() -> None:
    """The look at the port has left no socket on it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports.free_port()))


def test_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port with a listener is passed over."""
    with socket.socket() as listener:
        taken = ports.free_port()
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        monkeypatch.setattr(ports, "_given", set())
        monkeypatch.setattr(ports, "_CANDIDATES", range(taken, taken + 2))
        monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", Path("/nowhere"))
        assert ports.free_port() == taken + 1
        with pytest.raises(OSError, match="no free port"):
            ports.free_port()


@pytest.mark.parametrize(
    ("ephemeral", "expected"),
    [
        ("32768 60999", range(20_000, 32_000)),
        ("25000 60999", range(20_000, 25_000)),
        ("1024 65535", range(20_000, 32_000)),
    ],
)
def test_ports_stay_out_of_the_ephemeral_range_where_it_leaves_room(
    ephemeral: str, expected: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker's port is none that an outgoing connection may take, unless the whole range is open to them."""
    reported = tmp_path / "range"
    reported.write_text(ephemeral)
    monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", reported)
    assert ports._outside_ephemeral() == expected
