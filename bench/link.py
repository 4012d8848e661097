"""
A link of a given speed before a server: hands on what both sides send, replies no faster than the link carries them.

On one machine a server answers as fast as memory can be copied, and takes a processor for it. What waits for a network
is measured behind this. It says `ready` and runs until it is ended.

    PYTHONPATH=. python -m bench.link --port PORT --target PORT --mbit-per-s 1000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from typing import Final

_PIECE_BYTES: Final = 64 * 1024


class Link:
    """
    A link to a server on this machine.

    Args:
        target: port of the server.
        bytes_per_s: what it carries of the replies, all connections together.
    """

    def __init__(self, target: int, bytes_per_s: float) -> None:
        self._target = target
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on one connection until the server closes it, or the caller does."""
        with contextlib.suppress(ConnectionError):
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            asked = asyncio.create_task(self._copy(reader, to_server, is_bounded=False))
            await self._copy(from_server, writer, is_bounded=True)
            asked.cancel()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_bounded: bool) -> None:
        with contextlib.closing(target), contextlib.suppress(ConnectionError):
            while piece := await source.read(_PIECE_BYTES):
                if is_bounded:
                    await self._turn(len(piece))
                target.write(piece)
                await target.drain()

    async def _turn(self, size: int) -> None:
        """Wait until the link has carried what came before; some milliseconds late, it catches up."""
        now_s = time.monotonic()
        self._free_s = max(self._free_s, now_s - 0.01) + size / self._bytes_per_s
        if self._free_s > now_s:
            await asyncio.sleep(self._free_s - now_s)


async def serve(port: int, target: int, mbit_per_s: float) -> None:
    """Serve until the process is ended."""
    link = Link(target, mbit_per_s * 1e6 / 8)
    async with await asyncio.start_server(link.carry, "127.0.0.1", port) as server:
        print("ready", flush=True)
        await server.serve_forever()


def main() -> None:
    """Read the arguments, and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", type=int, required=True, help="port of the server")
    parser.add_argument("--mbit-per-s", type=float, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.target, given.mbit_per_s))


if __name__ == "__main__":
    main()
