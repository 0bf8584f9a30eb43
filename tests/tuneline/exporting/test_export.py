"""`tuneline export`: each form is loaded by its own tool, from another folder, and answers as the adapter does here."""

import hashlib
import importlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import ROOT
from tests.full_disk import files_of_at_most
from tests.small_adapter import SYSTEM, write_small_adapter, write_test_rows
from tests.small_base import write_class_base, write_small_base
from tuneline.answering.predictor import open_adapter
from tuneline.cli import main
from tuneline.exporting import gguf, llama
from tuneline.exporting.commands import export
from tuneline.exporting.facts import check_base
from tuneline.exporting.sums import SUMS, folder_hash
from tuneline.files import write_json

NAMED = "models/small"
no_gguf = pytest.mark.skipif(
    not (gguf.converter() and llama.is_installed()), reason="the converter and llama.cpp: `make .venv/export`"
)


def lock(adapter: Path) -> dict:
    """What DVC would have written of the training."""
    made = {"path": f"adapters/{adapter.name}", "md5": folder_hash(adapter), "hash": "md5", "size": 1}
    cmd = "python -m stages.train_cuda --tokens data/dock/tokens --learning-rate 0.5 --rank 4"
    deps = [{"path": "data/dock/tokens", "md5": "0123abcd.dir"}, {"path": "tuneline/files.py", "md5": "44"}]
    trim = {"cmd": "python -m stages.trim --recipe recipes/quays --base b", "deps": [], "outs": []}
    predict = {"cmd": "python -m stages.predict --max-new-tokens 9"}
    train = {"cmd": cmd, "deps": deps, "outs": [made]}
    return {"stages": {"train@dock": train, "trim@dock": trim, "predict@dock": predict}}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an adapter `dock` of a relative path, its test rows, dvc.lock, evaluation and recipe."""
    root = tmp_path_factory.mktemp("a checkout")
    write_small_base(root / NAMED)
    before = Path.cwd()
    os.chdir(root)
    adapter = write_small_adapter(Path("adapters/dock"), Path(NAMED))
    write_test_rows(Path("data/dock/split/test.jsonl"))
    Path("dvc.lock").write_text(yaml.safe_dump(lock(adapter)), encoding="utf-8")
    write_json(Path("metrics/dock/eval.json"), {"base": {"exact": 0.0}, "tuned": {"exact": 0.5}})
    write_json(Path("metrics/dock/report.json"), {"rows": 4, "intervals": {"tuned": {"exact": [0.25, 0.75]}}})
    (root / "recipes/quays/source").mkdir(parents=True)
    (root / "recipes/quays/README.md").write_text("# quays: where a ship lies\n", encoding="utf-8")
    (root / "recipes/quays/source/external.yaml").write_text("licence: CC-BY-4.0\n", encoding="utf-8")
    os.chdir(before)
    return root


@pytest.fixture
def inside(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(checkout)
    return checkout


def run(*words: object, fails: bool = False) -> str:
    """What is said, in one line: it is folded for the terminal."""
    done = CliRunner().invoke(export, [str(word) for word in words])
    assert done.exit_code == int(fails), done.output
    return " ".join(done.output.split())


def head(folder: Path) -> tuple[dict, str]:
    """(the card's front matter, its text)."""
    _, front, text = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def check_sums(folder: Path) -> None:
    lines = (folder / SUMS).read_text("utf-8").splitlines()
    told = dict(reversed(line.split("  ")) for line in lines)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    assert set(told) == there
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in told.items())


@pytest.fixture(scope="module")
def merged(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("elsewhere") / "merged"
    before = Path.cwd()
    os.chdir(checkout)
    said = run("dock", "--to", "merged", "--out", out)
    os.chdir(before)
    assert "4 of 4 answers equal" in said and "4 of 4 prompts as they were trained" in said
    return out


def test_merged_weights_are_the_base_and_the_adapter(merged: Path, inside: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tuneline.backends.cuda import load_adapter, load_model
    from tuneline.models.base import read_base

    model, tokenizer = AutoModelForCausalLM.from_pretrained(merged), AutoTokenizer.from_pretrained(merged)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "où?"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    ours = load_adapter(load_model(read_base(Path(NAMED)), "none"), Path("adapters/dock"))
    with torch.inference_mode():
        assert torch.allclose(model(ids).logits, ours(ids).logits, atol=1e-5)
    assert model.generation_config.max_new_tokens == 9 and model.generation_config.do_sample is False


def test_the_card_and_the_hashes_of_an_export(merged: Path, checkout: Path) -> None:
    front, text = head(merged)
    assert front["library_name"] == "transformers" and front["license"] == "cc0-1.0"
    for told in (
        "where a ship lies",
        "`0123abcd.dir`",
        "learning-rate 0.5",
        "0.500 [0.250, 0.750]",
        "CC-BY-4.0",
        SYSTEM,
    ):
        assert told in text
    assert "files.py" not in text and "| 4 | 4 (1.00) |" in text
    check_sums(merged)
    written = b"".join(path.read_bytes() for path in merged.iterdir() if path.suffix != ".safetensors")
    assert str(checkout).encode() not in written and str(merged.parent).encode() not in written


def test_the_question_of_the_card_is_answered(
    merged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(merged)
    answered(head(merged)[1], capsys)


def answered(card: str, capsys: pytest.CaptureFixture) -> str:
    """What a card's own words print."""
    exec(card.split("```python\n")[1].split("```")[0], {})
    said = capsys.readouterr().out
    assert said
    return said


def test_the_same_adapter_gives_the_same_bytes(merged: Path, inside: Path, tmp_path: Path) -> None:
    run("adapters/dock", "--to", "merged", "--out", tmp_path / "again")
    assert (tmp_path / "again" / SUMS).read_bytes() == (merged / SUMS).read_bytes()


def test_peft_reads_the_export_and_the_adapter_from_any_folder(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoModelForCausalLM

    run("dock", "--to", "peft", "--out", tmp_path / "plain", "--rows", "2")
    monkeypatch.chdir(tmp_path)
    auto = AutoPeftModelForCausalLM.from_pretrained("plain")
    on_base = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(inside / NAMED), inside / "adapters/dock")
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        assert torch.equal(auto(ids).logits, on_base(ids).logits)
    assert json.loads(Path("plain/adapter_config.json").read_text("utf-8"))["base_model_name_or_path"] == str(
        inside / NAMED
    )
    front, _ = head(tmp_path / "plain")
    assert front["library_name"] == "peft"
    check_sums(tmp_path / "plain")
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (tmp_path / "plain").iterdir())


# What is refused


def test_a_folder_that_holds_something_else_is_left_alone(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("a thesis", encoding="utf-8")
    said = run("dock", "--to", "peft", "--out", tmp_path, fails=True)
    assert "--force" in said and [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_former_export_to_which_something_was_added_is_left_alone(inside: Path, tmp_path: Path) -> None:
    run("dock", "--to", "peft", "--out", tmp_path / "out", "--rows", 0)
    (tmp_path / "out/notes").mkdir()
    (tmp_path / "out/notes/mine").write_text("a thesis", encoding="utf-8")
    assert "(notes)" in run("dock", "--to", "peft", "--out", tmp_path / "out", "--rows", 0, fails=True)


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("adapters/dock", "would replace it"),
        ("adapters", "would replace it"),
        (".", "would replace it"),
        ("..", "would replace it"),
        ("adapters/dock/out", "stays as it is"),
        (f"{NAMED}/a/b", "stays as it is"),
        ("dvc.lock/out", "is not written"),
        ("/proc/out", "is not written"),
        ("/dev/null/out", "is not written"),
    ],
)
def test_where_nothing_is_to_be_put(out: str, told: str, inside: Path) -> None:
    """Whatever is forced."""
    before = sorted(inside.rglob("*"))
    words = ["--to", "peft", "--rows", "0", "--out", out, "--force"]
    done = CliRunner().invoke(main, ["export", "dock", *words])
    assert (done.exit_code, done.output.count("\n")) == (1, 1) and told in done.output, done.output
    assert sorted(inside.rglob("*")) == before


@pytest.mark.parametrize("form", ["merged", "mlx", "peft"])
def test_a_full_disk_leaves_what_was_there(form: str, inside: Path, tmp_path: Path) -> None:
    """It is full in the weights, in a copy of the base's, in the tokenizer."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    words = ["dock", "--rows", "0", "--force", "--to", form, "--out", str(tmp_path / "out")]
    with files_of_at_most(150_000):
        done = CliRunner().invoke(main, ["export", *words])
    assert done.exit_code == 1 and "is not written: " in done.output.splitlines()[-1], done.output
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


@pytest.mark.parametrize("form", ["peft", "merged", "mlx"])
def test_an_adapter_that_is_not_whole_or_of_another_base(form: str, inside: Path, tmp_path: Path) -> None:
    """Also where no row is compared."""
    bases = {"wide": {"hidden_size": 32}, "deep": {"num_hidden_layers": 3}}
    for name, changed in bases.items():
        if not Path(f"models/{name}").exists():
            write_small_base(Path(f"models/{name}"), **changed)

    def told(file: str, **changed: object) -> Callable[[Path], None]:
        return lambda folder: write_json(folder / file, json.loads((folder / file).read_text("utf-8")) | changed)

    spoiled: dict[str, list[Callable[[Path], None]]] = {
        "base": [told("adapter.json", base="models/wide"), told("adapter.json", base="models/deep"),
                 told("adapter_config.json", r=8)],
        "run this in the checkout": [told("adapter.json", base="models/gone")],
        "was trained on": [told("adapter_config.json", revision="0" * 40)],
        "system.md": [lambda folder: (folder / "system.md").unlink()],
        "schema.json": [lambda folder: (folder / "schema.json").unlink()],
        "adapter_model.safetensors": [lambda folder: (folder / "adapter_model.safetensors").unlink()],
        "adapter_config.json cannot be read": [lambda folder: (folder / "adapter_config.json").write_text("{")],
        "is no trained adapter": [lambda folder: (folder / "adapter.json").write_text("{")],
        "": [lambda folder: (folder / "adapter_model.safetensors").write_bytes(b""),
             lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"x" * 99)],
    }  # fmt: skip
    for says, spoil in ((says, one) for says, all_of in spoiled.items() for one in all_of):
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        shutil.copytree("adapters/dock", tmp_path / "a")
        spoil(tmp_path / "a")
        words = [str(tmp_path / "a"), "--to", form, "--rows", "0", "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(main, ["export", *words])
        assert (done.exit_code, done.output.count("\n")) == (1, 1) and says in done.output, done.output
        assert not (tmp_path / "out").exists()


def test_force_and_a_former_export_are_replaced(inside: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("a draft", encoding="utf-8")
    run("dock", "--to", "peft", "--out", out, "--rows", 0, "--force")
    assert not (out / "mine").exists()
    said = run("dock", "--to", "peft", "--out", out, "--rows", 0)
    assert "not compared: no row was to be asked" in said
    assert "Not compared" in head(out)[1]


def test_weights_that_answer_otherwise_are_refused(inside: Path, tmp_path: Path) -> None:
    words = ("dock", "--to", "merged", "--dtype", "bfloat16")
    said = run(*words, "--out", tmp_path / "out", fails=True)
    assert "refused" in said and "--dtype float32" in said and not (tmp_path / "out").exists()
    run(*words, "--out", tmp_path / "out", "--least-equal", 0)
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert config["dtype"] == "bfloat16"


def test_the_own_precision_of_a_base_gives_way_where_it_answers_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(tmp_path)
    base = write_small_base(Path("half"))
    AutoModelForCausalLM.from_pretrained(base, dtype="bfloat16").save_pretrained(base)
    write_small_adapter(Path("adapters/dock"), base)
    write_test_rows(Path("data/dock/split/test.jsonl"))
    said = run("dock", "--to", "merged", "--out", "out")
    assert "bfloat16" in said and "float32 is taken" in said
    assert json.loads(Path("out/config.json").read_text("utf-8"))["dtype"] == "float32"
    assert "what it was trained on is not known here" in head(Path("out"))[1]


def figures(folder: Path) -> list[tuple[str, float]]:
    """Of each line of the card's table: (against what, the largest difference)."""
    cells = [line.split(" | ") for line in head(folder)[1].splitlines() if "| the adapter on its base" in line]
    return [(row[1], float(row[4])) for row in cells]


def test_an_adapter_of_four_bits_is_merged_into_the_whole_base(tmp_path: Path, inside: Path) -> None:
    """What differs from the answers that it was measured by is what the 4 bits changed, and no more."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    adapter = write_small_adapter(tmp_path / "fine", Path(NAMED), quantization="4bit", prefix="Say:")
    words = ("--to", "merged", "--test", "data/dock/split/test.jsonl", "--rows", 2)
    said = run(adapter, *words, "--out", tmp_path / "out")
    assert "2 of 2 answers equal to the adapter on its base, float32" in said
    (whole, own), (few, other) = figures(tmp_path / "out")
    assert whole.endswith("float32") and few.endswith("in 4 bits (NF4), as it was trained") and own < 1e-3 < other
    assert "on its base in 4 bits (NF4), and stands here on the base in full precision" in head(tmp_path / "out")[1]

    bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    load, ids = AutoModelForCausalLM.from_pretrained, torch.arange(5, 60)[None]
    with torch.inference_mode():
        merged = load(tmp_path / "out")(ids).logits
        on_whole = PeftModel.from_pretrained(load(NAMED), adapter)(ids).logits
        on_few = PeftModel.from_pretrained(load(NAMED, quantization_config=bits, dtype="float32"), adapter)(ids).logits
    error = (on_whole - on_few).abs().max()
    assert (merged - on_whole).abs().max() < error / 100
    assert abs((merged - on_few).abs().max() - error) < error / 100


def test_four_bits_of_mlx_are_not_those_of_bitsandbytes(tmp_path: Path, inside: Path) -> None:
    adapter = write_small_adapter(tmp_path / "fine", Path(NAMED), quantization="4bit")
    told = json.loads((adapter / "adapter.json").read_text("utf-8"))
    write_json(adapter / "adapter.json", told | {"backend": "mlx"})
    run(adapter, "--to", "peft", "--test", "data/dock/split/test.jsonl", "--rows", 1, "--out", tmp_path / "out")
    (_, own), (few, other) = figures(tmp_path / "out")
    assert few.endswith("in 4 bits of mlx, as it was trained") and own < other
    assert "on its base in 4 bits of mlx" in head(tmp_path / "out")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nobody", "--to", "peft"), "dock"),
        (("recipes", "--to", "peft"), "no adapter"),
    ],
)
def test_what_there_is_none_of(words: tuple, told: str, inside: Path, tmp_path: Path) -> None:
    said = run(*words, "--out", tmp_path / "out", fails=True)
    assert told in said and not (tmp_path / "out").exists()


def test_rows_that_are_missing_are_told(inside: Path, tmp_path: Path) -> None:
    adapter = write_small_adapter(tmp_path / "lone", Path(NAMED))
    said = run(adapter, "--to", "peft", "--out", tmp_path / "out")
    assert "dvc pull data/lone/split/test.jsonl" in said


def test_a_named_file_without_a_row_is_told(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    words = ("dock", "--to", "peft", "--test", tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert f"{tmp_path}/rows.jsonl has no row to compare by" in run(*words, fails=True)


ROW = {"messages": [{"role": "user", "content": "où?"}, {"role": "assistant", "content": "ici"}]}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": ROW["messages"][:1]}, ":2: no test row: "),
        ({"messages": []}, ":2: no test row: "),
        ({"messages": "x"}, ":2: no test row: "),
        ({"messages": [{"role": "user"}, ROW["messages"][1]]}, ":2: no test row: "),
        ([1], ":2: no test row: "),
        ("où?", ":2: no test row: "),
        ({"prompt": "où? " * 900, "response": "ici"}, "test row 2 has "),
    ],
)
def test_rows_of_a_named_file_that_cannot_be_asked_are_told(
    row: object, told: str, inside: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(ROW)}\n{json.dumps(row)}\n", encoding="utf-8")
    words = ("dock", "--to", "peft", "--test", tmp_path / "rows.jsonl")
    assert told in run(*words, "--out", tmp_path / "out", fails=True)
    run(*words, "--out", tmp_path / "out", "--rows", 0)


def test_rows_of_a_named_file_come_in_any_form(inside: Path, tmp_path: Path) -> None:
    forms = [ROW, {"prompt": "où?", "response": "ici"}, {"instruction": "où?", "output": "ici", "more": 1}]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(form)}\n" for form in forms), encoding="utf-8")
    said = run("dock", "--to", "peft", "--test", tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert "3 of 3 answers equal" in said


# Other classes, through the same door


@pytest.mark.parametrize("kind", ["gemma3", "mistral3", "phi3"])
@pytest.mark.parametrize("variant", ["plain", "dora"])
def test_other_classes_are_exported(
    kind: str, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Each by the words of its card, from another folder, whatever the base's own way to answer."""
    monkeypatch.chdir(tmp_path)
    base = write_class_base(Path("base"), kind)
    drawn = {"do_sample": True, "temperature": 9.0, "repetition_penalty": 1.5, "max_length": 30, "eos_token_id": [2, 7]}
    write_json(base / "generation_config.json", drawn)
    said = []
    write_small_adapter(Path("adapters/dock"), base, variant=variant)
    write_test_rows(Path("rows.jsonl"), 2)
    for form in ("merged", "peft"):
        monkeypatch.chdir(tmp_path)
        assert "2 of 2 answers equal" in run("dock", "--to", form, "--test", "rows.jsonl", "--out", form)
        monkeypatch.chdir(tmp_path / form)
        said.append(answered(head(Path())[1], capsys))
    assert said[0] == said[1]


# mlx-lm


def test_mlx_lm_answers_by_the_export(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Also to the command of its card."""
    wanted = open_adapter(Path("adapters/dock"), False).answer(
        [[{"role": "user", "content": "your question"}]], 1, 9, ""
    )
    said = run("dock", "--to", "mlx", "--out", tmp_path / "out")
    assert "4 of 4 answers equal" in said and "by mlx-lm" in said and "4 of 4 prompts" in said
    told, text = head(tmp_path / "out")
    assert told["library_name"] == "mlx" and '--system-prompt "$(cat system.md)"' in text
    assert (tmp_path / "out/base/tokenizer.json").is_file()
    check_sums(tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    command = text.split("```sh\n")[1].split("\n```")[0].replace("$(cat system.md)", SYSTEM)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    importlib.import_module("mlx_lm.generate").main()
    assert capsys.readouterr().out.split("==========")[1].strip("\n") == wanted[0].strip("\n")


# GGUF


@no_gguf
def test_llama_cpp_answers_by_the_gguf_file(inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an adapter with a name of words, as DVC leaves it by links to its cache, read-only; and past a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    adapter, out = tmp_path / "L'été n° 1", tmp_path / "an out"
    adapter.mkdir()
    for file in Path("adapters/dock").iterdir():
        cached = Path(shutil.copyfile(file, tmp_path / file.name))
        cached.chmod(0o444)
        (adapter / file.name).symlink_to(cached)
    words = ("--to", "ollama", "--outtype", "f32", "--rows", 2, "--least-equal", 0.5)
    said = run(adapter, *words, "--out", out, "--test", "data/dock/split/test.jsonl")
    assert "by llama.cpp" in said and "2 of 2 prompts" in said
    modelfile = (out / "Modelfile").read_text("utf-8")
    assert modelfile.startswith(f"FROM ./{adapter.name}.f32.gguf\n") and f'SYSTEM """{SYSTEM}"""' in modelfile
    told, text = head(out)
    assert (out / f"{adapter.name}.f32.gguf").is_file() and told["library_name"] == "gguf"
    assert "\nollama create l-t-n-1 -f Modelfile\nollama run l-t-n-1 " in text
    assert not any(path.is_symlink() for path in out.iterdir())
    check_sums(out)


@pytest.mark.parametrize(
    ("then", "now", "fits"),
    [(["1"], ["1"], True), (["1"], ["2"], False), (["1"], ["2", "1"], True), ([], ["2"], True), (["1"], [], True)],
)
def test_a_version_is_not_put_on_a_base_that_has_changed(then: list[str], now: list[str], fits: bool) -> None:
    """As the locks say it; where one of them is silent, nothing is known."""

    def reading(hashes: list[str]) -> Callable[[str], str | None]:
        stages = {f"train@{md5}": {"deps": [{"path": NAMED, "md5": md5}, {"path": "b"}]} for md5 in hashes}
        return lambda path: yaml.safe_dump({"stages": stages}) if path == "dvc.lock" else None

    with nullcontext() if fits else pytest.raises(click.ClickException, match="dock v1 was trained on another"):
        check_base("dock v1", NAMED, reading(then), reading(now))


@no_gguf
def test_a_tokenizer_that_llama_cpp_has_no_name_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = write_small_base(Path("base"))
    tokenizer = json.loads((base / "tokenizer.json").read_text("utf-8"))
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"..|\s+"
    (base / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    write_small_adapter(Path("adapters/dock"), base)
    said = run("dock", "--to", "gguf", "--out", "out", fails=True)
    assert "export it as merged" in said and not Path("out").exists()


def test_a_converter_that_is_not_there_is_named(inside: Path, tmp_path: Path) -> None:
    if gguf.converter():
        pytest.skip("it is here")
    said = run("dock", "--to", "gguf", "--out", tmp_path / "out", fails=True)
    assert ".venv/export" in said and not (tmp_path / "out").exists()


def test_mlx_lm_that_is_not_there_is_named(inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlx", "mlx_lm"):
        monkeypatch.setitem(sys.modules, name, None)  # Python then has no such module
    said = run("dock", "--to", "mlx", "--out", tmp_path / "out", fails=True)
    assert "mlx-lm is not installed: `make .venv/mlx` brings it" in said
    assert not list(tmp_path.iterdir())


def test_every_form_is_a_choice() -> None:
    from tuneline.exporting.export import FORMS, WRITERS

    assert set(FORMS) == set(WRITERS) == set(export.params[1].type.choices)
    assert (ROOT / "docs/export.md").is_file()
