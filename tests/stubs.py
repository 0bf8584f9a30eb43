"""Stages that load no model: for tests of what DVC, a watcher or a user does around them.

Each stage that loads one is seconds of CPU before its first step, and has tests of its own.
"""

from pathlib import Path

from tests.conftest import Project

START = 'if __name__ == "__main__":'
ANSWERS = """
def stub(test, out, **_):
    from tuneline.files import read_jsonl, write_jsonl

    rows = read_jsonl(test)
    write_jsonl(out, ({{"id": row["id"], "answer": row["messages"][{place}]["content"]}} for row in rows))
"""
TRAIN = """
def stub(tokens, base_folder, out, curves_folder, summary, rank, **_):
    from tuneline.files import whole_folder, write_json

    with whole_folder(out) as part:
        if {adapter!r}:
            shutil.copytree({adapter!r}, part, dirs_exist_ok=True)
        else:
            write_json(part / "adapter.json", {{"stub of": base_folder.as_posix(), "rank": rank}})
        shutil.copy2(tokens / "train.parquet", part)  # no two data sets make one adapter
    with whole_folder(curves_folder) as part:
        for loss in ("train_loss", "valid_loss"):
            (part / f"{{loss}}.tsv").write_text(f"step\\t{{loss}}\\n1\\t1.0\\n")
    write_json(summary, {{"valid_loss": 1 / rank}})
"""


def stub_models(project: Project, adapter: Path | None = None) -> None:
    """Has baseline say each question again, predict the references, and train_cuda train nothing.

    `adapter`: a folder of which train_cuda makes its adapter, with the training rows beside it.
    """
    stub_stage(project, "baseline", ANSWERS.format(place=-2))
    stub_stage(project, "predict", ANSWERS.format(place=-1))
    stub_stage(project, "train_cuda", TRAIN.format(adapter=str(adapter or "")))


def stub_stage(project: Project, name: str, stub: str) -> None:
    """`stub` is the text of a function of that name; it is called with what the stage's own command has read."""
    project.edit(f"stages/{name}.py", START, f"{stub}\n\nmain.callback = stub\n\n{START}")
