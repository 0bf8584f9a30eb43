"""What a server has done since it started, as Prometheus metrics."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Counts:
    """`rows` and `waiting` say how many questions are in flight, and wait, now."""

    def __init__(self, rows: Callable[[], float], waiting: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        labels = ["model", "outcome"]
        self.requests = Counter("serve_requests", "Questions, by what became of them.", labels, **made)
        self.prompt = Counter("serve_prompt_tokens", "Tokens that were read.", ["model"], **made)
        self.answer = Counter("serve_answer_tokens", "Tokens that were written.", ["model"], **made)
        self.first = Histogram(
            "serve_first_token_seconds", "Until a streamed answer began.", ["model"], buckets=SECONDS, **made
        )
        self.whole = Histogram(
            "serve_answer_seconds", "Until an answer was whole, its wait counted.", ["model"], buckets=SECONDS, **made
        )
        Gauge("serve_rows", "Answers in flight.", **made).set_function(rows)
        Gauge("serve_waiting", "Questions that wait.", **made).set_function(waiting)

    def text(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)
