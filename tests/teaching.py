"""A teacher's settings and a recipe that asks one, for tests."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.recipe_folder import write_recipe
from tuneline.teaching.options import Settings
from tuneline.teaching.request import Outcome, Request
from tuneline.teaching.teacher import Teacher

SECRET = "sk-very-secret-0123456789"

SETTINGS: dict[str, Any] = {
    "provider": "openai",
    "model": "m",
    "temperature": 0.0,
    "max_tokens": 256,
    "base_url": "default",
    "concurrency": 8,
    "requests_per_minute": 0,
    "tokens_per_minute": 0,
    "timeout": 10.0,
    "attempts": 4,
    "budget_usd": 100.0,
    "batch": False,
    "price": ("m=1/1",),
}
STRATEGY: dict[str, Any] = {
    "kind": "teacher",
    "name": "each",
    "prompt": "sdg/prompt.md",
    "answer": "sdg/answer.json",
    "items": None,
    "seeds": {"draw": "each", "count": 1},
    "vary": {},
    "per-call": 1,
    "rows": 0,
    "inherit": [],
    "give": {},
    "novelty": 1,
    "give-up": 3,
    "seed": 0,
}
PAIR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["question", "answer"],
    "properties": {"question": {"type": "string", "minLength": 5}, "answer": {"type": "string", "minLength": 5}},
}


def settings(**knobs: Any) -> Settings:
    return Settings(**{**SETTINGS, **knobs})


def asking(server: Any, provider: str, **knobs: Any) -> Settings:
    """The settings for a loopback server that speaks the provider's protocol."""
    url = server.openai_url if provider == "openai" else server.gemini_url
    return settings(provider=provider, base_url=url, **knobs)


def pay(chosen: Settings, log: Path, requests: list[Request]) -> tuple[list[Outcome], Teacher]:
    """What became of each request, and the teacher that was asked."""
    with Teacher(chosen, log) as teacher:
        teacher.pay(requests, "test", len(requests))
        return [teacher.outcome(request) for request in requests], teacher


def flags(chosen: Settings) -> list[str]:
    """The settings as a stage's flags."""
    words = []
    for name, value in vars(chosen).items():
        flag = name.replace("_", "-")
        if name == "batch":
            words.append("--batch" if value else "--no-batch")
        elif isinstance(value, tuple):
            words += [word for line in value for word in (f"--{flag}", line)]
        elif value is None:
            words += [f"--{flag}", "default"]
        else:
            words += [f"--{flag}", str(value)]
    return words


def write_asking_recipe(folder: Path, prompt: str = "Write anew: ${seed.question}", **strategy: Any) -> Path:
    """A recipe with one strategy that asks a teacher; `strategy` changes its keys."""
    recipe = write_recipe(folder, {"train.jsonl": ""}, sdg={"strategies": [{**STRATEGY, **strategy}]})
    (recipe / "sdg").mkdir()
    (recipe / "sdg/prompt.md").write_text(prompt, encoding="utf-8")
    (recipe / "sdg/answer.json").write_text(json.dumps(PAIR), encoding="utf-8")
    (recipe / "sdg/table.yaml").write_text(yaml.safe_dump({"a": {"share": 3}, "b": {"share": 1}}), encoding="utf-8")
    return recipe


def source_rows(path: Path, questions: list[str], **extra: Any) -> Path:
    """Rows as extract writes them."""
    from tuneline.files import write_jsonl
    from tuneline.recipe.forms import read_form
    from tuneline.rows import make_row

    write_jsonl(
        path,
        (
            make_row(read_form({"prompt": text, "response": "oui"}), "train.jsonl", n, **extra)
            for n, text in enumerate(questions, 1)
        ),
    )
    return path
