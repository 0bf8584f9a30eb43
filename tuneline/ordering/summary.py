"""What the database says about a corpus: for summary.json, for people and for the dashboard."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tuneline.ordering.balance import Counts
from tuneline.ordering.seed_cases import SeedCase
from tuneline.ordering.shares import Shares
from tuneline.ordering.store import OUT, Reader

RATE_WINDOW = 300.0  # seconds over which a rate is taken
RECENT = 20  # instructions and submissions on the dashboard
SHOWN = 400  # characters of a text on the dashboard


def summarize(reader: Reader, shares: Shares, seeds: Iterable[SeedCase], total: int) -> dict[str, Any]:
    """One consistent view; nothing of it depends on the clock. Shares and targets are in %."""
    seeds = list(seeds)
    counts, out = Counts(shares), defaultdict(int)
    for seed in seeds:
        counts.add(seed.dimensions)
    with reader.one_view():
        statuses = reader.statuses()
        for dimension, value, status, cases in reader.values():
            name = shares.dimension_of(dimension)
            if status == OUT:
                out[name, value] += cases
            elif value in shares.values.get(name, {}):
                counts.values[name][value] += cases
        refusals, agents = reader.refusals(), reader.agents()
    for agent in agents:
        del agent["last_seen"]
    coverage = {}
    for name, values in shares.values.items():
        there, cases = counts.values[name], max(1, sum(counts.values[name].values()))
        coverage[name] = {
            value: {
                "target": round(100 * share, 4),
                "share": round(100 * there[value] / cases, 4),
                "cases": there[value],
                "out": out[name, value],
            }
            for value, share in values.items()
        }
    return {
        "total": total,
        "seed_cases": len(seeds),
        "to_write": max(0, total - len(seeds)),
        "issued": sum(statuses.values()),
        **statuses,
        "submissions": sum(agent["accepted"] + agent["refused"] for agent in agents),
        "mean_absolute_deviation": round(counts.mean_deviation(), 4),
        "coverage": coverage,
        "refusals": refusals,
        "agents": agents,
    }


def markdown(summary: Mapping[str, Any]) -> str:
    """summary.md: the same figures as tables."""
    lines = [
        "# Corpus",
        "",
        f"{summary['accepted']} of {summary['to_write']} cases written, {summary['out']} out with agents, "
        f"{summary['expired']} expired; with {summary['seed_cases']} seed cases the target is {summary['total']}.",
        "",
        f"Mean absolute deviation from the target shares: {summary['mean_absolute_deviation']:.2f} points.",
    ]
    for name, values in summary["coverage"].items():
        lines += ["", f"## {name}", "", "| value | target % | share % | cases | out |", "|---|---:|---:|---:|---:|"]
        for value, of in values.items():
            lines.append(f"| {value} | {of['target']:g} | {of['share']:.1f} | {of['cases']} | {of['out']} |")
    lines += ["", "## Refusals", "", "| reason | submissions |", "|---|---:|"]
    lines += [f"| {reason} | {count} |" for reason, count in summary["refusals"].items()]
    lines += ["", "## Agents", "", "| agent | issued | accepted | refused |", "|---|---:|---:|---:|"]
    lines += [f"| {a['agent_id']} | {a['issued']} | {a['accepted']} | {a['refused']} |" for a in summary["agents"]]
    return "\n".join(lines) + "\n"


def live_view(reader: Reader, summary: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The dashboard's data: the summary, the rate of the last minutes and what came last, newest first."""
    return {
        **summary,
        "agents": reader.agents(),
        "accepted_per_minute": accepted_per_minute(reader, now),
        "recent_instructions": [
            {
                "instruction_id": one.id,
                "agent_id": one.agent_id,
                "status": one.status,
                "issued": one.issued,
                "dimensions": one.dimensions,
            }
            for one in reader.instructions(last=RECENT)
        ],
        "recent_submissions": [
            {
                "submission_id": one.id,
                "instruction_id": one.instruction_id,
                "agent_id": one.agent_id,
                "accepted": one.accepted,
                "submitted": one.submitted,
                "reasons": sorted({refusal["reason"] for refusal in one.refusals}),
                "text": one.case_text[:SHOWN],
            }
            for one in reader.submissions(last=RECENT)
        ],
        "at": now,
    }


def accepted_per_minute(reader: Reader, now: float) -> float:
    """Over the last minutes, or since the first instruction where that is later."""
    first = next(reader.instructions(), None)
    start = max(now - RATE_WINDOW, first.issued if first else now)
    return round(60 * reader.accepted_since(start) / max(1.0, now - start), 2)
