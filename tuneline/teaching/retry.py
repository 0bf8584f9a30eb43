"""How long to wait before a call is made again."""

import random

BACKOFF, LONGEST_BACKOFF = 0.5, 60.0  # seconds


def pause(attempt: int, asked_for: float | None, jitter: random.Random) -> float:
    """Seconds before the next attempt: full jitter [1], on top of what the service asks for.

    [1] AWS Architecture Blog, "Exponential Backoff And Jitter", 2015.
    """
    return (asked_for or 0.0) + jitter.uniform(0, min(LONGEST_BACKOFF, BACKOFF * 2 ** (attempt - 1)))
