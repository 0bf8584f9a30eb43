"""The tables of the documentation that metrics/ has the figures of, written between their marks.

    python docs/make_figures.py

A table stands between `<!-- figures: NAME -->` and `<!-- end -->`; a test holds them equal to metrics/.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/benchmarks.md")
MARKED = re.compile(r"(<!-- figures: ([\w ]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
Column = tuple[str, Callable[[str], str]]  # its title, and what stands there for a measure


def table(left: str, columns: Sequence[Column], rows: dict[str, str]) -> str:
    """`rows`: label → measure."""
    lines = [[left, *(title for title, _ in columns)], ["---", *("---:" for _ in columns)]]
    lines += [[label, *(cell(measure) for _, cell in columns)] for label, measure in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def read(root: Path, adapter: str, name: str) -> Any:
    return json.loads((root / "metrics" / adapter / name).read_text("utf-8"))


def shown(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def side(root: Path, adapter: str, which: str, interval: bool = False, digits: int = 3) -> Callable[[str], str]:
    """A column of base or tuned, with its interval if wanted."""
    figures = read(root, adapter, "eval.json")[which]
    intervals = read(root, adapter, "report.json")["intervals"][which]

    def cell(measure: str) -> str:
        ends = f" [{', '.join(shown(end, digits) for end in intervals[measure])}]" if interval else ""
        return shown(figures[measure], digits) + ends

    return cell


def group(root: Path, adapter: str, by: str, which: str) -> Callable[[str], str]:
    """A column of one group of the test rows, tuned."""
    figures = read(root, adapter, "report.json")[f"per_{by}"]["tuned"][which]
    return lambda measure: shown(figures[measure])


def query_json(root: Path) -> str:
    wanted = {"json_valid": "≥ 0.98", "schema_valid": "≥ 0.97", "intent_accuracy": "≥ 0.90", "slot_f1": "≥ 0.70"}
    columns = []
    for base, adapter in (("tiny", "query_json"), ("SmolLM2", "query_json_smollm2")):
        columns += [(f"{base}, {which}", side(root, adapter, which, which == "tuned")) for which in ("base", "tuned")]
    columns += [("wanted of tiny", lambda measure: wanted.get(measure, ""))]
    rows = {"JSON valid": "json_valid", "schema valid": "schema_valid", "intent accuracy": "intent_accuracy"}
    return table("measure", columns, {**rows, "slot F1": "slot_f1", "exact match": "exact_match"})


def two_bases(root: Path) -> str:
    measures = {"intent": "intent_accuracy", "slot F1": "slot_f1", "exact match": "exact_match"}
    bases = {
        "`models/tiny`, by `make repro` | 5.6 M": "query_json",
        "SmolLM2-135M-Instruct, as by `make real` | 135 M": "query_json_smollm2",
    }
    lines = ["| base | parameters | " + " | ".join(measures) + " |", "|---|---:|---:|---:|---:|"]
    for base, adapter in bases.items():
        sides = [side(root, adapter, which, digits=2) for which in ("base", "tuned")]
        cells = (" → ".join(cell(measure) for cell in sides) for measure in measures.values())
        lines.append(f"| {base} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def french_admin(root: Path) -> str:
    columns = []
    for base, adapter in (("tiny", "french_admin"), ("Gemma", "french_admin_gemma3")):
        columns += [(f"{base}, base", side(root, adapter, "base")), (f"{base}, tuned", side(root, adapter, "tuned"))]
        columns += [(name, group(root, adapter, "transfer", name)) for name in ("far", "near")]
    rows = {
        "score, 0 to 10": "score",
        "law, 0 to 10": "law",
        "completeness, 0 to 10": "completeness",
        "conduct": "conduct",
        "share good": "good_share",
        "right behaviour": "behavior_accuracy",
        "asks for every missing fact, and in the right way": "clarification_accuracy",
        "missing facts asked for": "facts_asked",
        "needless questions an answer": "needless_asked",
        "refuses, or is no language": "refusal_rate",
        "invents a figure": "hallucination_rate",
    }
    return table("measure", columns, rows)


READERS = ("eli5", "intuitive", "executive")


def papers(root: Path, base: str = "") -> str:
    """`base`: how the adapters' names end."""
    sides = [(name, which) for name in READERS for which in ("base", "tuned")]
    columns = [(f"{name} {which}", side(root, name + base, which, digits=2)) for name, which in sides]
    rows = {
        "rule kept, share of checks": "rule",
        "every check holds": "rule_kept",
        "all parts there": "fields_present",
        "no forbidden word": "no_forbidden_word",
        "reading grade": "reading_grade",
        "score, 0 to 10": "score",
        "share good": "good_share",
    }
    return table("measure", columns, rows)


def rules(root: Path, base: str = "") -> str:
    """Whose rule the answers keep."""
    lines = ["| answers of | eli5's rule | intuitive's | executive's |", "|---|---:|---:|---:|"]
    for name in READERS:
        for label, which in ((f"base, asked as {name}", "base"), (name, "tuned")):
            cell = side(root, name + base, which, digits=2)
            lines.append(f"| {label} | {' | '.join(cell(f'by_{by}') for by in READERS)} |")
    return "\n".join(lines) + "\n"


def succession(root: Path) -> str:
    columns = []
    for base, adapter in (("tiny", "succession"), ("SmolLM2", "succession_smollm2")):
        columns += [(f"{base}, base", side(root, adapter, "base")), (f"{base}, tuned", side(root, adapter, "tuned"))]
        columns += [("hand-written", group(root, adapter, "origin", "project"))]
        columns += [("of the small writer", group(root, adapter, "origin", "written"))]
    names = ("parses", "schema_valid", "coherent", "without_alert", "field_precision", "field_recall", "field_f1")
    names += ("exact_match", "hard_left_out")
    return table("measure", columns, {name.replace("_", " "): name for name in names})


def snips(root: Path) -> str:
    """Ours beside what is published, in percent."""
    lines = ["| model | intent accuracy | slot F1 | whole request exact |", "|---|---:|---:|---:|"]
    rows = {
        "joint BERT, pretrained (Chen et al. 2019, arXiv 1902.10909)": (98.6, 97.0, 92.8),
        "Bi-LSTM trained from scratch, as re-run by shubham8111/Joint-NLU": (96.6, 84.3, 66.4),
    }
    ours = {
        "`models/tiny` (5.6 M parameters), untuned": ("snips", "base"),
        "`models/tiny` with our adapter": ("snips", "tuned"),
        "SmolLM2-135M-Instruct, from a 4-bit start, untuned": ("snips_smollm2", "base"),
        "SmolLM2-135M-Instruct with our adapter": ("snips_smollm2", "tuned"),
    }
    for label, (adapter, which) in ours.items():
        figures = read(root, adapter, "eval.json")[which]
        rows[label] = tuple(100 * figures[name] for name in ("intent_accuracy", "slot_f1", "exact_match"))
    lines += [f"| {label} | {' | '.join(f'{one:.1f} %' for one in told)} |" for label, told in rows.items()]
    return "\n".join(lines) + "\n"


def summaries(root: Path) -> str:
    measures = {"ROUGE-1": "rouge_1", "ROUGE-2": "rouge_2", "ROUGE-L": "rouge_l", "judge's overall, offline": "overall"}
    lines = ["| 60 held-out texts | " + " | ".join(measures) + " |", "|---|---:|---:|---:|---:|"]
    for base, adapter in (("`models/tiny`", "summaries"), ("SmolLM2-135M-Instruct", "summaries_smollm2")):
        for label, which in ((f"{base}, untuned", "base"), (f"{base} with its adapter", "tuned")):
            cell = side(root, adapter, which, interval=which == "tuned")
            lines.append(f"| {label} | {' | '.join(cell(measure) for measure in measures.values())} |")
    return "\n".join(lines) + "\n"


def scitldr(root: Path) -> str:
    """Ours beside what is published."""
    lines = ["| 618 abstracts | ROUGE-1 | ROUGE-2 | ROUGE-L |", "|---|---:|---:|---:|"]
    published = {
        "CATTS, BART-large of 400 M with titles, tuned whole": (0.443, 0.213, 0.359),
        "BART-large, tuned whole": (0.433, 0.208, 0.350),
        "Qwen2.5-0.5B, on 50,000 abstracts more, then QLoRA": (0.399, 0.170, 0.329),
        "BERTSUMEXT, 110 M, which takes a sentence": (0.385, 0.166, 0.305),
    }
    rows = {label: [shown(value) for value in told] for label, told in published.items()}
    for label, which in (("untuned", "base"), ("with our adapter", "tuned")):
        cell = side(root, "scitldr_smollm2", which, interval=which == "tuned")
        rows[f"SmolLM2-135M-Instruct {label}"] = [cell(measure) for measure in ("rouge_1", "rouge_2", "rouge_l")]
    lines += [f"| {label} | {' | '.join(cells)} |" for label, cells in rows.items()]
    return "\n".join(lines) + "\n"


TABLES = {
    "query_json": query_json,
    "two bases": two_bases,
    "french_admin": french_admin,
    "papers": papers,
    "rules of papers": rules,
    "papers on SmolLM2": partial(papers, base="_smollm2"),
    "rules of papers on SmolLM2": partial(rules, base="_smollm2"),
    "summaries": summaries,
    "scitldr": scitldr,
    "succession": succession,
    "snips": snips,
}


def written(page: str, root: Path) -> str:
    """A page's text with its tables as metrics/ has them."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]](root), page)


def main() -> None:
    for name in PAGES:
        path = ROOT / name
        path.write_text(written(path.read_text("utf-8"), ROOT), encoding="utf-8")


if __name__ == "__main__":
    main()
