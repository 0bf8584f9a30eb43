"""extract: rejects are kept and counted, and every way a recipe can be wrong ends in one clear line."""

import functools
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from stages.extract import main
from tests.conftest import ROOT
from tests.ending import end_line
from tests.recipe_folder import write_recipe
from tuneline.data.external import MIRROR
from tuneline.files import read_jsonl

GOOD = '{"prompt": "ask", "response": "answer"}\n'
OTHER = '{"prompt": "ask more", "response": "answer more"}\n'


def run(recipe: Path) -> Result:
    out = recipe / "out"
    return CliRunner().invoke(
        main,
        ["--recipe", str(recipe), "--out", str(out / "extract.jsonl"), "--rejects", str(out / "rejects.jsonl"),
         "--documents", str(out / "documents"),
         "--metrics", str(out / "extract.json"), "--state", str(recipe / "state"), "--engine", "local"],
    )  # fmt: skip


def read_rows(recipe: Path) -> list[dict]:
    return read_jsonl(recipe / "out/extract.jsonl")


def fails(result: Result, *parts: str) -> None:
    """Its last line says what is wrong and has all `parts`; no traceback."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    line = result.output.splitlines()[-1]
    assert line.startswith("Error: ")
    for part in parts:
        assert part in line


def test_rejects_are_kept_and_counted(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD + "{}\n" + OTHER + "nonsense\n"})
    result = run(recipe)
    assert result.exit_code == 0, result.output
    assert end_line(result.stderr) == "extract r 4 → 2 rows 2 refused"
    assert [row["source"]["line"] for row in read_rows(recipe)] == [1, 3]
    refused = read_jsonl(recipe / "out/rejects.jsonl")
    assert [(row["reason"], row["file"], row["line"]) for row in refused] == [
        ("unreadable", "train.jsonl", 2),
        ("unreadable", "train.jsonl", 4),
    ]
    assert json.loads((recipe / "out/extract.json").read_text()) == {"in": 4, "out": 2, "dropped": {"unreadable": 2}}
    assert f"refused {recipe}/source/train.jsonl:2: no known form" in result.output


def test_more_rejects_than_the_share_stop_the_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD + "{}\n{}\n"})
    fails(run(recipe), "2 of 3 rows refused, more than max-reject-share 0.5", "recipe.yaml; see", "rejects.jsonl")
    assert not (recipe / "out/extract.jsonl").exists()
    assert len(read_jsonl(recipe / "out/rejects.jsonl")) == 2


def test_a_key_that_is_half_a_sign_is_refused_like_any_other(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD + '{"\\ud83d": 1}\n'})
    assert run(recipe).exit_code == 0
    (row,) = read_jsonl(recipe / "out/rejects.jsonl")
    assert "no known form" in row["detail"]


def test_no_usable_row_stops_the_run(tmp_path: Path) -> None:
    fails(run(write_recipe(tmp_path / "r", {"train.jsonl": "\n"})), "no usable row")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD}, extract={"test": ["test.jsonl", "more.csv"]})
    fails(run(recipe), f"{recipe}/source has no test.jsonl, more.csv; correct recipe.yaml or add it")


def test_a_missing_source_folder_is_no_traceback(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r")
    (recipe / "source").rmdir()
    fails(run(recipe), "has no train.jsonl")


def test_rows_of_a_test_file_say_so(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD, "test.jsonl": OTHER}, extract={"test": ["test.jsonl"]})
    assert run(recipe).exit_code == 0
    assert [(row["source"]["file"], row.get("set")) for row in read_rows(recipe)] == [
        ("train.jsonl", None),
        ("test.jsonl", "test"),
    ]


def test_the_declared_encoding_is_used(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", extract={"encoding": "latin-1"})
    (recipe / "source/train.jsonl").write_bytes('{"prompt": "café", "response": "ok"}\n'.encode("latin-1"))
    assert run(recipe).exit_code == 0
    assert read_rows(recipe)[0]["messages"][0]["content"] == "café"


MEASURES = [
    ({"measures": "text"}, '{"text": "a"}', "the row is only text"),
    ({"measures": "bits"}, GOOD, "the row"),
    ({"measures": "labels", "labels": ["yes", "no"]}, '{"text": "a", "label": "perhaps"}', "the row"),
    ({"measures": "json", "intent": "type"}, '{"query": "a", "data": {"kind": 1}}', "the row"),
    ({"measures": "json", "intent": "type"}, GOOD, "the row"),
]


@pytest.mark.parametrize(("measures", "row", "says"), MEASURES)
def test_a_row_that_its_measures_cannot_read_is_refused_at_once(
    tmp_path: Path, measures: dict, row: str, says: str
) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": row.strip() + "\n"})
    settings = yaml.safe_load((recipe / "recipe.yaml").read_text()) | {"eval": measures}
    (recipe / "recipe.yaml").write_text(yaml.safe_dump(settings))
    (recipe / "schema.json").write_text("{}")
    result = run(recipe)
    fails(result, "no usable row")
    assert f"refused {recipe}/source/train.jsonl:1: {says}" in result.output
    assert [row["reason"] for row in read_jsonl(recipe / "out/rejects.jsonl")] == ["unmeasurable"]


def test_many_refusals_of_one_kind_are_one_line(tmp_path: Path) -> None:
    files = {"train.jsonl": GOOD * 5 + '{"prompt": "a", "response": "b", "note": "c"}\n' * 3 + "x\n"}
    result = run(write_recipe(tmp_path / "r", files))
    assert result.exit_code == 0
    assert "train.jsonl:6: nothing would be trained of 'note'; say in extract.columns" in result.output
    assert result.output.count("'note'") == 1
    assert "(and 2 more like it)" in result.output
    assert "-4 │ unreadable" in result.output


# recipe.yaml


def test_an_unknown_key_names_the_valid_ones(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD}, extract={"max-rejects": 1}, curate={"near": 1})
    fails(
        run(recipe),
        "extract.max-rejects: unknown key; valid keys are train, valid, test, form, fields, encoding, columns, kind",
        "curate.near: unknown key; valid keys are near-duplicate, same-group, contamination",
    )


def test_an_unknown_section_and_an_unknown_key_in_a_list_name_the_valid_ones(tmp_path: Path) -> None:
    strategy = {"kind": "grammar", "name": "g", "file": "g", "rows": 1, "lowercase": 0, "seed": 0, "temperature": 1}
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD}, sdg={"strategies": [strategy]})
    text = (recipe / "recipe.yaml").read_text() + "splits: {}\n"
    (recipe / "recipe.yaml").write_text(text)
    fails(
        run(recipe),
        "splits: unknown key; valid keys are extract, prefix, sdg, curate, trim, split, eval",
        "sdg.strategies.0.temperature: unknown key; valid keys are kind, name, file, rows, lowercase, seed",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file: input should be"),
        ("extract: [", "recipe.yaml: while parsing"),
        ("extract: {kind: pdf, train: [], test: [], max-reject-share: 2}", "extract: input tag 'pdf' found"),
    ],
)
def test_a_malformed_recipe_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    recipe = write_recipe(tmp_path / "r", {"train.jsonl": GOOD})
    (recipe / "recipe.yaml").write_text(content)
    fails(run(recipe), message)


def test_no_recipe_is_one_line(tmp_path: Path) -> None:
    fails(run(tmp_path), "recipe.yaml is missing; recipes/query_json has one to copy")


# Records with fields of their own

FIELDS = {"type": "object", "required": ["question", "topic"], "properties": {"topic": {"enum": ["a", "b"]}}}
FORM = {"user": "${question}", "assistant": ["<thinking>\n${reasoning}\n</thinking>", "${answer}"]}
RECORD = {"question": "Où ?", "answer": "Là.", "topic": "a", "reasoning": []}


def write_fields(folder: Path, *records: dict, **extract: object) -> Path:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    files = {"train.jsonl": lines, "fields.json": json.dumps(FIELDS)}
    return write_recipe(folder, files, extract={"form": FORM, "fields": "fields.json", **extract})


def test_a_record_is_put_into_words_and_keeps_its_fields(tmp_path: Path) -> None:
    recipe = write_fields(tmp_path / "r", RECORD, {**RECORD, "reasoning": ["donc"]})
    assert run(recipe).exit_code == 0
    bare, reasoned = read_rows(recipe)
    assert [message["content"] for message in bare["messages"]] == ["Où ?", "Là."]
    assert reasoned["messages"][-1]["content"] == "<thinking>\n- donc\n</thinking>\n\nLà."
    assert (bare["fields"], reasoned["fields"]["reasoning"]) == (RECORD, ["donc"])
    assert bare["group"] == reasoned["group"]


def test_a_record_that_its_schema_refuses_says_why(tmp_path: Path) -> None:
    recipe = write_fields(tmp_path / "r", RECORD, RECORD, {**RECORD, "topic": "z"}, {"topic": "a"})
    assert run(recipe).exit_code == 0
    topic, question = read_jsonl(recipe / "out/rejects.jsonl")
    assert (topic["line"], topic["detail"]) == (3, "$.topic 'z' is not one of ['a', 'b']")
    assert (question["line"], question["detail"]) == (4, "$ 'question' is a required property")


@pytest.mark.parametrize(
    ("extract", "says"),
    [
        ({"fields": "none.json"}, "source/none.json is missing; recipe.yaml names it"),
        ({"fields": "train.jsonl"}, "source/train.jsonl: Extra data"),
        ({"form": None}, "extract: value error, fields are only checked where there is a form"),
        ({"form": {**FORM, "assistant": []}}, "extract.form.assistant: list should have at least 1 item"),
        ({"form": {**FORM, "system": "x"}}, "extract.form.system: unknown key; valid keys are user, assistant"),
        ({"form": {**FORM, "user": "${qestion}"}}, "no usable row"),
    ],
)
def test_a_form_or_a_schema_that_is_wrong_is_one_line(tmp_path: Path, extract: dict, says: str) -> None:
    fails(run(write_fields(tmp_path / "r", RECORD, RECORD, **extract)), says)


def test_rows_of_a_valid_file_say_so(tmp_path: Path) -> None:
    files = {"train.jsonl": GOOD, "valid.jsonl": OTHER}
    recipe = write_recipe(tmp_path / "r", files, extract={"valid": ["valid.jsonl"]})
    assert run(recipe).exit_code == 0
    assert [row.get("set") for row in read_rows(recipe)] == [None, "valid"]


# External sources


def declare(folder: Path, url: str, content: str) -> Path:
    """A recipe whose only source is external: `content` has the declared hash."""
    external = {
        "licence": "CC0-1.0",
        "citation": "none",
        "files": {
            "train.jsonl": {
                "url": url,
                "sha256": hashlib.sha256(content.encode()).hexdigest(),
                "mirror": "set/rows.jsonl",
            }
        },
    }
    return write_recipe(folder, {"external.yaml": yaml.safe_dump(external)})


class Server(http.server.ThreadingHTTPServer):
    """Counts what it is asked for."""

    asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked += 1
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "served").mkdir()
    (tmp_path / "served/rows.jsonl").write_text(GOOD)
    handler = functools.partial(Handler, directory=str(tmp_path / "served"))
    with Server(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_an_external_file_is_downloaded_once(tmp_path: Path, server: Server) -> None:
    recipe = declare(tmp_path / "r", f"{server.url}/rows.jsonl", GOOD)
    for _ in range(2):
        result = run(recipe)
        assert result.exit_code == 0, result.output
        assert [row["source"] for row in read_rows(recipe)] == [{"file": "train.jsonl", "line": 1}]
    assert server.asked == 1


def test_an_external_file_that_is_not_there(tmp_path: Path, server: Server) -> None:
    recipe = declare(tmp_path / "r", f"{server.url}/gone.jsonl", GOOD)
    fails(run(recipe), f"{server.url}/gone.jsonl: 404", f"set {MIRROR} to a folder that has set/rows.jsonl")


def test_an_external_file_with_another_hash_is_refused_and_not_kept(tmp_path: Path, server: Server) -> None:
    recipe = declare(tmp_path / "r", f"{server.url}/rows.jsonl", OTHER)
    fails(run(recipe), f"{server.url}/rows.jsonl: SHA256 hash of downloaded file", "does not match the known hash")
    assert not (recipe / "out/extract.jsonl").exists()
    (tmp_path / "served/rows.jsonl").write_text(OTHER)
    assert run(recipe).exit_code == 0


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_address[1]
    fails(run(declare(tmp_path / "r", f"http://127.0.0.1:{port}/x", GOOD)), f"http://127.0.0.1:{port}/x: ", MIRROR)


def test_a_mirror_folder_serves_instead(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror/set").mkdir(parents=True)
    (tmp_path / "mirror/set/rows.jsonl").write_text(GOOD)
    monkeypatch.setenv(MIRROR, str(tmp_path / "mirror"))
    recipe = declare(tmp_path / "r", f"{server.url}/rows.jsonl", GOOD)
    assert run(recipe).exit_code == 0
    assert len(read_rows(recipe)) == 1
    assert server.asked == 0


@pytest.mark.parametrize(
    ("content", "message"), [(OTHER, "its SHA-256 is not the declared one"), (None, f"correct or unset {MIRROR}")]
)
def test_a_mirror_with_other_bytes_or_without_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
) -> None:
    (tmp_path / "mirror/set").mkdir(parents=True)
    if content:
        (tmp_path / "mirror/set/rows.jsonl").write_text(content)
    monkeypatch.setenv(MIRROR, str(tmp_path / "mirror"))
    fails(run(declare(tmp_path / "r", "http://127.0.0.1:9/x", GOOD)), "mirror/set/rows.jsonl", message)


def test_a_malformed_external_yaml_is_one_line(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", {"external.yaml": "files: {a: {url: x, sha256: short, mirror: y}}"})
    fails(run(recipe), "external.yaml: ", "sha256", "licence")


@pytest.mark.skipif(MIRROR not in os.environ, reason=f"{MIRROR} is not set")
def test_snips_is_read_whole(tmp_path: Path) -> None:
    recipe = tmp_path / "snips"
    recipe.symlink_to(ROOT / "recipes/snips")
    words = ["--recipe", str(recipe), "--state", str(tmp_path / "state"), "--engine", "local"]
    for option in ("out", "rejects", "metrics", "documents"):
        words += [f"--{option}", str(tmp_path / option)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    rows = read_jsonl(tmp_path / "out")
    assert (len(rows), sum(row.get("set") == "test" for row in rows)) == (14_484, 700)
    asked = "\n".join(row["messages"][0]["content"] for row in rows)
    assert "Perfection \N{SLICE OF PIZZA}" in asked  # two surrogates in UTF-8, in the source
    assert "A Mis Niños de 30" in asked
