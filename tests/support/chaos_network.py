"""
The kill loop's troubles between relays and brokers, made by the proxies of `proxy`.

A relay's way to all brokers fails, or all relays' way to one broker: one direction or both, late packets, resets,
refused connections. Where bytes were held, some connections continue afterwards and some break, as TCP's do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tests.support import chaos_troubles, proxy

_HOLD_S = (2.0, 20.0, 5.0)  # shortest, longest, likeliest: longer than short sessions, shorter than default ones
_LOSE_S = (5.0, 12.0)
_LOSS = (0.02, 0.2)
_REFUSE_S = (1.0, 8.0)
_RESETS = 4

Side = Callable[[proxy.Proxy, proxy.Mode], None]


def _up(each: proxy.Proxy, mode: proxy.Mode) -> None:
    each.up.switch(mode)


def _down(each: proxy.Proxy, mode: proxy.Mode) -> None:
    each.down.switch(mode)


def _both(each: proxy.Proxy, mode: proxy.Mode) -> None:
    each.switch(mode)


@dataclass(eq=False)
class NetworkTroubles:
    """All that can be done to the links; each method says whether it has bitten."""

    links: Sequence[proxy.Link]
    chance: random.Random

    def kinds(self) -> Mapping[str, tuple[chaos_troubles.Trouble, int]]:
        """Name -> the trouble and its weight."""
        return {
            "network: brokers do not hear relays": (partial(self._hold, self._one_link, _up), 3),
            "network: relays do not hear brokers": (partial(self._hold, self._one_link, _down), 3),
            "network: relays apart from all brokers": (partial(self._hold, self._one_link, _both), 2),
            "network: broker does not hear relays": (partial(self._hold, self._one_broker, _up), 2),
            "network: broker apart from all relays": (partial(self._hold, self._one_broker, _both), 2),
            "network: packets lost": (self._lose, 2),
            "network: connections reset": (self._reset, 3),
            "network: connections refused": (self._refuse, 2),
        }

    def _one_link(self) -> Sequence[proxy.Proxy]:
        return self.chance.choice(self.links).proxies

    def _one_broker(self) -> Sequence[proxy.Proxy]:
        number = self.chance.randrange(len(self.links[0].proxies))
        return [link.proxies[number] for link in self.links]

    async def _hold(self, where: Callable[[], Sequence[proxy.Proxy]], side: Side) -> bool:
        chosen = where()
        for each in chosen:
            side(each, proxy.Mode.HOLD)
        try:
            await asyncio.sleep(self.chance.triangular(*_HOLD_S))
        finally:
            for each in chosen:
                if self.chance.random() < 0.5:
                    each.cut()
                side(each, proxy.Mode.FLOW)
        return True

    async def _lose(self) -> bool:
        directions = [way for link in self.links for each in link.proxies for way in (each.up, each.down)]
        loss = self.chance.uniform(*_LOSS)
        for way in directions:
            way.loss = loss
            way.switch(proxy.Mode.LOSE)
        try:
            await asyncio.sleep(self.chance.uniform(*_LOSE_S))
        finally:
            for way in directions:
                way.switch(proxy.Mode.FLOW)
        return True

    async def _reset(self) -> bool:
        for _ in range(self.chance.randint(1, _RESETS)):
            for each in self.chance.choice((self._one_link, self._one_broker))():
                each.cut()
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))
        return True

    async def _refuse(self) -> bool:
        chosen = self.chance.choice((self._one_link, self._one_broker))()
        for each in chosen:
            await each.refuse()
        try:
            await asyncio.sleep(self.chance.uniform(*_REFUSE_S))
        finally:
            for each in chosen:
                await each.listen()
        return True
