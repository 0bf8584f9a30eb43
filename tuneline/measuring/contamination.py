"""Test rows that stand in the training rows after all: what the figures are worth without them.

curate has taken such training rows out where the source itself says which rows are for test. Of the rows that split
holds out it cannot know, nor of what a strategy writes like one of them by chance.
"""

from collections.abc import Sequence

from tuneline.data.corpus import Corpus
from tuneline.data.leaks import Found, Leaks
from tuneline.data.similarity import CHECKED
from tuneline.files import Row, say
from tuneline.measuring.report import Sides, figures_of
from tuneline.recipe.own import Measures

TOLD = 20  # rows that the report names


def contaminated(train: Sequence[Row], test: Sequence[Row], threshold: float) -> dict[str, Found]:
    """Test row's id → what says of which training row, by curate's own check: its question or nearly, or its turns.

    `threshold`: curate.contamination of recipe.yaml.
    """
    rows = [*({**row, "set": "test"} for row in test), *({**row, "set": ""} for row in train)]
    corpus = Corpus(rows, threshold, lambda row: None)  # what else is wrong with a row was seen to
    leaks = Leaks(corpus, threshold)
    if leaks.cut_short:
        say(f"{leaks.cut_short} questions look like very many others: only {CHECKED} of the test rows were compared")
    found: dict[str, Found] = {}
    for place in sorted(leaks.found):
        how = {name: value for name, value in leaks.found[place].items() if name != "of"}
        for name in leaks.shown(place):
            known = found.get(name)
            if known is None or how.get("similarity", 0) > known.get("similarity", 0):
                found[name] = {"in": corpus.id(place), **how}
    return {row["id"]: found[row["id"]] for row in test if row["id"] in found}


def without(found: dict[str, Found], rows: Sequence[Row], sides: Sides, measures: Measures) -> Row:
    """What the report says of them: how many they are, which, and the figures of each side over the other rows."""
    clean = [at for at, row in enumerate(rows) if row["id"] not in found]
    others = {side: [scores[at] for at in clean] for side, scores in sides.items()}
    return {
        "rows": len(found),
        "found": [{"id": name, **how} for name, how in list(found.items())[:TOLD]],
        "figures": figures_of(others, measures.FIGURES) if clean else {},
    }
