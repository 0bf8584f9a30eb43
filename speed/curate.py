"""Time and memory of the curate stage, in a process of its own, on rows of several kinds.

`mixed`: questions of 20 to 200 words, half of them under one of two instructions, a tenth near another one, and some
conversations that begin alike. `alike`: one long instruction and a few words that differ. `facets`: all questions are
made of the same few phrases, which is the worst case.

    python speed/curate.py             # about five minutes
    python speed/curate.py --json      # one flat object
    python speed/curate.py --small
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from speed.bench import Figures, run_stage, small, tell
from tests.recipe_folder import write_recipe
from tests.teaching import flags, settings

INSTRUCTIONS = (
    "You are given a passage of a letter to the town hall. Say in one sentence what its writer wants, and name the "
    "office that is responsible; where none is, say so and explain why. Do not repeat the letter. Passage: ",
    "Translate the following text into plain language that a child of ten understands, sentence by sentence, without "
    "leaving anything out and without adding anything that it does not say. Text: ",
)


def words(rng: random.Random, count: int = 20_000) -> list[str]:
    return ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(count)]


def text(rng: random.Random, known: list[str], count: int) -> str:
    """Frequent words are frequent, as in a language."""
    return " ".join(known[int(len(known) * rng.random() ** 3)] for _ in range(count))


def mixed(rng: random.Random, count: int) -> Iterator[list[str]]:
    known, asked = words(rng), []
    for number in range(count):
        if number % 20 == 0:
            yield ["hi", "Hello! How can I help you today?", text(rng, known, 30), text(rng, known, 60)]
            continue
        if number % 10 == 1 and asked:
            question = rng.choice(asked).replace("e", "a", 1)
        else:
            before = (*INSTRUCTIONS, "", "")[number % 4]
            question = before + text(rng, known, rng.randint(20, 200))
            asked.append(question)
        yield [question, rng.choice(("yes", "no", text(rng, known, 40)))]


def alike(rng: random.Random, count: int) -> Iterator[list[str]]:
    known = words(rng)
    for _ in range(count):
        yield [INSTRUCTIONS[0] + text(rng, known, 4), text(rng, known, 5)]


def facets(rng: random.Random, count: int) -> Iterator[list[str]]:
    known = words(rng)
    phrases = [[text(rng, known, 2) for _ in range(60)] for _ in range(4)]
    for _ in range(count):
        yield [" ".join(map(rng.choice, phrases)), "yes"]


KINDS = {"mixed": mixed, "alike": alike, "facets": facets}


def write_rows(path: Path, kind: str, count: int) -> int:
    """The rows' characters."""
    from tuneline.recipe.forms import read_form
    from tuneline.rows import make_row

    rng, signs = random.Random(0), 0
    with path.open("w", encoding="utf-8") as out:
        for number, turns in enumerate(KINDS[kind](rng, count)):
            roles = ("user", "assistant") * (len(turns) // 2)
            messages = [{"role": role, "content": said} for role, said in zip(roles, turns, strict=True)]
            held_out = {"set": "test"} if number % 25 == 24 else {}
            out.write(json.dumps(make_row(read_form({"messages": messages}), "bench", number, **held_out)) + "\n")
            signs += sum(map(len, turns))
    return signs


def run_curate(folder: Path, **changed: object) -> tuple[float, float, float]:
    """As `run_stage`, on the rows of the folder, where the rest goes too. `changed`: keys of curate in recipe.yaml."""
    recipe = write_recipe(folder / "recipe", curate=changed)
    options = ["--recipe", recipe, "--rows", folder / "rows", "--answers", folder / "log", "--engine", "local"]
    for name in ("out", "drops", "metrics", "reasons"):
        options += [f"--{name}", folder / name]
    return run_stage("curate", [*options, *flags(settings(provider="offline"))])


def measure(folder: Path, kind: str, count: int) -> Figures:
    folder.mkdir()
    signs = write_rows(folder / "rows", kind, count)
    _, used, peak = run_curate(folder)
    counts = json.loads((folder / "metrics").read_text("utf-8"))
    return {
        f"{kind}_rows": count,
        f"{kind}_characters_per_row": round(signs / count),
        f"{kind}_cpu_seconds": round(used, 1),
        f"{kind}_peak_mb": round(peak),
        f"{kind}_dropped": counts["in"] - counts["out"],
    }


@click.command(help=__doc__.split("\n")[0])
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@click.option("--rows", type=click.IntRange(50), default=50_000, show_default=True, help="Of mixed rows.")
@click.option("--alike", "alike_rows", type=click.IntRange(50), default=200_000, show_default=True)
@click.option("--facets", "facet_rows", type=click.IntRange(50), default=20_000, show_default=True)
@small(rows=100, alike_rows=100, facet_rows=100)
def main(as_json: bool, rows: int, alike_rows: int, facet_rows: int) -> None:
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in (("mixed", rows), ("alike", alike_rows), ("facets", facet_rows)):
            figures |= measure(Path(folder) / kind, kind, count)
            if not as_json:
                click.echo(f"{kind} done", err=True)
    tell(figures, as_json)


if __name__ == "__main__":
    main()
