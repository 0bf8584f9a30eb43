"""Writers that fill a corpus through the server, as agents do: take instructions, write, hand in, correct.

They go in rounds: each writer takes an instruction, all texts of the round are written, each is handed
in; a text that is refused is written again with what was said of it, in the next round.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tuneline.ordering.order import Order
from tuneline.recipe.own import Orders, open_door
from tuneline.recipe.toon import decode
from tuneline.teaching.request import Outcome, Request
from tuneline.teaching.teacher import Teacher

ATTEMPTS = 3  # texts for one instruction
ANSWER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["case_text"],
    "properties": {"case_text": {"type": "string", "minLength": 1}},
}


@dataclass
class Task:
    """An instruction that a writer has, and what was said of its texts so far."""

    agent_id: str
    instruction: dict[str, Any]
    faults: list[str] = field(default_factory=list)  # one for each refused text
    last: str = ""


Write = Callable[[list[Task]], list[str | None]]  # a text each; None where there is none


class Client:
    """The server's three answers. Raises click.ClickException when it gives none, or refuses the token."""

    def __init__(self, url: str, token: str, timeout: float = 60.0) -> None:
        import httpx2

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url, self.errors = url, httpx2.HTTPError
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            answer = self.http.post(path, json=body)
            read = answer.json()
        except (self.errors, ValueError) as error:
            raise click.ClickException(f"{self.url}: {error}; start `tuneline instructions serve`") from None
        if answer.status_code in (401, 403):
            raise click.ClickException(f"{self.url}: wants a bearer token; set TUNELINE_TOKEN to its own")
        return answer.status_code, read

    def next(self, agent_id: str) -> dict[str, Any]:
        """An instruction; or {"error": complete, all_out or too_many}."""
        status, read = self._post("/next-instruction", {"agent_id": agent_id})
        if status != 200 and read.get("error") not in ("complete", "all_out", "too_many"):
            raise click.ClickException(f"{self.url}/next-instruction: {status} {read}")
        return read

    def submit(self, task: Task, text: str) -> dict[str, Any]:
        """The verdict {accepted, refusals, missing}."""
        body = {"instruction_id": task.instruction["instruction_id"], "agent_id": task.agent_id, "case_text": text}
        status, read = self._post("/submit-case", body)
        if "accepted" in read:
            return read
        fault = {"reason": read.get("error", str(status)), "detail": "; ".join(read.get("detail", []))}
        return {"accepted": False, "refusals": [fault], "missing": []}

    def close(self) -> None:
        self.http.close()


def offline_writer(recipe: Path) -> Write:
    """The recipe's own writer: no key, the same text for the same instruction and attempt."""
    orders: Orders = open_door(recipe, "orders")

    def text(task: Task) -> str | None:
        told = task.instruction
        order = Order(told["dimensions"], decode(told["target_toon"]), told["target_toon"], told["prompt"])
        return orders.write(order, random.Random(f"{told['instruction_id']}/{len(task.faults)}"))

    return lambda tasks: [text(task) for task in tasks]


def teacher_writer(teacher: Teacher) -> Write:
    """A model that is asked with the instruction's prompt; its answers are paid once and logged."""

    def request(task: Task) -> Request:
        asked = Request((("user", task.instruction["prompt"]),), ANSWER)
        return asked.again(task.last, "; ".join(task.faults[-1:])) if task.faults else asked

    def write(tasks: list[Task]) -> list[str | None]:
        requests = [request(task) for task in tasks]
        teacher.pay(requests, "writing", len(requests))
        outcomes = [teacher.follow(one) for one in requests]
        return [o.value["case_text"] if isinstance(o, Outcome) and o.reason is None else None for o in outcomes]

    return write


def run(client: Client, write: Write, writers: int, cases: int | None) -> Counter:
    """Works until `cases` are accepted or there is no more to take; counts of accepted, given_up and each refusal."""
    counts: Counter = Counter()
    tasks: list[Task] = []
    names = [f"writer-{number:02d}" for number in range(1, writers + 1)]
    with ThreadPoolExecutor(writers) as pool:
        while cases is None or counts["accepted"] < cases:
            busy = {task.agent_id for task in tasks}
            free = [name for name in names if name not in busy]
            wanted = len(free) if cases is None else cases - counts["accepted"] - len(tasks)
            answers = list(pool.map(client.next, free[: max(0, wanted)]))
            tasks += [Task(n, a) for n, a in zip(free, answers, strict=False) if "instruction_id" in a]
            if not tasks:
                break  # the corpus is complete, or the rest is out with others
            tasks = list(_round(pool, client, write, tasks, counts))
    return counts


def _round(
    pool: ThreadPoolExecutor, client: Client, write: Write, tasks: list[Task], counts: Counter
) -> Iterator[Task]:
    """Writes and hands in; yields the tasks whose text is to be written again."""
    texts = write(tasks)
    written = [(task, text) for task, text in zip(tasks, texts, strict=True) if text]
    counts["given_up"] += len(tasks) - len(written)
    for (task, text), verdict in zip(written, pool.map(lambda pair: client.submit(*pair), written), strict=True):
        if verdict["accepted"]:
            counts["accepted"] += 1
            continue
        counts.update(f"refused: {reason}" for reason in {one["reason"] for one in verdict["refusals"]})
        task.last, said = text, "; ".join(f"{one['reason']}: {one['detail']}" for one in verdict["refusals"])
        task.faults.append(said)
        if len(task.faults) < ATTEMPTS:
            yield task
        else:
            counts["given_up"] += 1
