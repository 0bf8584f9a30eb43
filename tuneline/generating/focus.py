"""The topics on which the last evaluation was weak, written down for the focus strategy.

The pipeline's graph has no cycle: a person looks at the file, commits it, and sdg reads it.
"""

from pathlib import Path
from typing import Any

import yaml

from tuneline.files import whole_file


def has_judged_topics(report: dict[str, Any]) -> bool:
    """Whether the evaluation has a table by topic, and a judge told which answers are good."""
    lines = report.get("per_topic", {}).get("tuned", {}).values()
    return bool(lines) and all({"judged_share", "good_share"} <= set(line) for line in lines)


def weak_topics(report: dict[str, Any], most: int) -> dict[str, dict[str, Any]]:
    """Topic → {share, why} for the topics where the tuned model was least often good, the weakest first.

    The share is the number of judged answers that were not good; a topic without any is left out.
    """
    weak = {}
    for topic, line in report["per_topic"]["tuned"].items():
        judged = round(line["rows"] * line["judged_share"])
        if failed := round(judged * (1 - (line["good_share"] or 0))):
            refused = f", refusal rate {line['refusal_rate'] or 0:.2f}" if "refusal_rate" in line else ""
            weak[topic] = {"share": failed, "why": f"{failed} of {judged} answers not good{refused}"}
    return dict(sorted(weak.items(), key=lambda item: (-item[1]["share"], item[0]))[:most])


def write_focus(path: Path, topics: dict[str, dict[str, Any]], recipe: str) -> None:
    head = f"# Topics for the focus strategy, written by `tuneline focus {recipe}` from the last evaluation.\n"
    with whole_file(path) as part:
        part.write_text(head + yaml.safe_dump(topics, allow_unicode=True, sort_keys=False), encoding="utf-8")
