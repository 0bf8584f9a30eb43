"""What a judge is asked about a sample of an application (task, input, output), and what its answers say.

A source within the window is one request, and the judgement is the judge's own, with its overall score. A
longer one is never cut: it is divided, each part is asked about, and the answers are united by a rule:

- accuracy: share of the output's sentences that at least one part supports and none contradicts. A sentence
  that only two parts together support counts as unsupported; the rule errs on the severe side.
- coverage: mean over the parts, weighted by their length; of question answering the greatest, since an
  answer stands in one place.
- coherence and informativeness: mean over the parts.
- overall: `overall_score` of these four, never a number of the judge's.

If one part has no usable answer, there is no judgement.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import click

from tuneline.language.sentences import ends, sentences
from tuneline.recipe.tasks import SCORES, TASKS, overall_score
from tuneline.recipe.texts import fill
from tuneline.teaching.request import Outcome, Request

# Characters of a source: about 6,000 tokens of English, 7,000 of French. With the rubric, an output and the
# answer that is half of 16,384 tokens, a context that servers of small models commonly offer.
WINDOW = 24_000
EDGE = 600  # characters of a divided input's beginning and end: a question or the labels stand there
PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
BLANK = re.compile(r"\s+")

_SCORE = {"type": "number", "minimum": 0, "maximum": 1}
WHOLE_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", *SCORES],
    "properties": {"reason": {"type": "string"}, **dict.fromkeys(SCORES, _SCORE)},
}


@dataclass(frozen=True)
class Judgement:
    """`scores`: coverage, accuracy, coherence, informativeness, overall, each 0 to 1; `parts`: of the source."""

    scores: dict[str, float]
    reason: str
    parts: int


def requests(task: str, source: str, output: str, rubric: str, window: int = WINDOW) -> list[Request]:
    """What to ask, one request a part of the source; `window`: characters of a part at most.

    `rubric` may name ${task}, ${source} and ${output}. Raises click.ClickException for an unknown task or
    placeholder, and for a window under 1.
    """
    if task not in TASKS:
        raise click.ClickException(f"unknown task {task!r}; known are {', '.join(TASKS)}")
    if window < 1:
        raise click.ClickException(f"a judge's window is at least 1 character, not {window}")
    facts = {"judge": "task", "task": task, "source": source, "output": output}
    if len(source) <= window:
        return [Request((("user", fill(rubric, facts, "rubric")),), WHOLE_SCHEMA, facts)]
    said = sentences(output)
    pieces = divide(source, window)
    edges = "" if task == "summarization" else f"{source[:EDGE]}\n[…]\n{source[-EDGE:]}"
    asked = []
    for number, piece in enumerate(pieces, 1):
        known = {**facts, "source": piece, "part": number, "parts": len(pieces), "edges": edges, "whole": len(source)}
        text = f"{fill(rubric, known, 'rubric')}\n\n{_part_note(known, said)}"
        asked.append(Request((("user", text),), part_schema(len(said)), known))
    return asked


def read(requests: Sequence[Request], outcomes: Sequence[Outcome | None]) -> Judgement | str:
    """The judgement that the outcomes of all the sample's requests make, or why there is none.

    None stands for a call that got no answer. Raises ValueError when there is not one outcome a request.
    """
    values = []
    for number, (_, outcome) in enumerate(zip(requests, outcomes, strict=True), 1):
        where = f"part {number} of {len(requests)}: " if len(requests) > 1 else ""
        if outcome is None:
            return f"{where}no answer"
        if outcome.reason:
            return f"{where}{outcome.reason}: {outcome.detail}"
        values.append(outcome.value)
    if len(values) == 1:
        return Judgement({name: float(values[0][name]) for name in SCORES}, values[0]["reason"], 1)
    return _united([request.facts for request in requests], values)


def divide(source: str, window: int) -> list[str]:
    """Parts of at most `window` characters that joined are the source.

    A part ends at the last paragraph end in its second half, else the last sentence end, else the last
    blank there; only a text without any of them is divided within a word.
    """
    parts, at, half = [], 0, window // 2
    while len(source) - at > window:
        piece = source[at : at + window]
        paragraphs = (match.end() for match in PARAGRAPH.finditer(piece, half))
        stops = (BLANK.match(piece, end).end() for end in ends(piece, printed=False) if end > half)
        blanks = (match.end() for match in BLANK.finditer(piece, half))
        cut = max(paragraphs, default=0) or max(stops, default=0) or max(blanks, default=0)
        piece = piece[:cut] if cut else piece
        parts.append(piece)
        at += len(piece)
    return [*parts, source[at:]]


@cache
def part_schema(count: int) -> dict[str, Any]:
    """The form of the answer about one part, for an output of so many sentences."""
    numbers = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": max(count, 1)}}
    properties = {
        "reason": {"type": "string"},
        "coverage": _SCORE,
        "supported": numbers,
        "contradicted": numbers,
        "coherence": _SCORE,
        "informativeness": _SCORE,
    }
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _part_note(facts: dict[str, Any], said: list[str]) -> str:
    """What a judge that sees one part is told beside the rubric."""
    numbered = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(said, 1))
    edges = f"\n\nThe whole input begins and ends so:\n<edges>\n{facts['edges']}\n</edges>" if facts["edges"] else ""
    coverage = (
        "coverage: how far the output answers the question, as far as this part shows; 0 if this part says nothing "
        "of it"
        if facts["task"] == "question-answering"
        else "coverage: of what matters in this part for the text as a whole, how much the output says"
    )
    return (
        f"The input is long: you see part {facts['part']} of {facts['parts']}, {len(facts['source'])} of its "
        f"{facts['whole']} characters; the other parts are judged apart. The output is about the whole input, so "
        f"what is not in this part is no fault.{edges}\n\nThe sentences of the output:\n{numbered}\n\n"
        "Answer for this part, in place of the scores named above:\n"
        "- reason: one sentence\n"
        f"- {coverage}\n"
        "- supported: the numbers of the sentences that this part says, in all that they claim\n"
        "- contradicted: the numbers of the sentences that this part says otherwise\n"
        "- coherence and informativeness: of the output as a whole"
    )


def _united(facts: list[dict[str, Any]], values: list[dict[str, Any]]) -> Judgement:
    count = len(sentences(facts[0]["output"]))
    supported = {number for value in values for number in value["supported"]}
    contradicted = {number for value in values for number in value["contradicted"]}
    covered = [value["coverage"] for value in values]
    lengths = [len(known["source"]) for known in facts]
    weighted = sum(share * length for share, length in zip(covered, lengths, strict=True)) / sum(lengths)
    scores = {
        "coverage": max(covered) if facts[0]["task"] == "question-answering" else weighted,
        "accuracy": len(supported - contradicted) / count if count else 0.0,
        "coherence": sum(value["coherence"] for value in values) / len(values),
        "informativeness": sum(value["informativeness"] for value in values) / len(values),
    }
    scores = {name: round(float(score), 4) for name, score in scores.items()}
    reasons = " ".join(f"[{number}] {value['reason']}" for number, value in enumerate(values, 1))
    told = f"Judged in {len(values)} parts; {len(supported - contradicted)} of {count} sentences supported. {reasons}"
    return Judgement({**scores, "overall": overall_score(scores)}, told, len(values))
