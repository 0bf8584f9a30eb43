"""The `tuneline` command: what people do beside the pipeline."""

import errno
import json
import shlex
import sys
from pathlib import Path
from shutil import rmtree
from typing import Any

import click

from tuneline.comparing.commands import diff, experiments, noise
from tuneline.disk import in_a_line
from tuneline.exporting.commands import export
from tuneline.exporting.convert import adapter_commands
from tuneline.feedback.commands import feedback
from tuneline.losses.commands import losses
from tuneline.measuring.commands import judge
from tuneline.ordering.commands import instructions
from tuneline.recipe.own import has_door, open_door
from tuneline.retraining.commands import forget, models, watch
from tuneline.serving.commands import serve
from tuneline.sharing import answers, fetch, share

RECIPES = Path("recipes")


class Main(click.Group):
    """The project's commands, and those of each recipe of the checkout that has a commands.py."""

    def list_commands(self, context: click.Context) -> list[str]:
        own = [path.parent.name for path in RECIPES.glob("*/commands.py")]
        return sorted({*super().list_commands(context), *own})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        known = super().get_command(context, name)
        if known or not has_door(RECIPES / name, "commands"):
            return known
        return open_door(RECIPES / name, "commands").commands

    def invoke(self, ctx: click.Context) -> Any:
        """A file that is not there or may not be read, or a disk that is full, is one line, not a traceback."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # who reads has gone: click ends in silence
                raise
            raise click.ClickException(in_a_line(error)) from error


@click.group(cls=Main)
def main() -> None:
    """Raw sources to an evaluated LoRA adapter. The pipeline itself runs by `dvc repro`."""


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def show(folders: tuple[Path, ...]) -> None:
    """The table of base against tuned for each metrics folder that has an evaluation."""
    from tuneline.table import show_crosses, show_tables

    if not show_tables(folders):
        raise click.ClickException("no eval.json there; make one with `make repro`")
    show_crosses(folders)


@main.command()
@click.argument("adapters", nargs=-1, metavar="[ADAPTER|FOLDER]...")
@click.option("--first", is_flag=True, help="Only the first adapter of params.yaml.")
@click.option("-v", "--verbose", is_flag=True, help="Say all that DVC says, the stages' commands too.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Stages at a time.")
def repro(adapters: tuple[str, ...], first: bool, verbose: bool, jobs: int) -> None:
    """Run what a change touches, one adapter after another: all of params.yaml, or those that are named, of
    benchmarks/ too; or all of a folder, `benchmarks`. The table of each comes when it is there."""
    from tuneline.repro import reproduce

    if first and adapters:
        raise click.UsageError("--first is the first adapter of params.yaml; name adapters, or say --first")
    reproduce(first, verbose, jobs, adapters)


@main.command()
@click.argument("adapters", nargs=-1)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("report/index.html"), show_default=True
)
@click.option(
    "--svg", type=click.Path(file_okay=False, path_type=Path), help="A folder for the charts, each by itself."
)
def report(adapters: tuple[str, ...], out: Path, svg: Path | None) -> None:
    """One HTML file, for a browser without a network, of the named ADAPTERS or of all: figures, charts, answers."""
    from tuneline.page.charts import charts
    from tuneline.page.page import make_page, write_charts, write_page
    from tuneline.page.reading import find_systems

    systems = find_systems(Path(), adapters)
    drawn = {system.name: charts(system, Path()) for system in systems}
    html = make_page(systems, drawn)
    write_page(out, html)
    told = "1 adapter" if len(systems) == 1 else f"{len(systems)} adapters"
    click.echo(f"{out}: {told}, {len(html.encode()) / 1e6:.1f} MB; open it in a browser")
    if svg:
        written = [path for name, mine in drawn.items() for path in write_charts(svg, name, mine)]
        click.echo(f"{svg}: {len(written)} charts, each for light and dark pages")


@main.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def preset(path: Path) -> None:
    """A preset's `key=value` lines as flags for `dvc exp run`."""
    words = []
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path} is no text of key=value lines: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        if "=" not in line:
            raise click.ClickException(f"{path}:{number}: not key=value: {line}")
        words += ["-S", line]
    click.echo(shlex.join(words))


@main.command()
@click.option(
    "--adapter", "adapters", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, multiple=True
)
@click.option("--input", "input_path", type=click.Path(exists=True, path_type=Path), help="A file of questions.")
@click.option("--constrain", is_flag=True, help="Hold answers to the adapter's schema.")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="Resolve symbolic time ranges against this day.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(1), default=256, show_default=True)
@click.argument("text", nargs=-1)
def predict(adapters, input_path, constrain, today, batch_size, max_new_tokens, text) -> None:
    """Answer TEXT, each row of --input, or each line of standard input.

    --input is a file or folder in any form in which rows come; answers that it has are left out. The answers come as
    JSON Lines {"id"?, "query", "answer"} in their order. One TEXT prints its answer alone. Several --adapter of one
    base answer in turn, each under its name.
    """
    from tuneline.answering.dates import with_dates
    from tuneline.answering.predictor import Voices
    from tuneline.answering.questions import one_question, read_lines, read_questions
    from tuneline.files import dump_json

    if text and input_path:
        raise click.ClickException("give TEXT or --input, not both")
    if text:
        questions = [one_question(" ".join(text), "the text")]
    elif input_path:
        questions = read_questions(input_path)
    else:
        if sys.stdin.isatty():
            raise click.ClickException("nothing to answer; give a text, --input FILE, or lines on standard input")
        questions = read_lines(sys.stdin.buffer.read())
    if not questions:
        raise click.ClickException("nothing to answer: the input has no rows")
    voices = Voices(adapters, constrain)
    for adapter in adapters:
        answers = voices.answer(adapter, questions, batch_size, max_new_tokens)
        if today:
            answers = [with_dates(answer, today.date()) for answer in answers]
        if text:
            click.echo(answers[0] if len(adapters) == 1 else f"{adapter.name}\n{answers[0]}\n")
            continue
        named = {"adapter": adapter.name} if len(adapters) > 1 else {}
        for row, answer in zip(questions, answers, strict=True):
            known = {"id": row["id"]} if "id" in row else {}
            click.echo(dump_json({**known, "query": row["messages"][-1]["content"], **named, "answer": answer}))


@main.command()
@click.argument("name")
@click.option("--from", "source", type=click.Path(exists=True, path_type=Path), required=True, help="A file or folder.")
@click.option("--column", "columns", multiple=True, metavar="OWN=KEY", help="What a column is; `ignore`: it may go.")
@click.option("--encoding", default="detect", show_default=True, help="Of texts, where the guess is wrong: cp932, say.")
@click.option("--base", default="models/tiny", show_default=True, help="The folder of a base model.")
def new(name: str, source: Path, columns: tuple[str, ...], encoding: str, base: str) -> None:
    """Write the smallest recipe NAME that works for the rows of a file, and its adapter; tell what they are."""
    from tuneline.starting.new import make_recipe

    told = {}
    for column in columns:
        own, equals, key = column.rpartition("=")
        if not equals:
            raise click.ClickException(f"--column {column}: not OWN=KEY, such as --column question=prompt")
        told[own] = key
    for line in make_recipe(Path(), name, source, told, base, encoding):
        click.echo(line)
    click.echo(
        f"next: say in recipes/{name}/system.md what the model is for; tuneline doctor {name}; dvc repro eval@{name}"
    )


@main.command()
@click.argument("model")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit; its commit is written.")
@click.option("--name", help="Of its folder in models/; after the model where none is said.")
def base(model: str, revision: str, name: str | None) -> None:
    """Write base.yaml for MODEL, an id of the Hub or a folder of the checkout; tell what it is. Weights come later."""
    from tuneline.starting.base import make_base

    for line in make_base(Path(), model, revision, name):
        click.echo(line)


@main.command()
@click.argument("adapter")
def doctor(adapter: str) -> None:
    """Look at the rows of ADAPTER as they would be trained, and at all that can be wrong with them without a model."""
    from tuneline.starting.doctor import examine, show_rows, summary

    folder = Path(".tuneline/doctor", adapter)  # stays where there is a fault, which names a file in it
    base = examine(Path(), adapter, folder)
    for line in (*show_rows(folder, adapter, base), "", *summary(folder, adapter)):
        click.echo(line)
    rmtree(folder)


@main.command()
@click.argument("recipe")
def plan(recipe: str) -> None:
    """What the strategies of RECIPE will ask and cost, before anything is spent."""
    from tuneline.generating.plan import plan as plan_recipe
    from tuneline.generating.plan import show_plan
    from tuneline.pipeline import stage_options
    from tuneline.teaching.options import teacher_settings

    options = stage_options(Path.cwd(), f"sdg@{recipe}")
    if not options["rows_path"].is_file():
        raise click.ClickException(f"{options['rows_path']} is not there yet; run `dvc repro extract@{recipe}` first")
    settings = teacher_settings(options)
    lines = list(plan_recipe(options["recipe"], options["rows_path"], options["answers"], settings))
    show_plan(recipe, lines, settings)


@main.command()
@click.argument("recipe")
@click.option("--adapter", help="Whose evaluation; needed when the recipe has several adapters.")
@click.option("--most", type=click.IntRange(1), default=5, show_default=True, help="Topics.")
def focus(recipe: str, adapter: str | None, most: int) -> None:
    """Write the topics on which the last evaluation was weak, for the focus strategy of RECIPE."""
    from tuneline.generating.focus import has_judged_topics, weak_topics, write_focus

    path = Path("metrics", adapter or recipe, "report.json")
    if not path.is_file():
        raise click.ClickException(f"{path} is not there; run `dvc repro`, or name one of metrics/ with --adapter")
    report = json.loads(path.read_text("utf-8"))
    if not has_judged_topics(report):
        raise click.ClickException(f"{path} has no topics: only evaluations by a judge have them")
    topics = weak_topics(report, most)
    out = Path("recipes", recipe, "sdg", "focus.yaml")
    write_focus(out, topics, recipe)
    click.echo(f"{out}: {', '.join(topics) or 'no topic'}; look at it, commit it, and run `dvc repro`")


COMMANDS = (
    adapter_commands, answers, diff, experiments, export, feedback, fetch, instructions, judge, losses, models, noise,
    serve, share, watch,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)
feedback.add_command(forget)  # of the layer above: it knows of runs and versions

if __name__ == "__main__":
    main()
