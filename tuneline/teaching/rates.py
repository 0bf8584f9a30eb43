"""How fast a service may be asked: never more than so many requests and tokens in any 60 seconds."""

import asyncio
from collections import deque
from collections.abc import Callable

WINDOW = 60.0  # seconds


class Rate:
    """A sliding window. `limit` 0 is no limit."""

    def __init__(self, limit: int, clock: Callable[[], float], told: Callable[[float], None] = lambda _: None) -> None:
        """`told` hears of the seconds of each wait."""
        self.limit, self.clock, self.told = limit, clock, told
        self.spent: deque[tuple[float, int]] = deque()
        self.total = 0
        self.turn = asyncio.Lock()  # first come, first served

    async def take(self, amount: int) -> None:
        """Waits until `amount` more fits into the window. One amount beyond the limit goes alone."""
        if not self.limit:
            return
        async with self.turn:
            while self.total and self.total + amount > self.limit:
                at, first = self.spent[0]
                if (wait := at + WINDOW - self.clock()) > 0:
                    self.told(wait)
                    await asyncio.sleep(wait)
                self.spent.popleft()
                self.total -= first
            self.spent.append((self.clock(), amount))
            self.total += amount
