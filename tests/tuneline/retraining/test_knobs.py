"""Each knob of the gate, turned between two rounds of one watcher, acts in the second."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import ROOT, Project
from tests.retraining import TASK, accept
from tests.tuneline.feedback.test_feedback import body
from tuneline.feedback.gate_settings import GateSettings
from tuneline.feedback.store import Sample, Store, database
from tuneline.retraining.commands import watch
from tuneline.retraining.execute import Order
from tuneline.retraining.runner import RunFailed

NAME = "summaries"
RUBRIC = "judge/classification.md"  # which the judge alone reads
OF_A_RUN = {"measure", "least-effect", "retention-margin"}  # as its commit has them: test_promotion.py


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a watcher reads of a checkout: git, dvc.yaml, the gate and its recipe; and another recipe and adapter."""
    project = Project(tmp_path_factory.mktemp("knobs"))
    for name in (".dvc/config", "dvc.yaml", "recipes/summaries/recipe.yaml", "recipes/summaries/offline.py"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, project.root / name)
    shutil.copytree(ROOT / "recipes/summaries/judge", project.root / "recipes/summaries/judge")
    shutil.copytree(project.root / "recipes/summaries", project.root / "recipes/another")
    (project.root / f"recipes/another/{RUBRIC}").unlink()
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["recipes"] = ["summaries", "another"]
    params["adapters"] = {"summaries": params["adapters"]["summaries"]}
    params["adapters"]["another"] = params["adapters"]["summaries"] | {"recipe": "another"}
    (project.root / "params.yaml").write_text(yaml.safe_dump(params))
    project.run("git", "init", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    return project.root


def send(project: Project, first: int, many: int = 2) -> None:
    with Store(database(project.root)) as store:
        meta = {"application": "web"}
        store.add(Sample(**body(number, model="m", meta=meta)) for number in range(first, first + many))


def accepted(project: Project, seed: int) -> None:
    accept(project, [f"{seed} so it is"] * 4, seed)


Prepare = Callable[[Project, int], None]


@pytest.mark.parametrize(
    ("knob", "first", "then", "each", "said_first", "said_then"),
    [
        ("min-score", 1, 0, send, "judged: 0 accepted, 2 rejected", "judged: 2 accepted, 0 rejected"),
        ("most-per-source", 0, 1, send, "judged: 2 accepted, 0 rejected, 0 failed",
         "2 over gate.most-per-source: 1 of web"),
        ("most-per-model", 0, 1, send, "judged: 2 accepted, 0 rejected, 0 failed",
         "2 over gate.most-per-model: 1 of m"),
        ("min-new-samples", 9, 8, accepted, "4 of 9 new accepted samples", "run summarization-0001 on 8 samples"),
        ("attempts", 9, 2, accepted, "attempt 1 of 9 failed", "attempt 2 of 2 failed"),
        ("retry-minutes", 7, 0, accepted, "tried again in 7 minutes", "attempt 2 of 3 failed: no order"),
        ("adapters", {TASK: "summaries"}, {TASK: "another"}, send, "judged: 2 accepted",
         "another/judge/classification.md"),
        ("adapters", {TASK: "summaries"}, {TASK: "another"}, accepted, "order of summaries", "order of another"),
    ],
)  # fmt: skip
def test_a_knob_that_is_turned_acts_in_the_next_round(
    knob: str, first: object, then: object, each: Prepare, said_first: str, said_then: str, shared: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    project = Project(shutil.copytree(shared, tmp_path / "project", symlinks=True))
    if each is accepted:  # a judge that can be read
        shutil.copy2(project.root / f"recipes/summaries/{RUBRIC}", project.root / f"recipes/another/{RUBRIC}")
    params = yaml.safe_load((project.root / "params.yaml").read_text("utf-8"))
    fixed = {"min-score": 0.5, "min-new-samples": 1 if each is accepted else 99, "retry-minutes": 0}

    def turn(value: object) -> None:
        params["gate"] |= {**fixed, knob: value}
        (project.root / "params.yaml").write_text(yaml.safe_dump(params))

    rounds: list[int] = []

    def sleep(_: float) -> None:
        rounds.append(len(rounds))
        if len(rounds) == 2:
            raise KeyboardInterrupt
        print("the second round")
        turn(then)
        each(project, 10)

    def fail(_: Path, folder: Path, __: str) -> None:
        order = Order.model_validate_json((folder / "order.json").read_bytes())
        raise RunFailed(f"no order of {order.adapter}")

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("tuneline.retraining.watch.start", fail)
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    turn(first)
    each(project, 0)
    said = CliRunner().invoke(watch, ["--runner", "local", "--port", "0"]).output
    before, _, after = said.partition("the second round")
    assert said_first in before and said_then in after, said


def test_every_knob_is_turned() -> None:
    (mark,) = test_a_knob_that_is_turned_acts_in_the_next_round.pytestmark
    assert {case[0] for case in mark.args[1]} | OF_A_RUN == {
        field.alias for field in GateSettings.model_fields.values()
    }
