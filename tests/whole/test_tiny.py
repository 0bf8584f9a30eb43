"""The embedded base: small enough, whole, and made from no recipe's rows."""

import json
import sys

from tests.conftest import ROOT

TINY = ROOT / "models" / "tiny"
sys.path.insert(0, str(TINY))


def shipped_rows() -> list[str]:
    """The question of every row that a recipe ships."""
    asked = []
    for path in sorted((ROOT / "recipes").glob("*/source/*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            asked.append(row.get("query") or row.get("prompt") or row.get("input") or json.dumps(row))
    return asked


def test_it_fits_in_git() -> None:
    tracked = [p for p in TINY.iterdir() if p.suffix in (".safetensors", ".json", ".jinja", ".md", ".py", ".yaml")]
    assert sum(p.stat().st_size for p in tracked) <= 12 * 2**20


def test_no_row_of_a_recipe_is_in_its_text_or_tasks() -> None:
    """Rows of four words or more; shorter ones are made of everyday words."""
    import random

    import tasks

    text = tasks.Text()
    corpus = "\n".join(" ".join(document.split()).casefold() for document in text.documents)
    rng = random.Random(0)
    drawn = "\n".join(m["content"].casefold() for _ in range(20_000) for m in tasks.draw(rng, text))
    asked = [" ".join(row.split()).casefold() for row in shipped_rows()]
    assert len(asked) > 400
    assert not [row for row in asked if len(row.split()) >= 4 and (row in corpus or row in drawn)]


def test_its_maker_opens_nothing_outside_its_folder() -> None:
    """Paths come from HERE alone, and no text names the folder of the recipes."""
    for name in ("make.py", "tasks.py"):
        source = (TINY / name).read_text("utf-8")
        assert "recipes/" not in source
        assert '"recipes"' not in source
        assert ".parent.parent" not in source


def test_words_have_the_same_tokens_in_a_sentence_and_in_json() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    for name in ("Aïcha", "Nguyễn", "Q3 budget", "møte"):
        inside = tokenizer.encode(f'{{"from":["{name}"]}}', add_special_tokens=False)
        sentence = tokenizer.encode(f"mails from {name} today", add_special_tokens=False)
        alone = tokenizer.encode(name, add_special_tokens=False)
        for ids in (inside, sentence):
            assert any(ids[i : i + len(alone)] == alone for i in range(len(ids)))
    for text in ("Aïcha’s  œuvre\n\t— 12 €", "日本語 🎉"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_it_loads_as_a_llama_with_a_context_of_2048() -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(TINY)
    assert config.model_type == "llama"
    assert config.max_position_embeddings == 2048
    report = json.loads((TINY / "training.json").read_text("utf-8"))
    assert report["parameters"] < 6_000_000
    assert {"short", "long"} <= set(next(iter(report["loss"].values())))


def test_the_makers_batches_are_whole_and_repeatable() -> None:
    import make
    import tasks

    text = tasks.Text()
    tokenizer = make.make_tokenizer(text, seed=0).backend_tokenizer
    ids, targets, mask = make.make_batch(0, 0, tokenizer, text)
    again = make.make_batch(0, 0, tokenizer, text)
    assert ids.shape == targets.shape == mask.shape == (make.ROW_TOKENS // make.SHORT_ROW, make.SHORT_ROW)
    assert (ids == again[0]).all()
    long_ids, _, _ = make.make_batch(make.LONG_EVERY - 1, 0, tokenizer, text)
    assert long_ids.shape[1] == 2048
    chosen, labels = make.choose(targets, mask)
    assert len(chosen) == len(labels)
    assert len(chosen) % make.FILL == 0
    assert int((labels != make.IGNORED).sum()) == int(mask.sum())
