"""One run: the pipeline in a checkout of its own, the comparison, a commit. What both runners start.

    python -m tuneline.retraining.execute --root . --run .tuneline/runs/summarization-0001

In the run's folder are order.json (what to train, from which commit) and samples.jsonl; the last that comes there is
result.json, whole. With a result there is nothing to do: it may be started again, whoever was killed before.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tuneline.feedback.gate_settings import SAMPLES, read_gate_settings
from tuneline.files import whole_file, write_json
from tuneline.locks import held
from tuneline.retraining.checkout import as_author, commit_all, git, git_environment, make_checkout

LOCK = Path(".tuneline/run.lock")
CHECKOUT, RESULT, ORDER = "checkout", "result.json", "order.json"
REGISTRY = "registry"  # in a run's commit: the model card by adapter


class Order(BaseModel):
    """What a run is. `base`: another base than that of params.yaml. `samples`, `sha256`: of samples.jsonl."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    task: str
    adapter: str
    commit: str
    base: str | None
    samples: int
    sha256: str


class Result(BaseModel):
    """What came of a run. `previous`: the version in service that it was compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    commit: str
    previous: str | None
    wins: bool
    reason: str
    figures: dict[str, Any]
    seconds: float
    spend_usd: float


def read_order(folder: Path) -> Order:
    """Raises click.ClickException when the folder is no run's, or its samples are others than it says."""
    try:
        order = Order.model_validate_json((folder / ORDER).read_text("utf-8"))
        digest = hashlib.sha256((folder / SAMPLES).read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{folder} is no run's folder: {' '.join(str(error).split())}") from None
    if digest != order.sha256:
        raise click.ClickException(f"{folder / SAMPLES} was changed since the run was opened; take the folder away")
    return order


def read_result(folder: Path) -> Result | None:
    """None while the run has none, or one that cannot be read: it is made again."""
    path = folder / RESULT
    try:
        return Result.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError:
        return None


def execute(root: Path, folder: Path) -> Result:
    """Carries out the run of a folder, or finds it done. Waits for whatever runs now.

    Raises click.ClickException when a part of it fails; what stages had finished is in the cache.
    """

    def waiting() -> None:
        click.echo("another run is at it, or a stage of a killed one; waiting for its end", err=True)

    with held(root / LOCK, waiting) as lock:
        if (result := read_result(folder)) is not None:
            return result
        started = time.monotonic()
        order = read_order(folder)
        checkout = folder / CHECKOUT
        make_checkout(root, checkout, order.commit, order.name)
        options = eval_options(checkout, order)
        place_samples(checkout, folder / SAMPLES, options["recipe"] / "source" / SAMPLES)
        run_pipeline(checkout, order, lock)
        comparison = compare_with_served(root, checkout, order, options)
        comparison["spend_usd"] += pipeline_spend(checkout, order.adapter, options["recipe"].name)
        write_json(checkout / "metrics" / order.adapter / "comparison.json", comparison)
        write_model_card(checkout, order, comparison)
        commit = commit_all(checkout, f"{order.adapter}: run {order.name} on {order.samples} samples")
        result = Result(
            commit=commit,
            previous=comparison["previous"],
            wins=comparison["wins"],
            reason=comparison["reason"],
            figures=comparison,
            seconds=round(time.monotonic() - started, 1),
            spend_usd=round(comparison["spend_usd"], 6),
        )
        write_json(folder / RESULT, result.model_dump())
        return result


def place_samples(checkout: Path, samples: Path, to: Path) -> None:
    """Puts the samples where the recipe reads them, tracked by DVC: git never has an application's texts.

    Committed at once, since `dvc exp run` would take up again what git had there.
    """
    from dvc.repo import Repo

    git(checkout, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", str(to))
    (checkout / to).unlink(missing_ok=True)  # a link into the cache, where DVC makes such
    shutil.copyfile(samples, checkout / to)
    with Repo(str(checkout)) as repo:
        repo.add(str(checkout / to))
    commit_all(checkout, f"{to}: the samples of a run, in DVC")


def eval_options(checkout: Path, order: Order) -> dict[str, Any]:
    """The options of the adapter's eval stage, as the checkout's params.yaml has them."""
    from tuneline.pipeline import stage_options

    return stage_options(checkout, f"eval@{order.adapter}")


def run_pipeline(checkout: Path, order: Order, lock: int) -> None:
    """`dvc exp run` up to the adapter's eval. Raises click.ClickException when a stage fails.

    DVC closes all descriptors but the standard ones in the stages that it starts: so the lock travels as standard
    input, and a stage that outlives us keeps it.
    """
    changed = ["--set-param", f"adapters.{order.adapter}.base={order.base}"] if order.base else []
    command = [sys.executable, "-m", "dvc", "exp", "run", "--name", order.name, *changed, f"eval@{order.adapter}"]
    python = str(Path(sys.executable).parent)
    environment = git_environment() | as_author(checkout)
    environment |= {"PATH": f"{python}{os.pathsep}{environment.get('PATH', '')}"}
    environment.pop("DVC_ROOT", None)  # under `exp run` it is the checkout, whose state is linked
    sys.stdout.flush()
    done = subprocess.run(command, cwd=checkout, env=environment, stdin=lock)
    if done.returncode:
        raise click.ClickException(f"dvc exp run {order.name} ended with {done.returncode}; what it said is above")


def compare_with_served(root: Path, checkout: Path, order: Order, options: dict[str, Any]) -> dict[str, Any]:
    """promotion.compare with the version that is in service now; "previous" is its name or None."""
    from tuneline.retraining.promotion import compare
    from tuneline.retraining.registry import served_version

    previous = served_version(root, order.adapter)
    served = root / "served" / order.adapter / previous if previous else None
    gate = read_gate_settings(checkout)
    return {"previous": previous, **compare(checkout, order.adapter, served, gate, options)}


def pipeline_spend(checkout: Path, *names: str) -> float:
    """USD that the answers behind the rows cost, whoever paid them and when."""
    usd = 0.0
    for name in dict.fromkeys(names):
        for stage in ("sdg", "curate"):
            path = checkout / "metrics" / name / f"{stage}.json"
            if path.is_file():
                usd += json.loads(path.read_text("utf-8")).get("spend", {}).get("usd", 0.0)
    return usd


def write_model_card(checkout: Path, order: Order, comparison: dict[str, Any]) -> None:
    from tuneline.retraining.promotion import card

    params = yaml.safe_load((checkout / "params.yaml").read_text("utf-8"))
    knobs = {**params["adapters"][order.adapter], "lora": params["lora"], "fit": params["fit"]}
    path = checkout / REGISTRY / order.adapter / "card.md"
    with whole_file(path) as part:
        part.write_text(card(order.model_dump(), comparison, knobs), encoding="utf-8")


@click.command()
@click.option("--root", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--run", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
def main(root: Path, folder: Path) -> None:
    result = execute(root.resolve(), folder.resolve())
    click.echo(f"{folder}: {result.reason}; {result.seconds:g} s")


if __name__ == "__main__":
    main()
