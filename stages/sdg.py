"""Rows → rows and those that the recipe's strategies add; with none, the rows pass. Documents are only asked about.

A strategy of kind `grammar` draws rows from templates, one of kind `teacher` asks a model. Every
answer of a model is logged under --answers and paid once: a run that was stopped goes on.

    python -m stages.sdg --recipe recipes/french_admin --rows data/french_admin/extract.jsonl \\
        --out data/french_admin/sdg.jsonl --refused data/french_admin/sdg.refused.jsonl \\
        --metrics metrics/french_admin/sdg.json --answers .tuneline/answers --strategy all \\
        --provider offline --model offline --temperature 0.7 --max-tokens 2048 --base-url default \\
        --concurrency 20 --requests-per-minute 0 --tokens-per-minute 0 --timeout 120 --attempts 5 \\
        --budget-usd 5 --no-batch --price gpt-5-mini=0.25/2.00
"""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tuneline.files import Clock, Number, Row, iterate_jsonl, write_json, write_jsonl
from tuneline.generating.grammar import draw_rows
from tuneline.generating.offline import Offline
from tuneline.generating.strategies import Generation, Known, Seeds, Strategy
from tuneline.recipe.documents import is_document
from tuneline.recipe.forms import read_form
from tuneline.recipe.settings import Asked, Grammar, Recipe, read_recipe
from tuneline.rows import make_row
from tuneline.teaching.options import Settings, teacher_options
from tuneline.teaching.request import usual_reasons
from tuneline.teaching.teacher import Teacher


def drawn_rows(strategy: Grammar, recipe: Path) -> Iterator[Row]:
    rng = random.Random(strategy.seed)
    made = draw_rows(recipe / strategy.file, strategy.rows, strategy.lowercase, rng)
    for number, record in enumerate(made, 1):
        yield make_row(read_form(record), strategy.file, number, origin=strategy.name)


class Stage:
    """What one run adds, row by row: the rows themselves are never all in memory."""

    def __init__(self, recipe: Path, settings: Recipe, rows: Path, chosen: str) -> None:
        self.recipe, self.settings, self.rows_path = recipe, settings, rows
        names = [strategy.name for strategy in settings.sdg.strategies]
        if chosen != "all" and chosen not in names:
            raise click.ClickException(
                f"{recipe / 'recipe.yaml'} has no strategy {chosen!r}; it has {', '.join(names)}"
            )
        self.chosen = [s for s in settings.sdg.strategies if chosen in ("all", s.name)]
        self.metrics: dict[str, Any] = {"in": 0, "out": 0, "strategies": {}}
        self.refused: list[Row] = []
        self.useless: list[str] = []  # strategies of which no answer was of use
        self.spend = Counter[str]()

    def asked(self, seeds: Seeds) -> list[Strategy]:
        form = self.settings.sdg.form
        return [Strategy(s, self.recipe, form, seeds) for s in self.chosen if isinstance(s, Asked)]

    def run(self, teacher: Teacher | None) -> Iterator[Row]:
        for row in iterate_jsonl(self.rows_path, Number):
            self.metrics["in"] += 1
            if is_document(row):
                self.metrics["documents"] = self.metrics.get("documents", 0) + 1
            else:
                yield row
        if not self.metrics["in"]:
            raise click.ClickException(f"{self.rows_path} has no row; run `dvc repro --force`")
        seeds = Seeds(self.rows_path)
        strategies = {strategy.settings.name: strategy for strategy in self.asked(seeds)}
        known = self._known() if any(s.settings.novelty < 1 for s in strategies.values()) else Known()
        for settings in self.chosen:
            made = 0
            if isinstance(settings, Grammar):
                for row in drawn_rows(settings, self.recipe):
                    made += 1
                    yield row
                self.metrics["strategies"][settings.name] = {"rows": made}
                continue
            generation = Generation(strategies[settings.name], teacher, known)
            yield from generation
            self._count(settings.name, generation)
        seeds.close()

    def _known(self) -> Known:
        from tuneline.rows import question

        known = Known()
        for row in iterate_jsonl(self.rows_path, Number):
            if not is_document(row):
                known.add(question(row))
        return known

    def _count(self, name: str, generation: Generation) -> None:
        self.metrics["strategies"][name] = dict(generation.counts)
        self.refused += generation.refused
        self.spend.update(generation.spend.metrics())
        if generation.gave_up:
            click.echo(
                f"{name}: {generation.strategy.settings.give_up} calls in a row gave no new row; it stops at "
                f"{generation.counts['rows']} of {generation.strategy.settings.rows} rows",
                err=True,
            )
        elif generation.strategy.is_idle:
            click.echo(f"{name}: nothing to ask about, no call", err=True)
        self._tell_refused(name, generation)

    def _tell_refused(self, name: str, generation: Generation) -> None:
        """The usual reasons, where answers that gave no row are most of them. None of use at all fails the stage."""
        useless, answers = generation.useless, generation.answers
        if 2 * useless <= answers:
            return
        said = usual_reasons((row["reason"], row["detail"]) for row in generation.refused if row["reason"] != "known")
        click.echo(f"{name}: {useless} of {answers} answers gave no row: {said}", err=True)
        if useless == answers:
            self.useless.append(name)


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), required=True)
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--refused", type=click.Path(path_type=Path), required=True, help="Answers that gave no row, and why.")
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--answers", type=click.Path(path_type=Path), required=True, help="The log of paid answers.")
@click.option("--strategy", required=True, help="The name of one, or all.")
@teacher_options
def main(
    recipe: Path,
    rows_path: Path,
    out: Path,
    refused: Path,
    metrics: Path,
    answers: Path,
    strategy: str,
    **teacher_settings: Any,
) -> None:
    clock = Clock("sdg", recipe.name)
    stage = Stage(recipe, read_recipe(recipe), rows_path, strategy)
    paid = ""
    if any(isinstance(chosen, Asked) for chosen in stage.chosen):
        settings = Settings(**teacher_settings)
        with Teacher(settings, answers, Offline(recipe) if settings.provider == "offline" else None) as teacher:
            write_jsonl(out, _counted(stage.run(teacher), stage.metrics))
            paid = f"{teacher.calls:,} answers paid now, ${teacher.spent:.4f}" if teacher.calls else ""
    else:
        write_jsonl(out, _counted(stage.run(None), stage.metrics))
    write_jsonl(refused, stage.refused)
    if stage.spend:
        stage.metrics["spend"] = {key: round(value, 6) for key, value in stage.spend.items()}
    write_json(metrics, stage.metrics)
    counts = stage.metrics
    made = counts["out"] - counts["in"] + counts.get("documents", 0)
    said = [f"{made:,} made", f"{len(stage.refused):,} refused" if stage.refused else "", paid]
    clock.tell(f"{counts['in']:,} → {counts['out']:,} rows", ", ".join(filter(None, said)))
    if stage.useless:
        names = " and ".join(stage.useless)
        raise click.ClickException(f"no answer to {names} was of use; {refused} has each with its reason")


def _counted(rows: Iterator[Row], metrics: dict[str, Any]) -> Iterator[Row]:
    for row in rows:
        metrics["out"] += 1
        yield row


if __name__ == "__main__":
    main()
