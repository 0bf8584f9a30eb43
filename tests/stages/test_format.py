"""format: token files that both trainers read, chat files that others read, the same bytes every time."""

import json
import re
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from stages.format import join_tokens, main
from tests.chat_templates import CHATML, DATE, HABITS, make_chat, make_tokenizer
from tests.conftest import ROOT
from tests.ending import end_line
from tuneline.files import read_jsonl, write_jsonl
from tuneline.models.base import read_base
from tuneline.recipe.forms import read_form
from tuneline.rendering.chat import IGNORED, Chat, Tokens, load_chat
from tuneline.rendering.lengths import answer_tokens, with_room
from tuneline.rendering.preamble import Preamble
from tuneline.rendering.tokens import read_tokens, write_tokenizer_name, write_tokens
from tuneline.rows import make_row

TINY = ROOT / "models/tiny"
SYSTEM = {"role": "system", "content": "Be brief."}
PREAMBLE = Preamble("Answer.", "Now:")


def row(asked: str, answer: str, *before: dict) -> dict:
    messages = [*before, {"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return make_row(read_form({"messages": messages}), "a.jsonl", 1)


SPLIT = {
    "train": [
        row("ask é", '{"a":"🍕"}'),
        row("more", "two\nlines", SYSTEM),
        row("again", "ok", *row("x", "y")["messages"]),
    ],
    "valid": [row("one", "1")],
    "test": [row("two", "2"), row("three", "3", SYSTEM)],
}


def run(
    folder: Path,
    split: dict[str, list[dict]] = SPLIT,
    base: Path = TINY,
    preamble: Preamble = PREAMBLE,
    most: str = "auto",
) -> Result:
    words = ["--split", folder / "split", "--base", base, "--metrics", folder / "format.json"]
    words += ["--chat", folder / "chat", "--tokens", folder / "tokens", "--preamble", folder / "preamble.json"]
    words += ["--max-new-tokens", most, "--engine", "local"]
    preamble.write(folder / "preamble.json")
    for name, rows in split.items():
        write_jsonl(folder / f"split/{name}.jsonl", rows)
    return CliRunner().invoke(main, list(map(str, words)))


def dressed(row: dict) -> list[dict]:
    return PREAMBLE.before(row["messages"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("format")
    result = run(folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def tiny() -> Chat:
    """The rendering under PREAMBLE."""
    return load_chat(read_base(TINY), PREAMBLE)


def test_the_token_files_hold_what_the_renderer_makes(made: Path, tiny: Chat) -> None:
    sets = read_tokens(made / "tokens", tiny)
    assert list(sets) == ["train", "valid"]
    for name, data in sets.items():
        assert data.column_names == ["input_ids", "labels"]
        read = [Tokens(one["input_ids"], one["labels"]) for one in data]
        assert read == tiny.encode(SPLIT[name])
    trained = [label for label in sets["valid"][0]["labels"] if label != IGNORED]
    assert tiny.tokenizer.decode(trained) == "1<|im_end|>"


def test_token_files_are_int32_and_of_any_length(tmp_path: Path, tiny: Chat) -> None:
    rows = [Tokens([1], [1]), Tokens([], []), Tokens([3, 2_000_000_000], [IGNORED, 4])]
    for name in ("train", "valid"):
        write_tokens(tmp_path, name, rows)
    write_tokenizer_name(tmp_path, tiny, TINY)
    data = read_tokens(tmp_path, tiny)["valid"]
    assert {name: feature.feature.dtype for name, feature in data.features.items()} == dict.fromkeys(
        ("input_ids", "labels"), "int32"
    )
    assert [Tokens(one["input_ids"], one["labels"]) for one in data] == rows


@pytest.mark.parametrize("sizes", [[1], [999, 2], [1000, 1000], [2500, 1, 1, 1800, 0, 700]])
def test_parts_of_a_token_file_are_joined_to_the_one_of_all(tmp_path: Path, sizes: list[int]) -> None:
    rows = [Tokens([number] * (number % 7), [IGNORED] * (number % 7)) for number in range(sum(sizes))]
    write_tokens(tmp_path, "all", rows)
    files = []
    for start, size in zip(accumulate(sizes, initial=0), sizes, strict=False):
        write_tokens(tmp_path, "part", rows[start : start + size])
        files.append((tmp_path / "part.parquet").read_bytes())
    join_tokens(files, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "all.parquet").read_bytes()


def test_a_token_file_says_nothing_but_the_tokens(made: Path) -> None:
    for name in ("train", "valid"):
        file = parquet.ParquetFile(made / f"tokens/{name}.parquet")
        assert file.metadata.metadata is None  # of pandas or of Arrow
        assert file.metadata.created_by == f"parquet-cpp-arrow version {version('pyarrow')}"


def test_mapping_over_the_tokens_leaves_no_file(made: Path, tiny: Chat) -> None:
    before = sorted(made.rglob("*"))
    for data in read_tokens(made / "tokens", tiny).values():
        assert len(data.map(lambda row: {"more": 1}).sort("more")) == len(data)
        assert data.cache_files == []
    assert sorted(made.rglob("*")) == before


def test_the_counts_are_those_of_the_tokens(made: Path, tiny: Chat) -> None:
    counts = json.loads((made / "format.json").read_text())
    for name in ("train", "valid"):
        rows = tiny.encode(SPLIT[name])
        assert counts[name] == {
            "rows": len(SPLIT[name]),
            "pieces": len(rows),
            "tokens": sum(len(row.ids) for row in rows),
            "trained_tokens": sum(label != IGNORED for row in rows for label in row.labels),
            "longest": max(len(row.ids) for row in rows),
        }


def test_another_tokenizer_or_template_is_refused(made: Path) -> None:
    assert len(read_tokens(made / "tokens", make_chat(HABITS["marked"]))["train"]) == 4
    more_tokens = Chat(make_tokenizer(extra_special_tokens=["<|more|>"]), DATE)
    other_template = Chat(make_tokenizer(CHATML), DATE)
    for other in (more_tokens, other_template):
        with pytest.raises(click.ClickException, match=r"another tokenizer or chat template .*; run `dvc repro`"):
            read_tokens(made / "tokens", other)


def test_the_preamble_that_trim_wrote_is_needed(tmp_path: Path) -> None:
    words = ["--split", tmp_path / "split", "--base", TINY, "--chat", tmp_path / "c", "--tokens", tmp_path / "t"]
    words += ["--metrics", tmp_path / "m", "--preamble", tmp_path / "none.json", "--max-new-tokens", "auto"]
    words += ["--engine", "local"]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert f"{tmp_path}/none.json is no preamble" in done.output


def test_two_runs_write_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 0

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    once, again = contents(made), contents(tmp_path)
    assert once == again
    assert sorted(name for name in once if not name.startswith(("split", "preamble"))) == [
        "chat/test.jsonl", "chat/train.jsonl", "chat/valid.jsonl", "format.json",
        "tokens/tokenizer.json", "tokens/train.parquet", "tokens/valid.parquet",
    ]  # fmt: skip


def test_chat_files_have_the_messages_and_nothing_of_the_pipeline(made: Path) -> None:
    for name, rows in SPLIT.items():
        assert read_jsonl(made / f"chat/{name}.jsonl") == [{"id": r["id"], "messages": dressed(r)} for r in rows]
    first, own, *_ = read_jsonl(made / "chat/train.jsonl")
    assert first["messages"][:2] == [
        {"role": "system", "content": "Answer."},
        {"role": "user", "content": "Now:\n\nask é"},
    ]
    assert own["messages"][0] == SYSTEM


def test_datasets_loads_the_chat_files(made: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    files = {name: str(made / f"chat/{name}.jsonl") for name in SPLIT}
    loaded = load_dataset("json", data_files=files, cache_dir=str(tmp_path))
    assert {name: list(data["messages"]) for name, data in loaded.items()} == {
        name: [dressed(one) for one in rows] for name, rows in SPLIT.items()
    }


def test_mlx_lm_loads_the_chat_files_and_makes_the_same_tokens(made: Path, tiny: Chat) -> None:
    datasets = pytest.importorskip("mlx_lm.tuner.datasets")
    sets = datasets.load_local_dataset(made / "chat", tiny.tokenizer, SimpleNamespace(mask_prompt=True))
    for name, data in zip(("train", "valid", "test"), sets, strict=True):
        assert isinstance(data, datasets.ChatDataset)
        for index, (*_, ours) in enumerate(tiny.pieces(SPLIT[name])):
            ids, offset = data.process(data[index])
            assert ids == [*ours.ids]
            # It trains the last answer alone, from where ours starts.
            assert all(label == token for label, token in zip(ours.labels[offset:-1], ids[offset:-1], strict=True))
            assert ours.labels[offset - 1] == IGNORED


def test_rows_of_only_text_stay_text(tmp_path: Path, tiny: Chat) -> None:
    text = make_row(read_form({"text": "only text"}), "a.jsonl", 1)
    assert run(tmp_path, {**SPLIT, "train": [text]}).exit_code == 0
    assert read_jsonl(tmp_path / "chat/train.jsonl") == [{"id": text["id"], "text": "only text"}]
    (one,) = read_tokens(tmp_path / "tokens", tiny)["train"]
    assert one["labels"] == one["input_ids"]


# What is refused


def base_with(folder: Path, template: str) -> Path:
    folder.mkdir()
    make_tokenizer(template).save_pretrained(folder)
    (folder / "base.yaml").write_text((TINY / "base.yaml").read_text())
    return folder


def test_a_prompt_unlike_the_training_is_refused_in_whichever_row(tmp_path: Path) -> None:
    # A system message makes this template think before it answers, but not in training.
    template = CHATML.replace(
        "assistant\\n' -}}", "assistant\\n' + ('<think>' if messages[0].role == 'system' else '') -}}"
    )
    base = base_with(tmp_path / "base", template)
    result = run(tmp_path, base=base, preamble=Preamble())
    assert result.exit_code == 1
    assert f"Error: row {SPLIT['train'][1]['id']}: the chat template's generation prompt differs" in result.output
    assert not (tmp_path / "tokens").exists()
    assert not (tmp_path / "chat").exists()


def test_rows_that_take_several_pieces_are_counted_and_told(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.stderr.startswith(
        "train: 1 of 3 rows are trained in 2 pieces, since their earlier turns are written otherwise once\n"
        "  more follows: each answer after what the model is given there\n"
    )
    once = run(tmp_path / "once", preamble=Preamble("Answer."))  # a prefix stands before the last question alone
    assert (once.exit_code, once.output.count("\n")) == (0, 1)
    assert re.fullmatch(r"format \S+ 4 rows → \d+ tokens \d+ of them trained, longest \d+", end_line(once.output))


def test_system_text_in_a_question_is_told(tmp_path: Path) -> None:
    refuses = "{%- if messages[0].role == 'system' -%}{{- raise_exception('none') -}}{%- endif -%}"
    base = base_with(tmp_path / "base", refuses + CHATML)
    result = run(tmp_path, base=base, preamble=Preamble("Answer."))
    assert result.output.startswith(
        "the base's chat template takes no system message: system text stands before the first question\n"
    )
    chat = load_chat(read_base(base), Preamble("Answer."))
    first = read_tokens(tmp_path / "tokens", chat)["train"][0]["input_ids"]
    assert "<|im_start|>user\nAnswer.\n\nask é<|im_end|>" in chat.tokenizer.decode(first)


def test_a_template_without_an_end_leaves_the_old_output(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 0
    before = (tmp_path / "tokens/train.parquet").read_bytes()
    result = run(tmp_path, base=base_with(tmp_path / "base", CHATML.replace("<|im_end|>", "")))
    assert result.exit_code == 1
    assert "Error: row" in result.output
    assert (tmp_path / "tokens/train.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "base.yaml is missing: a base is a folder with one"),
        ("context: 0\ndate: 2026-01-01\ntarget: {}\n", "context"),
        ("context: 1\ndate: 2026-01-01\ntarget: {}\nid: a/b\n", "id and revision go together"),
        ("context: 1\ndate: 2026-01-01\ntarget: {}\n", "no tokenizer"),
    ],
)
def test_a_wrong_base_is_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    (tmp_path / "base").mkdir()
    if content:
        (tmp_path / "base/base.yaml").write_text(content)
    result = run(tmp_path, base=tmp_path / "base")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert result.output.count("\n") == 1


def test_a_base_without_a_chat_template_is_one_line(tmp_path: Path) -> None:
    base = base_with(tmp_path / "base", CHATML)
    (base / "chat_template.jinja").unlink()
    result = run(tmp_path, base=base)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith(f"Error: {base}: its tokenizer has no chat template")
    assert "name it there (`template: chat.jinja`)" in result.output


def test_a_test_row_that_needs_more_tokens_than_an_answer_may_have_is_refused(tmp_path: Path, tiny: Chat) -> None:
    long = row("long", "a reference of some words, more than the others have")
    split = {**SPLIT, "test": [*SPLIT["test"], long]}
    (needed,) = answer_tokens(tiny, [long])
    result = run(tmp_path, split, most=str(needed - 1))
    assert result.output.splitlines(keepends=True)[-1] == (
        f"Error: {tmp_path}/split/test.jsonl:3: the reference of row {long['id']} has {needed} tokens with its end, "
        f"more than max-new-tokens {needed - 1} of params.yaml: write {with_room(needed)} there, or auto\n"
    )
    assert result.exit_code == 1
    assert not (tmp_path / "tokens").exists()
    assert run(tmp_path, split, most=str(needed)).exit_code == 0
    training = {**SPLIT, "train": [long]}  # only a test row is answered
    assert run(tmp_path, training, most="2").exit_code == 0
