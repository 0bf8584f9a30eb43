"""What differs as Markdown: one sentence, then what a reviewer asks, the figures first. Under 60 lines."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tuneline.comparing.figures import Figure
from tuneline.comparing.flips import Flips
from tuneline.comparing.gathering import Difference
from tuneline.comparing.markdown import apart, cell, code, details, fence, tag
from tuneline.comparing.pairing import PAIRED, TUNED
from tuneline.comparing.rows import Changes, RecipeRows, shown
from tuneline.comparing.stale import COMMAND, Status
from tuneline.rows import visible

LINES = 59  # of a report
CHARACTERS = 65_000  # of a comment: GitHub takes 65,536
CUT = "… the rest is cut: GitHub takes no longer comment."


@dataclass(frozen=True)
class Room:
    """How many of each are shown: figures, blocks of one kind, rows by fate, flips, lines of prompts."""

    figures: int
    blocks: int
    examples: int
    flips: int
    prompt: int


ROOMS = (Room(16, 9, 3, 5, 16), Room(12, 6, 3, 5, 8), Room(10, 5, 2, 3, 6), Room(8, 4, 1, 2, 4), Room(6, 4, 0, 0, 0))


def write_report(difference: Difference, against: str) -> str:
    """The report, with as much of everything as there is room for. `against`: what the base is called."""
    if not difference:
        return f"No figure, knob, row, prompt or code of a stage differs from {against}.\n"
    for room in ROOMS:
        lines = list(_lines(difference, against, room))
        if len(lines) <= LINES:
            break
    return cut("\n".join(lines) + "\n")


def cut(text: str, most: int = CHARACTERS) -> str:
    """A text that GitHub takes: without its last blocks where it is too long, and saying so."""
    if len(text) <= most:
        return text
    kept, size = [], len(CUT) + 1
    for block in _blocks(text):
        size += len(block)
        if size > most:
            break
        kept.append(block)
    return "".join(kept) + CUT + "\n"


def _blocks(text: str) -> Iterator[str]:
    """Parts that may stand without what follows: a line, or all lines from <details> to its end."""
    inside: list[str] = []
    for line in text.splitlines(keepends=True):
        if inside or line.startswith("<details>"):
            inside.append(line)
            if line.strip() == "</details>":
                yield "".join(inside)
                inside = []
        else:
            yield line
    yield "".join(inside)


def _lines(difference: Difference, against: str, room: Room) -> Iterator[str]:
    yield f"{headline(difference)} Against {against}."
    yield from _stale(difference)
    sections = (
        _knobs(difference, room), _figures(difference.figures, room), _limited(difference.flips, _flips, room),
        _limited(difference.rows, _rows, room), _prompts(difference, room), _notes(difference),
    )  # fmt: skip
    for section in sections:
        if section:
            yield from ("", *section)


# The sentence


def headline(difference: Difference) -> str:
    """What was changed: what came of it."""
    title = ", ".join(_causes(difference)) or ("run again" if difference.ran else "no knob, row or code")
    return f"**{title}**: {_outcome(difference)}."


def _causes(difference: Difference) -> Iterator[str]:
    yield from map(str, difference.knobs[:2])
    if more := len(difference.knobs[2:]):
        yield _count(more, "more knob")
    if rows := [one for one in difference.rows if one.source]:
        named = ", ".join(code(one.recipe) for one in rows[:2])
        yield f"rows of {named}" + (f" and {_count(len(rows) - 2, 'more recipe')}" if len(rows) > 2 else "")
    if difference.prompts:
        yield _count(len(difference.prompts), "prompt")
    if difference.code:
        yield f"{_count(len(difference.code), 'file')} of code"


def _outcome(difference: Difference) -> str:
    figures = [figure for figure in difference.figures if not figure.is_count]
    noise = sum(figure.is_noise for figure in figures)
    other = sum(figure.change is None for figure in figures)
    clear = len(figures) - noise - other
    parts = [f"{_count(clear, 'figure')} moved" if clear else "no figure moved"]
    parts += [f"{noise} within the noise"] * bool(noise) + [f"{other} new or gone"] * bool(other)
    won, lost = (sum(len(getattr(one, name)) for one in difference.flips) for name in ("won", "lost"))
    if won or lost:
        parts.append(f"{_count(won, 'test row')} won, {lost} lost")
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# Sections, each a list of lines


def _stale(difference: Difference) -> Iterator[str]:
    found = difference.status
    if found and found.stale:
        some = len(found.after)
        then = f"; {some} more read{'s' * (some == 1)} what these write, and run if it differs" if some else ""
        yield ""
        yield (
            f"⚠️ **The figures are not of this commit**: {_of_all(len(found.stale), difference)} would run again "
            f"({_stages(one.stage for one in found.stale)}), since {_reasons(found, 5)}{then}. "
            "`dvc repro` brings them up to date; `tuneline diff --check` has a line each."
        )


def _of_all(some: int, difference: Difference) -> str:
    return f"{some} of {difference.stages} stages" if some <= difference.stages else _count(some, "stage")


def _reasons(status: Status, most: int) -> str:
    """What made stages stale, what made the most first."""
    listed = Counter(name for one in status.stale for name in one.changed)
    names = [name for name, _ in listed.most_common() if name != COMMAND]
    changed = ["commands"] * (COMMAND in listed) + [_named(names, most)] * bool(names)
    told = [f"{', '.join(changed)} changed after the last run"] * bool(changed)
    faults = [fault for one in status.stale for fault in one.faults]
    return "; ".join(told + [_named(faults, 3)] * bool(faults))


def _stages(names: Iterable[str]) -> str:
    """train@a, train@b, eval@a → `train` of 2, `eval` of a."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, item = name.rpartition(":")[2].partition("@")
        kinds.setdefault(kind, []).append(item)
    shown = [
        f"{code(kind)} of {code(items[0]) if len(items) == 1 else len(items)}" if items[0] else code(kind)
        for kind, items in kinds.items()
    ]
    return ", ".join(shown)


def _named(names: list[str], most: int) -> str:
    shown = [code(name, 60) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _knobs(difference: Difference, room: Room) -> list[str]:
    knobs = difference.knobs
    if len(knobs) <= 2:
        return []
    shown = map(str, knobs[: room.figures])
    more = f" and {len(knobs) - room.figures} more" if len(knobs) > room.figures else ""
    return [f"Knobs: {', '.join(shown)}{more}."]


def _figures(figures: list[Figure], room: Room) -> list[str]:
    clear = [figure for figure in figures if not figure.is_count and not figure.is_noise]
    lines = []
    if clear:
        lines += ["| | figure | before | now | change | 95 % |", "|---|---|--:|--:|--:|---|"]
        ranked = sorted(clear, key=lambda figure: _weight(figure, clear))[: room.figures]
        kept = sorted((figure for figure in clear if figure in ranked), key=lambda figure: figure.change is None)
        lines += [_line(figure) for figure in kept]
        if more := len(clear) - len(kept):
            lines += ["", f"{_count(more, 'more figure')} moved or new: `dvc metrics diff` has them all."]
    if noise := [figure for figure in figures if figure.is_noise and not figure.is_count]:
        lines += [""] * bool(lines) + [f"Within the noise: {_some((_brief(figure) for figure in noise), room)}."]
    if counts := [figure for figure in figures if figure.is_count and figure.change is not None]:
        lines += [""] * bool(lines) + [f"Counts: {_some(map(_counted, counts), room)}."]
    return lines


def _weight(figure: Figure, among: list[Figure]) -> tuple[bool, bool, bool, int]:
    """What is shown where there is no room for all: what moved, the adapters' own, what is known to be no noise.

    Of what is new, some of each folder.
    """
    new, own = figure.change is None, figure.name.startswith(f"{TUNED}.")
    mine = [other for other in among if new and other.folder == figure.folder and other.name.startswith(f"{TUNED}.")]
    return new, not own, figure.interval is None, mine.index(figure) if figure in mine else 0


def _some(shown: Iterable[str], room: Room) -> str:
    listed = list(shown)
    more = len(listed) - room.figures
    return "; ".join(listed[: room.figures]) + (f"; and {more} more" if more > 0 else "")


def _line(figure: Figure) -> str:
    change, edges = "", ""
    if figure.change is not None:
        change = _signed(figure.change)
        change = f"**{change}**" if figure.interval else change
    if figure.interval:
        edges = f"{_interval(figure)}{'' if figure.how == PAIRED else ' ' + figure.how}"
    values = [_number(value) for value in (figure.before, figure.now)]
    return f"| {cell(figure.folder, 40)} | {cell(figure.name, 60)} | {' | '.join(values)} | {change} | {edges} |"


def _brief(figure: Figure) -> str:
    return f"{code(figure.folder, 40)} {code(figure.name, 60)} {_signed(figure.change)} {_interval(figure)}"


def _counted(figure: Figure) -> str:
    name = f"{code(figure.folder, 40)} {code(figure.name, 60)}"
    return f"{name} {_number(figure.before)} → {_number(figure.now)}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def _signed(value: float) -> str:
    digits = _number(round(abs(value), 6) if isinstance(value, float) else abs(value))
    return f"{'−' if value < 0 else '+'}{digits}"


def _interval(figure: Figure) -> str:
    low, high = (f"{edge:+.3f}".replace("-", "−") for edge in figure.interval)
    return f"[{low}, {high}]"


def _limited(found: list[Any], way: Any, room: Room) -> list[str]:
    """A block each, and how many have none."""
    blocks = [way(one, room) for one in found[: room.blocks]]
    if more := len(found) - room.blocks if len(found) > room.blocks else 0:
        blocks.append([f"- and {more} more: {', '.join(tag(_name(one)) for one in found[room.blocks :][:20])}"])
    lines: list[str] = []
    for block in blocks:
        if lines and lines[-1] == "</details>" and block[0].startswith("- "):
            lines.append("")  # else it is no item of a list but the end of the HTML
        lines += block
    return lines


def _name(one: Flips | RecipeRows) -> str:
    return one.adapter if isinstance(one, Flips) else one.recipe


def _flips(one: Flips, room: Room) -> list[str]:
    others = f", {_count(one.others, 'row')} asked on one side alone" if one.others else ""
    summary = (
        f"{tag(one.adapter)} by {tag(one.figure)}: {_count(len(one.won), 'test row')} won, {len(one.lost)} lost "
        f"of {one.rows}{others}"
    )
    worst = one.lost[: room.flips]
    if not worst:
        return details(summary, [])
    lines = ["| asked | wanted | before | now |", "|---|---|---|---|"]
    for then, now in worst:
        wanted, *given = _answers(then, now)
        cells = [cell(_asked(now), 110), cell(wanted, 110)]
        cells += ["as wanted" if answer == wanted else cell(answer, 110) for answer in given]
        lines.append(f"| {' | '.join(cells)} |")
    return details(f"{summary}; the worst", lines)


def _asked(row: dict[str, Any]) -> str:
    return str(row["text"]) if "text" in row else shown({"messages": row["messages"]})


def _answers(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What was wanted, what was answered before and now, without the thinking where more is said."""
    answers = [now.get("reference", ""), *(row[TUNED] for row in (then, now))]
    told = [text if isinstance(text, str) else f"{text:.1f} bits" for text in answers]
    return apart([visible(text) or text for text in told])


def _rows(one: RecipeRows, room: Room) -> list[str]:
    told = [f"{_fates(one.source)} in its source"] if one.source else []
    if one.made:
        told.append(f"{_fates(one.made)} of the {one.made.now:,} after curate")
    if one.lacking:
        told.append("what curate let through is not at hand")
    changes = one.source or one.made
    return details(
        f"Rows of {tag(one.recipe)}: {'; '.join(told)}", _examples(changes, room.examples) if changes else []
    )


def _fates(changes: Changes) -> str:
    counts = {name: len(getattr(changes, name)) for name in ("added", "removed", "edited")}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _examples(changes: Changes, most: int) -> list[str]:
    if not most:
        return []
    lines = [f"+ {shown(row)}" for row in changes.added[:most]]
    lines += [f"- {shown(row)}" for row in changes.removed[:most]]
    for then, now in changes.edited[:most]:
        lines += [" edited:"] * (then is changes.edited[0][0])
        lines += [f"{sign} {text}" for sign, text in zip("-+", apart([shown(then), shown(now)]), strict=True)]
    return fence(lines)


def _prompts(difference: Difference, room: Room) -> list[str]:
    prompts = difference.prompts
    if not prompts:
        return []
    some = ", ".join(tag(path) for path in list(prompts)[:4]) + (" …" if len(prompts) > 4 else "")
    lines = [line for path, edits in prompts.items() for line in (path, *edits)]
    left = len(lines) - room.prompt
    shown = lines[: room.prompt] + ([f"… {left} more lines: git diff"] if left > 0 else [])
    return details(f"Prompts: {some}", fence(shown) if room.prompt else [])


def _notes(difference: Difference) -> list[str]:
    return [
        f"- {note}" for note in (_code(difference), _ran(difference), _spend(difference), _missing(difference)) if note
    ]


def _code(difference: Difference) -> str:
    code_ = difference.code
    if len(code_) <= 5:
        return f"Code that stages read: {_named(code_, 5)}." if code_ else ""
    folders = Counter(path.split("/")[0] for path in code_)
    return f"Code that stages read: {', '.join(f'{code(name)} {n}' for name, n in folders.most_common(8))} files."


def _ran(difference: Difference) -> str:
    stale = bool(difference.status and difference.status.stale)
    known = difference.status is not None and not stale
    then = " Nothing would run again: figures, lock, code and data belong together." if known else ""
    if difference.ran:
        return f"Ran: {_stages(difference.ran)} ({len(difference.ran)} of {difference.stages} stages).{then}"
    return then.strip()


def _spend(difference: Difference) -> str:
    before, now = difference.spend
    if not before and not now:
        return "Spend: nothing." if difference.ran else ""
    moved = [path for path in dict.fromkeys([*now, *before]) if now.get(path) != before.get(path)]
    parts = [f"{code(path)} {now.get(path, 0) - before.get(path, 0):+.4f}" for path in moved[:5]]
    by = f" ({', '.join(parts)})" if parts else ""
    return f"Spend: USD {sum(before.values()):.2f} → {sum(now.values()):.2f}{by}."


def _missing(difference: Difference) -> str:
    if not difference.missing:
        return ""
    return (
        "Some rows or predictions are neither in DVC's cache nor in a remote: without them there are no flips, and "
        "intervals are unpaired. `dvc pull` brings what a remote has."
    )
