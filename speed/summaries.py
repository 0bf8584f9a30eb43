"""Measures summaries of real abstracts: ROUGE-1, 2 and L on SciTLDR's test set, with 95 % intervals.

    TUNELINE_MIRROR=/path/to/data python speed/summaries.py            # 618 abstracts, some minutes an adapter
    python speed/summaries.py --rows 50 --adapter adapters/scitldr     # the first 50; without a mirror, downloaded
    python speed/summaries.py --json                                   # one flat object
    python speed/summaries.py --small

Measured are the first and the last sentence of the abstract, the base under the system prompt of
recipes/summaries, and adapters: those named, else the version in service, the one before it, and
adapters/scitldr, which `make scitldr` trains on SciTLDR itself; one that is not there is left out. `overall` is the
judge's score, by the judge of params.yaml.

A paper has several reference summaries. The one whose ROUGE-1 is best counts, with its ROUGE-2 and L, and
nothing is stemmed, as in the authors' own evaluation (allenai/scitldr, scripts/cal-rouge.py). Theirs is
ROUGE-1.5.5, whose ROUGE-L is by sentences; ours is rouge-score 0.1.2 over the whole summary, which is the same
for one sentence.
"""

import sys
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from recipes.scitldr.reader import read_multi_target
from speed.bench import ROOT, Figures, small, tell
from tuneline.answering.predictor import Predictor, Voices
from tuneline.data.external import fetch_external, read_external
from tuneline.feedback.judging import Judging, read_judging
from tuneline.files import Row, read_jsonl
from tuneline.measuring.report import score_answers
from tuneline.measuring.task_answers import MEASURES, TaskMeasures
from tuneline.models.adapter import read_adapter
from tuneline.models.base import read_base
from tuneline.rendering.preamble import Preamble
from tuneline.retraining.promotion import means, shown
from tuneline.teaching.judging import judge_by_rules
from tuneline.teaching.teacher import Teacher

TASK = "summarization"
SHOWN = (*MEASURES[TASK], "overall")
BASE = Path("models/tiny")
# Of models tuned on SciTLDR that see the abstract alone, as all that is measured here does (Cachola et al. 2020, arXiv
# 2004.15011): BART-large, and the same with the authors' title scaffold, without and after XSUM. ROUGE-1 is what
# secondary sources agree on.
PUBLISHED = {"bart": 0.433, "catts": 0.438, "catts_xsum": 0.443}


def read_test(source: Path, rows: int | None) -> tuple[list[Row], list[list[str]]]:
    """(rows as eval has them, the sentences of each abstract). `rows`: the first so many; None: all."""
    declared = read_external(source / "external.yaml")
    records = read_jsonl(fetch_external(declared, ROOT / ".tuneline/external")["test.jsonl"])[:rows]
    fields = [next(read_multi_target(record)) for record in records]
    asked = [
        {
            "messages": [{"role": "user", "content": one["input"]}, {"role": "assistant", "content": one["output"]}],
            "fields": one,
        }
        for one in fields
    ]
    return asked, [record["source"] for record in records]


def served(folder: Path) -> list[Path]:
    """The version in service and the one before it, newest first; those that are there."""
    current = folder / "current"
    if not current.is_dir():
        return []
    known = sorted((path for path in folder.glob("v*.*.*") if path.is_dir()), key=version)
    now = known.index(folder / current.resolve().name)
    return known[max(now - 1, 0) : now + 1][::-1]


def version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.removeprefix("v").split("."))


def name_of(adapter: Path) -> str:
    """A key of the flat object: the adapter's folder, with its model's where it is a version."""
    name = f"{adapter.parent.name}_{adapter.name}" if adapter.name.startswith("v") else adapter.name
    return name.replace(".", "_").replace("-", "_")


def answers_of(adapters: list[Path], rows: list[Row], batch_size: int, max_new_tokens: int) -> dict[str, list[str]]:
    """Name → answer to each row: of the base, then of each adapter, asked as it was trained."""
    asked = [row["messages"][:-1] for row in rows]
    system = (ROOT / "recipes/summaries/system.md").read_text("utf-8").strip()
    backend = read_adapter(adapters[0]).backend if adapters else "cuda"
    base = Predictor(backend, read_base(BASE), "none", "float32", Preamble(system))
    said = {"base": base.answer(asked, batch_size, max_new_tokens, "base")}
    for adapter in adapters:
        questions = [{"messages": messages} for messages in asked]
        said[name_of(adapter)] = Voices([adapter], False).answer(adapter, questions, batch_size, max_new_tokens)
    return said


def figures_of(rows: list[Row], said: dict[str, list[str]], judging: Judging, samples: int) -> dict[str, dict]:
    """Of each name in `said`: each of SHOWN, 0 to 1, as {"mean", "interval"}."""
    measures = TaskMeasures(TASK, judging.rubrics[TASK], judging.min_score, judging.window)
    found = {}
    with Teacher(judging.settings, judging.answers, judge_by_rules(judging.recipe)) as judge:
        for name, answers in said.items():
            of = means(score_answers(measures, rows, answers, judge)[0], samples, 0)
            found[name] = {key: of[key] for key in SHOWN if key in of}
    return found


def flat(found: dict[str, dict]) -> Figures:
    """A mean under its name, the ends of its interval as `_low` and `_high`."""
    figures: Figures = {}
    for name, of in found.items():
        for key, figure in of.items():
            low, high = figure["interval"]
            figures |= {f"{name}_{key}": figure["mean"], f"{name}_{key}_low": low, f"{name}_{key}_high": high}
    return figures | {f"published_{name}_rouge_1": value for name, value in PUBLISHED.items()}


@click.command()
@click.option("--adapter", "adapters", type=click.Path(path_type=Path), multiple=True, help="Instead of those served.")
@click.option("--rows", type=click.IntRange(1), help="The first so many test rows; all without it.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(1), default=80, show_default=True)
@click.option("--samples", type=click.IntRange(1), default=1000, show_default=True, help="Of the bootstrap.")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=ROOT / "recipes/scitldr/source",
    help="The folder of an external.yaml with a test.jsonl in SciTLDR's form.",
)
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@small(rows=2, max_new_tokens=4, samples=20)
def main(
    adapters: tuple[Path, ...],
    rows: int | None,
    batch_size: int,
    max_new_tokens: int,
    samples: int,
    source: Path,
    as_json: bool,
) -> None:
    chosen = list(adapters)
    if not chosen:
        own = Path("adapters/scitldr")
        chosen = served(Path("served/summaries")) + ([own] if own.is_dir() else [])
    names = [name_of(adapter) for adapter in chosen]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise click.ClickException(f"two adapters would be called {', '.join(twice)}; name one folder otherwise")
    start = time.perf_counter()
    test, sentences = read_test(source, rows)
    said = {"first_sentence": [each[0] for each in sentences], "last_sentence": [each[-1] for each in sentences]}
    said |= answers_of(chosen, test, batch_size, max_new_tokens)
    found = figures_of(test, said, read_judging(ROOT), samples)
    if as_json:
        tell({"rows": len(test), **flat(found), "seconds": round(time.perf_counter() - start, 1)}, as_json)
        return
    click.echo(f"{len(test)} abstracts of SciTLDR's test set; in brackets the 95 % bootstrap interval")
    click.echo(f"{'':16}" + "".join(f"{key:>21}" for key in SHOWN))
    for name, of in found.items():
        click.echo(f"{name:16}" + "".join(f"{shown(of.get(key)):>21}" for key in SHOWN))
    for name, value in PUBLISHED.items():
        click.echo(f"{name:16}{value:>6.3f} as published, from abstracts only")


if __name__ == "__main__":
    main()
