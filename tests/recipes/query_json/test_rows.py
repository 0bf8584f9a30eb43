"""The recipe's own rows: hand-written, labelled by the guide, and no test row a draw of the grammar."""

import json
import re

import jsonschema
import yaml

from tests.conftest import ROOT
from tuneline.generating.grammar import reference
from tuneline.recipe.texts import Template, replace

RECIPE = ROOT / "recipes" / "query_json"
# Words that join the parts of a query: a name or a topic that the grammar draws holds none of them.
JOINTS = {
    "from", "to", "by", "about", "on", "with", "in", "the", "for", "of", "at", "since", "before", "after", "during",
    "how", "many", "who", "what", "when", "where", "which", "why", "is", "are", "was", "did", "do", "does", "can",
    "show", "list", "find", "all", "every", "any", "me", "my", "i", "sum", "summarize", "recap", "only", "just",
    "and", "de", "du", "des", "la", "le", "les", "sur", "avec", "pour", "par", "depuis", "avant", "combien", "moi",
}  # fmt: skip


def source(name: str) -> list[dict]:
    return [json.loads(line) for line in (RECIPE / "source" / name).read_text("utf-8").splitlines()]


def template_patterns() -> dict[str, re.Pattern[str]]:
    """A pattern for each template: closed lists by their entries, names and topics by up to five words."""
    grammar = yaml.load((RECIPE / "sdg" / "grammar.yaml").read_text("utf-8"), yaml.CSafeLoader)
    lists = grammar["lists"]

    def filler(name: str) -> str:
        entries = lists[name]
        if any(isinstance(entry, str) for entry in entries):
            return r"(?P<open>\S+(?: \S+){0,4})"
        return "(?:" + "|".join(re.escape(entry["text"]) for entry in entries) + ")"

    patterns = {}
    for template in grammar["templates"]:
        query, out, at, opened = template["query"], "", 0, 0
        for match in Template.pattern.finditer(query):
            piece = filler(reference(match["braced"])[0])
            if "?P<open>" in piece:
                piece, opened = piece.replace("open", f"open{opened}"), opened + 1
            out += re.escape(query[at : match.start()]) + piece
            at = match.end()
        if re.search(r"\w", replace(query, lambda name: "")) or opened == 0:
            patterns[query] = re.compile(out + re.escape(query[at:]), re.IGNORECASE)
    return patterns


def test_no_test_query_is_a_draw_of_a_template() -> None:
    patterns = template_patterns()
    shared = {}
    for row in source("test.jsonl"):
        for template, pattern in patterns.items():
            match = pattern.fullmatch(row["query"].rstrip("?.! "))
            words = {
                w.strip(",").lower() for filled in (match.groupdict().values() if match else ()) for w in filled.split()
            }
            if match and not words & JOINTS:
                shared[row["query"]] = template
    assert len(patterns) > 350
    assert shared == {}


def test_rows_obey_the_schema_and_copy_their_words() -> None:
    validator = jsonschema.Draft202012Validator(json.loads((RECIPE / "schema.json").read_text("utf-8")))
    rows = {name: source(name) for name in ("train.jsonl", "test.jsonl")}
    assert len(rows["train.jsonl"]) >= 250
    assert len(rows["test.jsonl"]) >= 150
    queries = [row["query"] for part in rows.values() for row in part]
    assert len(queries) - len(set(queries)) <= 2  # "and in march?"; curate drops the copy in training
    for row in (row for part in rows.values() for row in part):
        validator.validate(row["data"])
        people = row["data"].get("filters", {}).get("participants", {})
        copied = [name for names in people.values() for name in names if name != "me"]
        for text in [*copied, row["data"].get("filter_query", "")]:
            assert text in row["query"], row
