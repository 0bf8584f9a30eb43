"""`tuneline new`: the recipe that it writes, params.yaml around it, and what it says of a file that is none yet."""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from datasets import Dataset, DatasetDict

from tests.conftest import ROOT
from tuneline.cli import main
from tuneline.data.sources import read_files
from tuneline.recipe.settings import read_recipe

PARAMS = """\
# Every knob
recipes: [other] # folders of recipes/

adapters: # one entry an adapter
  other:
    recipe: other # "quoted", as it stands
    base: 'models/tiny'

trim:
  max-tokens: 2048 # of a row
"""
QUEUES = ("hardware", "billing")
TICKETS = [(n, f"My ticket about the matter {n} is still open, please look.", QUEUES[n % 2]) for n in range(40)]


def write_base(folder: Path, *files: str) -> None:
    folder.mkdir(parents=True)
    for name in files or ("base.yaml", "config.json"):
        (folder / name).write_text("")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what `tuneline new` needs of a project."""
    write_base(tmp_path / "models/tiny")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> Result:
    return CliRunner().invoke(main, ["new", *words])


def write_lines(path: Path, *records: object) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def write_tickets(path: Path, header: str = "text;label") -> str:
    lines = [header, *(f"{text};{queue}" for _, text, queue in TICKETS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def section(root: Path, name: str, key: str) -> dict:
    return yaml.safe_load((root / f"recipes/{name}/recipe.yaml").read_text("utf-8"))[key]


def test_only_what_a_recipe_needs_is_written(root: Path) -> None:
    done = new("mine", "--from", write_tickets(root / "tickets.csv"))
    assert done.exit_code == 0, done.output
    files = sorted(str(path.relative_to(root / "recipes")) for path in (root / "recipes").rglob("*") if path.is_file())
    assert files == [f"mine/{name}" for name in ("recipe.yaml", "schema.json", "source/tickets.csv", "system.md")]
    recipe = read_recipe(root / "recipes/mine")
    assert len(read_files(root / "recipes/mine", recipe.extract, root).rows) == 40
    for line in (
        "40 rows of tickets.csv, 0 refused",
        "  form        40 rows of 2 messages",
        "  labels      hardware, billing",
        "  languages   en 100%",
        "  duplicates  0 rows stand there again, 0 questions have several answers",
        "  measures    answers are 2 labels: accuracy, macro F1, each label's own",
        "wrote recipes/mine and the adapter mine of params.yaml",
    ):
        assert line in done.output.replace(str(root) + "/", "").splitlines()
    assert max(map(len, done.output.splitlines())) <= 140  # the last names three commands


def test_params_keep_their_comments_and_get_lines_only(root: Path) -> None:
    assert new("mine", "--from", write_tickets(root / "tickets.csv")).exit_code == 0
    text = (root / "params.yaml").read_text("utf-8")
    lines = text.splitlines()
    kept = [line for line in PARAMS.splitlines() if "[other]" not in line]
    assert [line for line in lines if line in kept] == kept
    assert "recipes: [other, mine] # folders of recipes/" in lines
    known = yaml.safe_load(text)
    assert known["adapters"]["mine"] == {
        "recipe": "mine",
        "base": "models/tiny",
        "max-new-tokens": "auto",
        "quantization": "none",
        "train": {"learning-rate": 0.002, "epochs": 10, "batch-size": 8, "accumulation": 1, "evaluations": 10},
    }
    assert known["adapters"]["other"] == yaml.safe_load(PARAMS)["adapters"]["other"]


def test_the_projects_own_params_get_lines_only(root: Path) -> None:
    before = (ROOT / "params.yaml").read_text("utf-8")
    (root / "params.yaml").write_text(before, encoding="utf-8")
    assert new("mine", "--from", write_tickets(root / "tickets.csv")).exit_code == 0
    after = (root / "params.yaml").read_text("utf-8").splitlines()
    lost = [line for line in before.splitlines() if line not in after]
    assert [line.split(":")[0] for line in lost] == ["recipes"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("other", "--from", "tickets.csv"), "params.yaml has an adapter other already"),
        (("there", "--from", "tickets.csv"), "recipes/there is there already; choose another name, or remove it"),
        (("My Own", "--from", "tickets.csv"), "'My Own' is no name; write a-z, 0-9, _ and -"),
        (("no", "--from", "tickets.csv"), "'no' is no name: YAML reads it as bool"),
        (("1_000", "--from", "tickets.csv"), "'1_000' is no name: YAML reads it as int"),
        (("2026-13-40", "--from", "tickets.csv"), "'2026-13-40' is no name: YAML reads it as timestamp"),
        (("../x", "--from", "tickets.csv"), "'../x' is no name"),
        (
            ("mine", "--from", "tickets.csv", "--base", "models/big"),
            "there is no models/big/base.yaml; see models/tiny",
        ),
        (("mine", "--from", "tickets.csv", "--column", "text"), "--column text: not OWN=KEY"),
        (("mine", "--from", "tickets.csv", "--column", "text=words"), "words is no form's key"),
        (("mine", "--from", "empty.csv"), "empty.csv has no row"),
        (
            ("mine", "--from", "tickets.csv", "--column", "txt=text"),
            "no row of tickets.csv has 'txt'; correct --column",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(root: Path, words: tuple[str, ...], says: str) -> None:
    write_tickets(root / "tickets.csv")
    (root / "empty.csv").write_text("")
    (root / "recipes/there").mkdir()
    done = new(*words)
    assert done.exit_code == 1
    assert says in done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert [path.name for path in (root / "recipes").iterdir()] == ["there"]
    assert (root / "params.yaml").read_text("utf-8") == PARAMS


def test_rows_without_an_answer_are_told_as_such(root: Path) -> None:
    rows = [{"prompt": f"question {at}", "response": None if at % 3 else f"answer {at}"} for at in range(30)]
    done = new("mine", "--from", write_lines(root / "rows.jsonl", *rows))
    assert done.exit_code == 1
    assert "the first at rows.jsonl:2: 'response' is empty" in done.output
    assert "take them out: 5% of the rows may be refused" in done.output
    assert "reader.py" not in done.output


def command_in(output: str) -> list[str]:
    """The words of the command that is printed, as a shell has them."""
    shown = output.split("for example:\n")[1].split("\na column is one of")[0]
    return shlex.split(shown.replace("\\\n", " "))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Ticket ID;Subject of it;Body;Agent's name;Queue", "{0};matter {0};{1};Bo;{2}"),
        (";tweet;class", "{0};{1};{2}"),
        ("category,text", '{2},"{1}"'),
    ],
)
def test_a_refused_file_gets_a_command_that_works(root: Path, header: str, row: str) -> None:
    lines = [header, *(row.format(*ticket) for ticket in TICKETS)]
    (root / "my tickets.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = new("mine", "--from", "my tickets.csv")
    assert done.exit_code == 1
    assert "40 of 40 rows of my tickets.csv cannot be used" in done.output
    assert max(map(len, done.output.splitlines())) <= 100
    words = command_in(done.output)
    assert words[:5] == ["tuneline", "new", "mine", "--from", "my tickets.csv"]
    again = new(*words[2:])
    assert again.exit_code == 0, again.output
    assert "40 rows of my tickets.csv, 0 refused" in again.output
    assert section(root, "mine", "eval") == {"measures": "labels"}
    assert list(section(root, "mine", "extract")["columns"].values()).count("label") == 1


def test_the_base_is_in_the_command(root: Path) -> None:
    write_base(root / "models/big")
    done = new("mine", "--from", write_tickets(root / "a.csv", "text;kind"), "--base", "models/big")
    assert command_in(done.output)[3:5] == ["--base", "models/big"]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"prompt": "a", "chosen": [{"x": 1}], "rejected": "c", "extra": []}, "preference data"),
        ({"chosen": "a", "rejected": "b"}, "preference data"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "label": False},
         "preference data"),
        ({"prompt": "a <image>", "response": "b", "images": ["a.png"]}, "only text can be trained"),
        ({"messages": [{"role": "user", "content": "a"}]}, "there is nothing to learn"),
    ],
)  # fmt: skip
def test_no_command_is_told_that_would_train_what_is_wrong(root: Path, record: dict, says: str) -> None:
    done = new("mine", "--from", write_lines(root / "a.jsonl", record))
    assert done.exit_code == 1
    assert says in " ".join(done.output.split())
    assert "for example" not in done.output or "chosen=response" in done.output


def test_the_file_is_named_as_it_was_given(root: Path) -> None:
    (root / "a.json").write_text('[{"text": "a"}')
    done = new("mine", "--from", "a.json")
    assert done.output == "Error: a.json:1: the array is not closed: is the file cut?; correct the file\n"


def test_a_few_refused_rows_are_told_and_let_pass(root: Path) -> None:
    rows = [{"text": text, "label": queue} for _, text, queue in TICKETS]
    done = new("mine", "--from", write_lines(root / "a.jsonl", *rows, {"text": "one more", "label": ""}))
    assert "40 rows of a.jsonl, 1 refused" in done.output.replace(f"{root}/", "")
    assert "  refused     1 of them, the first at a.jsonl:41: 'label' is empty" in done.output
    assert section(root, "mine", "extract")["max-reject-share"] == 0.05


def test_refused_rows_are_told_by_kind_place_and_way_out(root: Path) -> None:
    rows = [{"text": text, "label": queue} for _, text, queue in TICKETS]
    lines = "".join(json.dumps(row) + ("," if at % 2 else "") + "\n" for at, row in enumerate(rows))
    (root / "a.jsonl").write_text('{"text": "one more", "label": ""}\n' + lines)
    done = new("mine", "--from", "a.jsonl")
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "Error: 21 of 41 rows of a.jsonl cannot be used",
        "20 of them, the first at a.jsonl:3: not JSON: Extra data (column 89: ',')",
        "1 of them, the first at a.jsonl:1: 'label' is empty",
        "correct a.jsonl, or take them out: 5% of the rows may be refused",
    ]


def test_rows_in_no_form_get_the_way_out(root: Path) -> None:
    done = new("mine", "--from", write_lines(root / "a.jsonl", *({"said": [{"n": n}]} for n in range(9))))
    assert "rows of another kind: write them in one of the forms, or give the recipe a reader.py" in done.output
    assert "for example" not in done.output


def test_the_encoding_may_be_told_and_stays(root: Path) -> None:
    rows = "".join(f"注文番号{n}はどこですか;確認します {n}\n" for n in range(20))
    for header, code in (("prompt;response\n", 0), ("frage;antwort\n", 1)):
        (root / "a.csv").write_bytes((header + rows).encode("cp932"))
        done = new("mine", "--from", "a.csv", "--encoding", "cp932")
        assert done.exit_code == code, done.output
        if code:
            shown = done.output.split("for example:\n")[1]
            assert shown.split()[:5] == ["tuneline", "new", "mine", "--encoding", "cp932"]
        else:
            recipe = root / "recipes/mine"
            first = read_files(recipe, read_recipe(recipe).extract, root).rows[0]
            assert first["messages"][0]["content"] == "注文番号0はどこですか"
            recipe.rename(root / "taken")
            (root / "params.yaml").write_text(PARAMS)
    assert (
        "correct `encoding` in recipe.yaml (--encoding of" in new("mine", "--from", "a.csv", "--encoding", "x").output
    )


def test_a_folder_of_hugging_face(root: Path) -> None:
    rows = [{"text": text, "label": queue} for _, text, queue in TICKETS]
    splits = {"train": rows[:30], "validation": rows[30:35], "test": rows[35:]}
    saved = DatasetDict({name: Dataset.from_list(part) for name, part in splits.items()})
    saved.save_to_disk(root / "theirs")
    (root / "theirs/.cache").mkdir()
    done = new("mine", "--from", "theirs")
    assert done.exit_code == 0, done.output
    assert "  sets        test 5, train 30, valid 5" in done.output
    assert section(root, "mine", "extract")["train"] == ["theirs"]
    assert not (root / "recipes/mine/source/theirs/.cache").exists()


def test_answers_of_objects_get_their_schema_and_their_measures(root: Path) -> None:
    rows = [{"prompt": f"q {n}", "response": {"app": ("mail", "chat")[n % 2], "n": n}} for n in range(10)]
    assert new("mine", "--from", write_lines(root / "a.jsonl", *rows)).exit_code == 0
    assert section(root, "mine", "eval") == {"measures": "json", "intent": "app"}
    schema = json.loads((root / "recipes/mine/schema.json").read_text("utf-8"))
    assert schema["properties"] == {"app": {"type": "string"}, "n": {"type": "number"}}
    assert schema["required"] == ["app", "n"]


def test_texts_alone_are_measured_by_bits(root: Path) -> None:
    done = new("mine", "--from", write_lines(root / "a.jsonl", *({"text": text} for _, text, _ in TICKETS)))
    assert "  form        40 texts without a question" in done.output
    assert section(root, "mine", "eval") == {"measures": "bits"}


def test_rows_that_are_not_labelled_yet_are_no_texts(root: Path) -> None:
    rows = [{"text": text, "label": queue if n % 4 else None} for n, text, queue in TICKETS]
    done = new("mine", "--from", write_lines(root / "a.jsonl", *rows))
    assert done.exit_code == 1
    assert "10 of them, the first at a.jsonl:1: 'label' is empty" in done.output


def test_rows_that_are_all_of_one_set_are_told(root: Path) -> None:
    (root / "theirs").mkdir()
    write_lines(root / "theirs/test.jsonl", *({"text": text, "label": queue} for _, text, queue in TICKETS))
    assert "  sets        test 40" in new("mine", "--from", "theirs").output


def test_params_may_name_no_recipe_and_no_adapter(root: Path) -> None:
    (root / "params.yaml").write_text("recipes:\nadapters:\ntrim: {max-tokens: 9}\n")
    done = new("mine", "--from", write_tickets(root / "tickets.csv"))
    assert done.exit_code == 0, done.exception
    known = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    assert (known["recipes"], list(known["adapters"])) == (["mine"], ["mine"])


@pytest.mark.parametrize("about", [{"id": 7}, {"split": "fold 3"}])
def test_what_a_row_says_wrongly_of_itself_may_go(root: Path, about: dict) -> None:
    rows = [{"text": text, "label": queue, **about} for _, text, queue in TICKETS]
    done = new("mine", "--from", write_lines(root / "a.jsonl", *rows))
    again = new(*command_in(done.output)[2:])
    assert again.exit_code == 0, again.output
    assert section(root, "mine", "extract")["columns"] == dict.fromkeys(about, "ignore")


@pytest.mark.parametrize(
    ("base", "written"),
    [
        ("models/big/", "models/big"),
        ("./models/big", "models/big"),
        ("{root}/models/big", "models/big"),
        ("models/far", "data/bases/far"),
        ("data/bases/far", "data/bases/far"),
    ],
)
def test_the_base_is_named_as_the_pipeline_wants_it(root: Path, base: str, written: str) -> None:
    write_base(root / "models/big")
    write_base(root / "models/far", "base.yaml")
    done = new("mine", "--from", write_tickets(root / "tickets.csv"), "--base", base.format(root=root))
    assert done.exit_code == 0, done.output
    assert yaml.safe_load((root / "params.yaml").read_text("utf-8"))["adapters"]["mine"]["base"] == written


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recipes: [a", "params.yaml: while parsing a flow sequence"),
        ("", "params.yaml is no mapping"),
        ("- recipes", "params.yaml is no mapping"),
        ("recipes: a\nadapters: {}\n", "params.yaml: recipes is a list of names, adapters a mapping by name"),
        (None, "there is no params.yaml here; go to the folder of the project"),
    ],
)
def test_params_that_cannot_be_read_are_one_line(root: Path, text: str | None, says: str) -> None:
    (root / "params.yaml").unlink() if text is None else (root / "params.yaml").write_text(text)
    done = new("mine", "--from", write_tickets(root / "tickets.csv"))
    assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
    assert done.output.startswith(f"Error: {says}")
