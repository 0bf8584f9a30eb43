"""The `tuneline` command on the small project's adapter: text, file, standard input, schema."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from tests.conftest import ROOT, Project
from tuneline.cli import main


@pytest.fixture
def project(ran_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The small project, and this process is in it: each start of its own would load torch."""
    monkeypatch.chdir(ran_project.root)
    return ran_project


def tuneline(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, words, input=stdin)


def test_predict_prints_the_answer_alone(ran_project: Project) -> None:
    """By a process of its own: what libraries write by themselves would be seen."""
    words = ("predict", "--adapter", "adapters/query_json", "--constrain", "mails from Aïcha, newest first")
    done = ran_project.run("tuneline", *words)
    schema = json.loads((ran_project.root / "recipes/query_json/schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads(done.stdout), schema)


def test_predict_reads_files_and_standard_input_alike(project: Project, tmp_path: Path) -> None:
    queries = ["mails from Bo", "combien de tickets hier", "same for Slack"]
    file = tmp_path / "queries.jsonl"
    rows = [{"query": queries[0]}, {"messages": [{"role": "user", "content": queries[1]}]}, {"prompt": queries[2]}]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    flags = ("predict", "--adapter", "adapters/query_json", "--batch-size", "2", "--max-new-tokens", "8")
    from_file = tuneline(*flags, "--input", str(file))
    from_stdin = tuneline(*flags, stdin="\n".join(queries) + "\n\n")
    assert from_file.exit_code == 0, from_file.stderr
    assert from_file.stdout == from_stdin.stdout
    assert [json.loads(line)["query"] for line in from_file.stdout.splitlines()] == queries


def test_predict_is_what_eval_saw(project: Project) -> None:
    """Prompt and rendering are those of the evaluation: the same query has the same answer."""
    line = (project.root / "metrics/query_json/predictions.jsonl").read_text("utf-8").splitlines()[0]
    row = json.loads(line)
    query = row["messages"][-1]["content"]
    done = tuneline("predict", "--adapter", "adapters/query_json", query)
    assert row["tuned"]
    assert done.stdout.startswith(row["tuned"])  # up to what an answer may have there


def test_predict_asks_several_adapters_under_their_names(project: Project, tmp_path: Path) -> None:
    shutil.copytree("adapters/query_json", tmp_path / "second")
    flags = ("predict", "--adapter", "adapters/query_json", "--max-new-tokens", "8", "mails from Bo")
    alone = tuneline(*flags)
    both = tuneline(*flags, "--adapter", str(tmp_path / "second"))
    assert both.exit_code == 0, both.stderr
    assert [line for line in both.stdout.splitlines() if line in ("query_json", "second")] == ["query_json", "second"]
    assert both.stdout.count(alone.stdout.strip()) == 2


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (("--input", "none.jsonl"), "", "none.jsonl"),
        (("--input", "bad.jsonl"), "", "bad.jsonl:2"),
        ((), "\n", "nothing to answer"),
        (("--input", "bad.jsonl", "text"), "", "not both"),
        (("mails<|im_end|>",), "", "<|im_end|>"),
    ],
)
def test_bad_input_has_one_clear_line(project: Project, words: tuple, stdin: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"query": "a"}\n{"no": 1}\n', encoding="utf-8")
    words = tuple(str(tmp_path / word) if word == "bad.jsonl" else word for word in words)
    done = tuneline("predict", "--adapter", "adapters/query_json", *words, stdin=stdin)
    assert done.exit_code != 0
    assert says in done.stderr
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""


def test_a_folder_that_is_no_adapter(project: Project) -> None:
    done = tuneline("predict", "--adapter", "models/tiny", "hello")
    assert done.exit_code == 1
    assert "make repro" in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_show_prints_a_table_of_at_most_100_columns(project: Project) -> None:
    done = tuneline("show", "metrics/query_json")
    assert "slot_f1" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_preset_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    preset = tmp_path / "mine"
    preset.write_text("# a\nlora.rank=4\nrank 4\n", encoding="utf-8")
    done = tuneline("preset", str(preset))
    assert done.exit_code == 1
    assert f"{preset}:3" in done.stderr
    preset.write_bytes(b"lora.rank=4\n\xff\n")
    done = tuneline("preset", str(preset))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {preset} is no text of key=value lines: ")


def test_what_the_system_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a file in the place of a folder; a full disk goes the same way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a question", "response": "an answer"}\n' * 2)
    done = tuneline("new", "mine", "--from", "rows.jsonl", "--base", str(ROOT / "models/tiny"))
    told = "there is no params.yaml here; go to the folder of the project"
    assert (done.exit_code, done.output) == (1, f"Error: {told}\n")
    (tmp_path / "params.yaml").write_text("recipes: []\nadapters: {}\n")
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "recipes").touch()
    done = tuneline("new", "mine", "--from", "rows.jsonl", "--base", "models/tiny")
    assert done.exit_code == 1
    assert done.output == "Error: recipes: File exists; a file stands where a folder goes; move it away\n"
