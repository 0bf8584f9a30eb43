"""What an answer costs, and how fast a service may be asked."""

import asyncio
import time
from email.utils import formatdate

import click
import pytest

from tuneline.teaching.openai_api import retry_after
from tuneline.teaching.prices import Price, price_of, read_prices
from tuneline.teaching.rates import Rate

# Prices


def test_a_price_is_per_million_tokens() -> None:
    prices = read_prices(("gpt-5-mini=0.25/2.00", "own/model=v2=0/0"))
    assert prices == {"gpt-5-mini": Price(0.25, 2.0), "own/model=v2": Price(0.0, 0.0)}
    assert prices["gpt-5-mini"].cost(1_000_000, 500_000) == 1.25


@pytest.mark.parametrize("line", ["m", "m=", "m=1", "m=1/", "m=1/2/3", "m=a/b", "m=-1/2", "m=nan/1", "m=inf/1", "=1/2"])
def test_a_wrong_price_is_named(line: str) -> None:
    with pytest.raises(click.ClickException) as error:
        read_prices(("good=1/1", line))
    assert repr(line) in error.value.message


def test_a_model_without_a_price_is_refused() -> None:
    with pytest.raises(click.ClickException) as error:
        price_of("dear", {"cheap": Price(0, 0)})
    assert "no price for dear (known: cheap)" in error.value.message


# Rates


class Clock:
    """Time passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(limit: int, amounts: list[int], monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """When each amount was let through a window of 20 ms; all are asked for at once."""
    monkeypatch.setattr("tuneline.teaching.rates.WINDOW", 0.02)
    passed: list[tuple[float, int]] = []

    async def run() -> None:
        rate = Rate(limit, asyncio.get_running_loop().time)

        async def one(amount: int) -> None:
            await rate.take(amount)
            passed.append(rate.spent[-1])

        async with asyncio.TaskGroup() as group:
            for amount in amounts:
                group.create_task(one(amount))

    asyncio.run(run())
    return passed


@pytest.mark.parametrize("amounts", [[1] * 12, [3, 1, 2, 3, 1, 1, 2], [2, 2, 2, 2], [1, 9, 1]])
def test_no_window_holds_more_than_the_limit(amounts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    passed = taken(3, amounts, monkeypatch)
    assert [amount for _, amount in passed] == amounts  # first come, first served
    for start, _ in passed:
        within = [amount for at, amount in passed if start <= at < start + 0.02 - 1e-6]
        assert sum(within) <= 3 or within == [9]  # more than the limit goes alone


def test_what_left_the_window_makes_room_at_once() -> None:
    clock = Clock()

    async def run() -> list[tuple[float, int]]:
        rate = Rate(3, clock)
        passed = []
        for clock.now, amount in ((0.0, 2), (30.0, 1), (60.0, 2), (90.0, 1), (1000.0, 3)):
            await asyncio.wait_for(rate.take(amount), 5)  # a real pause would be one of many seconds
            passed.append(rate.spent[-1])
        return passed

    assert asyncio.run(run()) == [(0.0, 2), (30.0, 1), (60.0, 2), (90.0, 1), (1000.0, 3)]


def test_what_is_still_in_the_window_leaves_no_room() -> None:
    clock = Clock()

    async def run() -> None:
        rate = Rate(3, clock)
        await rate.take(2)
        clock.now = 59.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rate.take(2), 0.05)
        assert rate.total == 2

    asyncio.run(run())


def test_no_limit_never_looks_at_the_clock() -> None:
    def clock() -> float:
        raise AssertionError

    async def run() -> None:
        for _ in range(100):
            await Rate(0, clock).take(10**9)

    asyncio.run(run())


def test_who_gives_up_waiting_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneline.teaching.rates.WINDOW", 0.01)

    async def run() -> int:
        rate = Rate(1, asyncio.get_running_loop().time)
        await rate.take(1)
        waiting = [asyncio.create_task(rate.take(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        return sum(result is None for result in done)

    assert asyncio.run(run()) == 2


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0.0), ("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("soon", None), ("", None), ("inf", None)]
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


def test_retry_after_as_a_date() -> None:
    assert 3000 < retry_after({"retry-after": formatdate(time.time() + 3600, usegmt=True)}) <= 3600
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({}) is None
