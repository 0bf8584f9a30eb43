"""`tuneline doctor`: three rows as they are trained, every fault that needs no model, and nothing changed."""

import json
import re
import shutil
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from tests.conftest import Project
from tuneline.cli import main
from tuneline.files import read_jsonl
from tuneline.starting.doctor import SHOWN, painted, shortened, three_rows


@pytest.fixture(scope="module")
def project(ran_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("doctor") / "a copy"
    shutil.copytree(ran_project.root, root, symlinks=True)
    return Project(root)


@pytest.fixture
def doctor(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    return lambda adapter: CliRunner().invoke(main, ["doctor", adapter])


def changed(project: Project) -> tuple[str, str]:
    return project.run("git", "status", "--porcelain").stdout, project.run("dvc", "status").stdout


def files(project: Project) -> dict[str, int]:
    folders = ("data", "metrics", "adapters", "recipes")
    paths = [path for name in folders for path in (project.root / name).rglob("*") if path.is_file()]
    return {str(path): path.stat().st_mtime_ns for path in paths}


def test_three_rows_as_they_are_trained_and_nothing_changed(project: Project, doctor: Callable[[str], Result]) -> None:
    before, status = files(project), changed(project)
    done = doctor("query_json")
    assert done.exit_code == 0, done.output
    shown = re.findall(r"^train\.jsonl:\d+, (\d+) tokens$", done.output, re.MULTILINE)
    assert len(shown) == 3
    assert sorted(map(int, shown)) == list(map(int, shown))
    trained = re.findall("⟦(.*?)⟧", done.output, re.DOTALL)
    assert len(trained) == 3
    for answer in trained:
        assert set(json.loads(answer.removesuffix("<|im_end|>"))) >= {"type"}
    assert done.output.count("  · the system prompt stands before it") == 3
    assert re.search(r"^query_json: train \d+ rows of \d+ tokens \(longest \d+\), valid .*, test 6 rows$",
                     done.output, re.MULTILINE)  # fmt: skip
    assert files(project) == before
    assert changed(project) == status


def dangling(schema: str) -> str:
    return json.dumps({**json.loads(schema), "properties": {"filters": {"$ref": "#/$defs/nowhere"}}})


@pytest.mark.parametrize(
    ("path", "edit", "says"),
    [
        ("params.yaml", lambda text: text.replace('"max-new-tokens": "auto"', '"max-new-tokens": 16'),
         r"test\.jsonl:\d+: the reference of row \w+ has \d+ tokens with its end, more than max-new-tokens 16"),
        ("recipes/query_json/recipe.yaml", lambda text: re.sub("(?m)^prefix:.*", "prefix: {nobody: x}", text),
         r"recipes/query_json/recipe\.yaml: prefix: there is no adapter nobody$"),
        ("recipes/query_json/schema.json", dangling, r"schema\.json.*nowhere"),
        ("recipes/query_json/source/train.jsonl", lambda text: '{"query": "a", "data": "no object"}\n' * 60,
         "60 of 66 rows refused, more than max-reject-share"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(
    project: Project, doctor: Callable[[str], Result], path: str, edit: Callable[[str], str], says: str
) -> None:
    file = project.root / path
    text = file.read_text("utf-8")
    file.write_text(edit(text), encoding="utf-8")
    try:
        done = doctor("query_json")
    finally:
        file.write_text(text, encoding="utf-8")
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    errors = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert re.search(says, errors[0]), errors


def test_the_file_that_a_fault_names_is_there(project: Project, doctor: Callable[[str], Result]) -> None:
    file = project.root / "recipes/query_json/system.md"
    text = file.read_text("utf-8")
    file.write_text(text + "This is said again and again. " * 2000, encoding="utf-8")
    try:
        done = doctor("query_json")
    finally:
        file.write_text(text, encoding="utf-8")
    found = re.search(r"^Error: no row of (\d+) is left: \1 over-long, with .*; see (\S+)$", done.output, re.MULTILINE)
    assert found, done.output
    assert len(read_jsonl(project.root / found[2])) == int(found[1])
    assert doctor("query_json").exit_code == 0
    assert not (project.root / ".tuneline/doctor/query_json").exists()


def test_an_adapter_that_is_not_there_is_one_line(doctor: Callable[[str], Result]) -> None:
    done = doctor("nobody")
    assert (done.exit_code, done.output) == (1, "Error: params.yaml has no adapter nobody; it has query_json\n")


def test_what_is_trained_is_marked_and_long_texts_lose_their_middle() -> None:
    assert re.sub("\x1b.*?m", "", painted("ask: yes.", [(5, 8)])) == "ask: ⟦yes⟧."
    assert shortened("a log: \x1b[31mred\x1b[2J\r\n\tnext\x9b") == "a log: ␛[31mred␛[2J␍\n\tnext�"
    assert shortened("x" * SHOWN) == "x" * SHOWN
    assert shortened("a" * SHOWN + "b" * SHOWN) == f"{'a' * 1000} [… {SHOWN} characters …] {'b' * 1000}"


class Sized:
    """A renderer whose texts are as long as they are."""

    def render(self, row: dict) -> list[tuple[str, list]]:
        return [(row["text"], [])]


@pytest.mark.parametrize(("sizes", "shown"), [([5, 1, 3, 9], [1, 5, 9]), ([2, 2], [2, 2]), ([4], [4])])
def test_the_shortest_the_middle_and_the_longest(sizes: list[int], shown: list[int]) -> None:
    rows = [{"text": "x" * size} for size in sizes]
    assert [len(row["text"]) for row in three_rows(rows, Sized())] == shown
