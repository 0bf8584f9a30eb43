"""A judge of an application's outputs by fixed rules, in English and French: no model, no network.

It compares words by their beginnings, and names and numbers by their values. It does not understand: a
summary that says the opposite in the source's own words, exchanges two of its numbers or gives one person's act
to another passes; a right label and a wrong one of the same list look alike, unless the text says the one's
word and not the other's. Of an answer it knows that what it says stands near what is asked about, not that it
answers.

All scores are 0 to 1. At an overall of 0.8 or more it agrees with 95 of the 97 hand-made labels of
tests/recipes/summaries/judged_samples.jsonl that are held out; the other two are summaries that exchange numbers.
"""

import re
import sys
import unicodedata
from collections import Counter
from typing import Any

from tuneline.language.sentences import is_ended, sentences
from tuneline.language.words import MONTHS, NUMBERS, SCALES, WEEKDAYS, unaccented
from tuneline.recipe.tasks import SCORES, overall_score

GROUNDED = 0.62  # share of an output's content words in the source from which all of it counts as said there
INVENTED = 0.5  # what each invented name or number leaves of the accuracy
SHARE = 0.15  # of the source's words: so many of its weightiest are what a summary should say …
FEWEST, MOST = 6, 20  # … within these bounds
COVERED = 0.5  # share of their weight from which a summary covers the source
NEARBY = 120  # characters about a number that may say what it counts
BEYOND = 5  # words from behind the first sentence that a summary says; of a short source, half of them
DENSE = 0.4  # share of content words from which a text is dense enough
LONGEST = 0.65  # of the source's words, from which a summary is too long
COPIED = 25  # words in a row that are the source's, from which a summary is a copy
SUPPORTED = 0.7  # accuracy from which a part of the source supports a sentence
NEAR = 0.9  # of the best place for a question, from which an answer's place will do
LARGEST = sys.float_info.max  # what a number without end counts as
LABEL_WORDS = 4  # a label without a list to choose from has at most so many

STOP = frozenset(
    (
        # English
        "a about above after again against all almost along already also although always am among an and another any "
        "anyone are around as at away back be because been before being below between both but by can cannot could "
        "did do does doing don down during each either else enough even ever every few for from further had has have "
        "having he her here hers him his how however if in into is isn it its itself just least less like made make "
        "many may me might more most much must my near never next no nor not nothing now of off often on once one "
        "only or other others our out over own per rather same she should since so some still such than that the "
        "their them then there these they this those though through to too under until up upon us very was wasn we "
        "well were what when where whether which while who whom whose why will with within without won would yet you "
        "your "
        # French
        "afin ai ainsi alors apres assez au aucun aucune aupres aura auront aussi autour autre autres aux avaient "
        "avait avant avec avoir beaucoup bien c car ce ceci cela celle celles celui certains ces cet cette ceux chaque "
        "chez ci comme comment contre d dans de debut deja depuis des desormais dessus deux devant devra doit doivent "
        "donc dont du elle elles en encore enfin entre est et etaient etait etant ete etre eu eux fait faire fois font "
        "fut grace hors ici il ils j jamais je jusqu jusque l la le les leur leurs lors lorsque lui m ma mais malgre "
        "me meme memes mes mieux moi moins mon n ne ni non nos notre nous on ont ou par parce parmi partir pas "
        "pendant peu peut peuvent plus plusieurs plutot pour pourra pourront pourquoi puis qu quand quant que quel "
        "quelle quelles quelques quels qui quoi s sa sans se selon sera seront ses si sien soit son sont sous souvent "
        "sur t ta tandis te tel telle tes toi ton toujours tous tout toute toutes tres trop tu un une vers voici voila "
        "vos votre vous y"
    ).split()
)
DANGLING = frozenset(  # no sentence ends with one of these
    "a an the of to in on at by for from every with and or but that which who because while if than as is "
    "are was were has have will its their his her "
    "le la les l un une chaque des de du d et ou au aux dans sur sous par pour avec sans que qui dont car mais "
    "si est sont son sa ses leur leurs ce cette ces en a".split()
)
OPENERS = frozenset(  # words that open sentences of any subject, and titles: no names
    "mr mrs ms dr mme mlle monsieur madame professor prof sir st according despite thanks following instead "
    "meanwhile today nearly local officials residents".split()
)
CALENDAR = frozenset(  # written with a capital in English alone; « mai » weighs as any word
    unaccented(name) for lists in (MONTHS, WEEKDAYS) for names in lists.values() for name in names
) - {"mai"}
UNITS = {
    **{unaccented(word): value for words in NUMBERS.values() for word, value in words.items()},
    **{word: 10 * n for n, word in enumerate("dizaine vingtaine trentaine quarantaine cinquantaine".split(), 1)},
    **{"vingts": 20, "dozen": 12, "douzaine": 12, "noon": 12, "midi": 12},
}
JOINED = {"and": ("hundred", "thousand", "million"), "et": ("vingt", "trente", "quarante", "cinquante", "soixante")}
HUNDREDS = [word for word, n in NUMBERS["fr"].items() if 2 <= n <= 9]  # "deux cents"; English cents are coins
SCALE_OF = SCALES["en"] | SCALES["fr"]
ROUGHLY = re.compile(
    r"\b(about|around|nearly|almost|roughly|some|over|under|more than|less than|fewer than|at least|up to|environ"
    r"|pres de|pres d|presque|plus de|plus d|moins de|moins d|quelque|jusqu a|au moins|autour de)$"
)
TIMES = CALENDAR | set(
    "year years month months week weeks day days hour hours morning evening night spring summer autumn winter today "
    "tomorrow yesterday noon midnight century an ans annee annees mois semaine semaines jour jours heure heures matin "
    "soir nuit printemps ete automne hiver midi minuit siecle hier demain".split()
)
LABELS = re.compile(
    r"^[^\w\n]{0,80}(?:[^:\n]{0,80}\b)?(?:labels?|class(?:es)?|categor(?:y|ies)|choices|options|one of|cat[ée]gories?"
    r"|classes|[ée]tiquettes?|choix|parmi)\b[^:\n]{0,60}:\s*(\S.*)$",
    re.IGNORECASE | re.MULTILINE,
)
WANTED = {  # what a question asks for; the first that fits counts
    "number": r"\b(how (many|much|old|long|far|often|high|tall|large|big)|combien|quel(le)? (age|prix|duree|distance"
    r"|montant|taille|hauteur|longueur|part|proportion)|what (price|age|share|percentage|length|height)|a quel prix)\b",
    "time": r"\b(when|what (time|year|day|date|month)|which (year|day|month)|quand|a quelle (heure|date)"
    r"|quel(le)? (jour|annee|date|mois)|depuis quand)\b",
    "person": r"\b(who|whom|whose|qui)\b",
}


def answer(facts: dict[str, Any]) -> dict[str, Any]:
    """The verdict on {"task", "source", "output"}; with "part" and "parts", on one part of a divided source.

    Raises KeyError for a fact that is missing or a task that is unknown.
    """
    task, source, output = facts["task"], facts["source"], facts["output"]
    if facts.get("parts", 1) > 1:
        return _judge_part(facts)
    scores, why = RULES[task](source, output, source, _size(source))
    scores = {name: round(score, 3) for name, score in scores.items()}
    return {"reason": _reason(why), **scores, "overall": overall_score(scores)}


# ---------------------------------------------------------------- the three tasks

Verdict = tuple[dict[str, float], list[str]]  # the four scores, and what is wrong


def _summary(source: str, output: str, frame: str, size: int) -> Verdict:
    """`frame`: where a question or labels may stand; `size`: words of the whole source, of which this may be a part."""
    accuracy, faults = accuracy_of(output, source)
    coherence, more = coherence_of(output)
    informativeness, rest = _substance(output, source, size)
    scores = {"coverage": _coverage(output, source, size), "accuracy": accuracy, "coherence": coherence}
    if scores["coverage"] < 0.6:
        rest.append("little of what weighs in the source is said")
    return {**scores, "informativeness": informativeness}, faults + more + rest


def _label(source: str, output: str, frame: str, size: int) -> Verdict:
    said = output.strip()
    known = labels_of(frame)
    given = " ".join(_words(said))
    if not given:
        return dict.fromkeys(SCORES[:4], 0.0), ["there is no label"]
    if known:
        folded = [" ".join(_words(label)) for label in known]
        if given not in folded:
            named = sum(f" {label} " in f" {given} " for label in folded)
            why = ("no label of the list", "it says more than a label", "several labels")[min(named, 2)]
            return {**dict.fromkeys(SCORES[:4], 0.5), "accuracy": 0.5 if named == 1 else 0.0}, [why]
        text = Counter(map(_stem, _words(LABELS.sub(" ", source))))
        mine = any(text[_stem(word)] for word in given.split())
        others = any(text[_stem(word)] for label in folded if label != given for word in label.split())
        accuracy = 0.5 if others and not mine else 1.0
        why = ["the text says another label's word"] if accuracy < 1 else []
        return {**dict.fromkeys(SCORES[:4], 1.0), "accuracy": accuracy}, why
    short = len(given.split()) <= LABEL_WORDS and not said.endswith((".", "?", "…", ",", "-"))
    whole = given.split()[-1] not in DANGLING
    right = 1.0 if short and whole else 0.3
    why = [] if right == 1 else ["it is no label" if not short else "the label is cut"]
    return {"coverage": right, "accuracy": 0.9 * right, "coherence": right, "informativeness": right}, why


def _reply(source: str, output: str, frame: str, size: int) -> Verdict:
    question = question_of(source) or question_of(frame)
    passage = source.replace(question, " ") if question else source
    accuracy, faults = accuracy_of(output, f"{passage}\n{question}")
    coherence, more = coherence_of(output, short=True)
    asked, said = set(_content(question)), set(_content(output))
    new = said - asked | _numbers(output) - _numbers(question)
    wrong: list[str] = []
    informativeness = 1.0
    if not new and not re.match(r"\W*(yes|no|oui|non)\b", output, re.IGNORECASE):
        wrong.append("it says nothing that the question does not")
        informativeness = 0.2
    elif len(_words(output)) > max(LONGEST * len(_words(passage)), 30):
        wrong.append("it repeats the passage")
        informativeness = 0.4
    coverage = _place(question, output, passage, new) if question else 0.5
    folded = _fold(question)
    kind = next((kind for kind, pattern in WANTED.items() if re.search(pattern, folded)), None)
    if kind and coverage and not _has(kind, output):
        coverage *= 0.4
        wrong.append(f"the question asks for a {kind}")
    elif coverage < 0.6:
        wrong.append("it stands elsewhere in the passage than what is asked")
    return {
        "coverage": coverage if new else min(coverage, 0.2 if informativeness < 1 else 1.0),
        "accuracy": min(accuracy, coverage),  # what answers another question is no accurate answer, however true
        "coherence": coherence,
        "informativeness": informativeness,
    }, faults + more + wrong


RULES = {"summarization": _summary, "classification": _label, "question-answering": _reply}


def _judge_part(facts: dict[str, Any]) -> dict[str, Any]:
    """Of one part: what it supports, and what the whole output is worth beside it. Rules see no contradiction."""
    source, output = facts["source"], facts["output"]
    frame = f"{source}\n{facts['edges']}"
    scores, why = RULES[facts["task"]](source, output, frame, _size(source) * facts["whole"] // max(len(source), 1))
    said = sentences(output)
    if facts["task"] == "classification":
        supported = list(range(1, len(said) + 1)) if scores["accuracy"] >= SUPPORTED else []
    else:
        known = f"{source}\n{question_of(frame)}" if facts["task"] == "question-answering" else source
        supported = [n for n, sentence in enumerate(said, 1) if accuracy_of(sentence, known)[0] >= SUPPORTED]
    return {
        "reason": f"{len(supported)} of {len(said)} sentences stand in it." if said else _reason(why),
        "coverage": round(scores["coverage"], 3),
        "supported": supported,
        "contradicted": [],
        "coherence": round(scores["coherence"], 3),
        "informativeness": round(scores["informativeness"], 3),
    }


def _reason(why: list[str]) -> str:
    return f"By rules: {'; '.join(why)}." if why else "By rules: nothing is wrong."


# ---------------------------------------------------------------- accuracy


def accuracy_of(output: str, source: str) -> tuple[float, list[str]]:
    """(score, what is wrong): the share of content words that are the source's, halved by each invention."""
    content = _content(output)
    known = set(_content(source))
    if not content and not _numbers(output):
        return 0.0, ["it says nothing"]
    share = sum(word in known for word in content) / len(content) if content else 1.0
    invented = invented_in(output, source)
    score = min(1.0, share / GROUNDED) * INVENTED ** len(invented)
    faults = [f"not in the source: {', '.join(invented[:5])}"] if invented else []
    if share < GROUNDED:
        faults.append(f"{share:.2f} of its content words are the source's")
    return score, faults


def invented_in(output: str, source: str) -> list[str]:
    """Names, days, months and numbers of the output that the source does not have, as written, each once."""
    known = {_stem(word) for word in _words(source)}
    counts = _Counts(source)
    found = [name for name in _names(output) + _opening(output, source) if _stem(_fold(name)) not in known]
    folded = _fold(_with_units(output))
    for value, place, written in _figures(folded):
        rough = bool(ROUGHLY.search(folded[max(0, place - NEARBY) : place].rstrip(" '’")))
        few = value <= 3 and not written[0].isdigit()  # two or three things may have been counted
        if not counts.allow(value, _unit(folded, place, written), rough, few):
            found.append(written)
    return list(dict.fromkeys(found))


def _names(text: str) -> list[str]:
    """Capitalized words that are not so for opening a sentence, and days and months."""
    found = []
    for sentence in sentences(text):
        tokens = list(re.finditer(r"[^\W\d_]+(?:-[^\W\d_]+)*", sentence))
        for at, token in enumerate(tokens):
            word = _fold(token[0])
            if word in CALENDAR and word not in ("may", "march"):
                found.append(token[0])
                continue
            if not token[0][0].isupper() or len(word) < 2 or word in STOP or word in OPENERS:
                continue
            before = sentence[: token.start()].rstrip()
            following = sentence[token.end() :]
            if (at == 0 or before.endswith((":", "«", "“", '"', "("))) and not _is_name(word, following):
                continue
            found.extend(token[0].split("-"))
    return [name for name in found if _fold(name) not in STOP]


def _opening(output: str, source: str) -> list[str]:
    """The words that open a sentence where a name may stand; none where the output says a name of the source.

    "Denby" in "Denby closes its bridge" cannot be told from "Demand" in "Demand is high" but by that.
    """
    names = {_stem(_fold(name)) for name in _names(source)}
    if not names or names & {_stem(word) for word in _words(output)}:
        return []
    opening = [re.match(r"([A-ZÀ-ÖØ-Þ][a-zà-ÿ]+)\s+[a-z]", sentence) for sentence in sentences(output)]
    words = [match[1] for match in opening if match]
    common = re.compile(r"(s|ing|ed|ly|tion|ment|er|ee?)$")
    return [word for word in words if _fold(word) not in STOP | OPENERS and not common.search(_fold(word))]


def _is_name(word: str, following: str) -> bool:
    """Whether a word that opens a sentence is surely a name, by what follows it."""
    return bool(re.match(r"[’']s\b|\s+(?:de |du |van |von |d[’'])?[A-ZÀ-ÖØ-Þ][a-zà-ÿ]", following))


def _figures(folded: str) -> list[tuple[float, int, str]]:
    """(value, place, as written) of every number of a folded text, in figures or in words."""
    found: list[tuple[float, int, str]] = []
    pattern = r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)*|[a-z]+"
    run: list[tuple[str, int]] = []

    def close() -> None:
        words = [word for word, _ in run]
        if run and words not in (["un"], ["une"], ["one"]):
            start, last = run[0][1], run[-1]
            found.append((_worded(words), start, folded[start : last[1] + len(last[0])]))
        run.clear()

    end, figured = 0, False  # whether the token before is a number in figures
    for token in re.finditer(pattern, folded):
        text, between = token[0], folded[end : token.start()]
        end = token.end()
        if text[0].isdigit():
            close()
            found.append((_value(text), token.start(), text))
            figured = True
            continue
        elif text in SCALE_OF and "cent" not in text and figured and not between.strip(" -"):
            value, place, _ = found.pop()
            found.append((min(value * SCALE_OF[text], LARGEST), place, folded[place : token.end()]))
        elif text in UNITS or (text in SCALE_OF and (text != "cents" or (run and run[-1][0] in HUNDREDS))):
            if run and between.strip(" -"):
                close()
            run.append((text, token.start()))
        elif run and not between.strip() and run[-1][0] in JOINED.get(text, ()):
            continue
        else:
            close()
        figured = False
    close()
    return found


def _with_units(text: str) -> str:
    """The text with signs of money and shares as words behind their numbers, and these without ordinal endings."""
    text = re.sub(r"([£$€])\s?(\d+(?:[.,]\d+)*(?:\s(?:million|billion))?)", r"\2 \1", text)
    for sign, word in (("£", " pound "), ("$", " dollar "), ("€", " euro "), ("%", " percent ")):
        text = text.replace(sign, word)
    text = re.sub(r"(?<=\d)(?:er|[èe]re|[èe]me|e|st|nd|rd|th)\b", "", text)  # "1er", "3rd"
    return re.sub(r"\b(?:per|pour)[ -]cent\b", "percent", text)


def _things(folded: str, place: int, written: str) -> list[str]:
    """The stems of the content words among the four words behind a number, up to the sentence's end.

    Another number ends them too, but not in "two of the four cables" and "from 30 to 45 grams".
    """
    behind = re.split(r"[.;:!?](?:\s|$)", folded[(end := place + len(written)) : end + NEARBY])[0]
    found, before = [], ""
    for word in _words(behind)[:4]:
        if (word[0].isdigit() or word in UNITS) and word not in ("un", "une", "one"):
            if before not in ("of", "the", "to", "and", "or", "de", "des", "les", "a", "et", "ou"):
                break
        elif word in CALENDAR or (word not in STOP and len(word) > 1):
            found.append(_stem(word))
        before = word
    return found


def _unit(folded: str, place: int, written: str) -> str:
    """The stem of the word that a number counts, right behind it; "" where a stop word or a sign stands there."""
    word = re.match(r"[ -]+(?:d'|de |of )?([a-z]{2,})", folded[(end := place + len(written)) : end + NEARBY])
    counts = word and word[1] not in UNITS and (word[1] in CALENDAR or word[1] not in STOP)
    return _stem(word[1]) if counts else ""


class _Counts:
    """What the numbers of a text count."""

    def __init__(self, text: str) -> None:
        folded = _fold(_with_units(text))
        self.values: set[float] = set()
        self.bare: set[float] = set()  # those that stand somewhere without saying what they count
        self.may_count: set[tuple[float, str]] = set()
        self.of_unit: dict[str, set[float]] = {}
        for value, *at in _figures(folded):
            unit = _unit(folded, *at)
            self.values.add(value)
            self.may_count.update((value, thing) for thing in _things(folded, *at))
            if unit:
                self.of_unit.setdefault(unit, set()).add(value)
            else:
                self.bare.add(value)

    def allow(self, value: float, unit: str, rough: bool, few: bool) -> bool:
        """Whether a number of a summary can be this text's.

        It stands here, is the sum of what is counted here, is `few`, or is a `rough` one (a tenth off at most). It
        cannot be where this text counts the same things and comes to others: "12 patients" for its "8 patients".
        """
        counted = self.of_unit.get(unit, set())
        if value == sum(counted):
            return True
        if value in self.values or few:
            return value in self.bare or (value, unit) in self.may_count or not counted
        return rough and any(abs(value - known) <= 0.1 * known for known in self.values)


def _value(figures: str) -> float:
    """Figures → number; a comma before three figures, or a blank, divides thousands in either language."""
    plain = re.sub(r"(?<=\d)[ ,](?=\d{3}(?!\d))", "", figures).replace(",", ".")
    whole, _, rest = plain.partition(".")
    return min(float(f"{whole}.{rest.replace('.', '')}" if rest else whole), LARGEST)


def _worded(words: list[str]) -> float:
    total = current = 0.0  # never an int, which "hundred hundred …" would make too long for a float
    for word in words:
        if word in UNITS:
            current = 80.0 if word in ("vingt", "vingts") and current == 4 else current + UNITS[word]
        elif SCALE_OF[word] == 100:
            current = (current or 1.0) * 100
        else:
            total, current = total + (current or 1.0) * SCALE_OF[word], 0.0
    return min(total + current, LARGEST)


def _numbers(text: str) -> set[float]:
    return {value for value, _, _ in _figures(_fold(_with_units(text)))}


# ---------------------------------------------------------------- the other scores


def _coverage(output: str, source: str, size: int) -> float:
    """Share of the weight of the source's weightiest words that the output says; full marks from COVERED on.

    A word weighs by how often it comes; twice in the first sentence, half as much again for a name or a number. An
    output that says little of what comes after the first sentence covers little, whatever its words weigh.
    """
    part = _size(source) / max(size, 1)  # a part of a source is owed its share of the words
    said = set(_content(output))
    told = sentences(source)
    first = set(_content(told[0])) if told else set()
    names = {_stem(_fold(name)) for name in _names(source)}
    counts = Counter(_content(source))
    weights = {
        word: (1 + 0.5 * (count - 1)) * (2 if word in first else 1) * (1.5 if word in names or word[0].isdigit() else 1)
        for word, count in counts.items()
    }
    wanted = max(1, round(max(FEWEST, min(MOST, SHARE * size)) * part))
    most = sum(sorted(weights.values(), reverse=True)[:wanted])
    share = sum(weights.get(word, 0.0) for word in said) / most / COVERED if most else 0.0
    rest = set(counts) - first
    reach = len(said & rest) / max(1.0, min(BEYOND, len(rest) / 2) * part) if rest else 1.0
    return min(1.0, share, reach)


def coherence_of(output: str, short: bool = False) -> tuple[float, list[str]]:
    """(score, what is wrong) of a text as a text; a `short` one of up to eight words need be no sentence."""
    text = output.strip()
    words = _words(text)
    if not words:
        return 0.0, ["it is empty"]
    phrase = short and (len(words) <= 5 or (len(words) <= 8 and text[0].islower()))
    faults: list[tuple[float, str]] = []
    if not re.match(r"[\"“«(\[*\-•]?\s*[A-ZÀ-ÖØ-ÞŒ0-9]", text) and not phrase:
        faults.append((0.3, "it begins in the middle of a sentence"))
    ends = is_ended(text.rstrip("*_ ")) and not text.endswith(("...", "…"))
    if not ends and not (phrase and words[-1] not in DANGLING and not text.endswith((",", "-", ":", ";", "...", "…"))):
        faults.append((0.6, "it is cut"))
    elif words[-1] in DANGLING and not re.search(r"\d", text.split()[-1]):
        faults.append((0.5, "its last sentence is not whole"))
    if abs(text.count("(") - text.count(")")) or abs(text.count("«") - text.count("»")) or text.count('"') % 2:
        faults.append((0.3, "a bracket or a quotation is not closed"))
    told = [" ".join(_words(sentence)) for sentence in sentences(text)]
    if len(set(told)) < len(told):
        faults.append((0.5, "a sentence is repeated"))
    elif any(count > 1 for count in Counter(zip(*(words[n:] for n in range(5)), strict=False)).values()):
        faults.append((0.4, "a phrase is repeated"))
    if re.search(r"\b([a-z]{2,}) \1\b", " ".join(word for word in words if word not in ("nous", "vous"))):
        faults.append((0.3, "a word is doubled"))
    if len(words) >= 8 and sum(word in STOP for word in words) < 0.2 * len(words):
        faults.append((0.5, "its words make no sentence"))
    return max(0.0, 1.0 - sum(cost for cost, _ in faults)), [why for _, why in faults]


def _substance(output: str, source: str, size: int) -> tuple[float, list[str]]:
    """(score, what is wrong): content words to all, length against the source, and no mere copy of much of it."""
    words = _words(output)
    if not words:
        return 0.0, ["it is empty"]
    faults = []
    score = min(1.0, sum(word not in STOP for word in words) / len(words) / DENSE)
    least = min(0.08 * size, 10)
    if len(words) < least:
        score *= len(words) / least
        faults.append("it is very short")
    long = len(words) > max(LONGEST * size, 12)
    copied = _copies(words, _words(source))
    if long:
        score *= 0.4
        faults.append("it is hardly shorter than the source")
    if copied:
        score *= 0.0 if long else 0.5
        faults.append("it is a copy of a stretch of the source")
    return score, faults


def _copies(words: list[str], source: list[str]) -> bool:
    """Whether four fifths of the words, COPIED of them at least, stand in the source in one stretch."""
    least = max(COPIED, round(0.8 * len(words)))
    if least > len(source):
        return False
    known = f" {' '.join(source)} "
    return any(f" {' '.join(words[at : at + least])} " in known for at in range(len(words) - least + 1))


def _place(question: str, output: str, passage: str, new: set[Any]) -> float:
    """How near to what is asked about the passage says what the answer adds: 1 for the best place, 0 for none."""
    asked = set(_content(question))
    told = sentences(passage)
    counts = Counter(word for sentence in told for word in set(_content(sentence)))
    fits = []  # of each sentence: how much it is about what is asked, how much of the answer it holds
    for at, sentence in enumerate(told):
        here = set(_content(sentence))
        around = set(_content(told[at - 1])) if at else set()
        about = sum((1.0 if word in here else 0.5) / counts[word] for word in asked if word in here | around)
        held = len(new & (here | _numbers(sentence)))
        fits.append((about, held))
    best = max((about for about, _ in fits), default=0.0)
    if not best:
        return 0.5
    most = max(held for _, held in fits)
    if not most:
        return 0.0 if new else 0.6
    mine = max(about for about, held in fits if held == most)
    return min(1.0, mine / best / NEAR)


def _has(kind: str, output: str) -> bool:
    """Whether the answer has what the question asks for: a number, a time, a person."""
    words = set(_words(output))
    if kind == "person":
        return bool(re.search(r"[A-ZÀ-Þ][a-zà-ÿ]", output)) or len(words) > 1  # a name, or "the new director"
    if _figures(_fold(output)):
        return True
    return bool(words & ({"un", "une", "one", "half", "moitie", "once", "twice"} if kind == "number" else TIMES))


# ---------------------------------------------------------------- what an input holds


def labels_of(text: str) -> list[str]:
    """The labels that the input offers ("Labels: sport, health"), without their marks; [] where it names none."""
    match = LABELS.search(text)
    if not match:
        return []
    listed = re.sub(r"[\"'“”«»\[\]()]|\.$", "", match[1].strip())
    return [label.strip() for label in re.split(r",|;|/|\||\bor\b|\bou\b|\bet\b|\band\b", listed) if label.strip()]


def question_of(text: str) -> str:
    """The last question of the input: after "Question:", or the last sentence with a question mark; "" for none."""
    named = re.findall(r"^[^\w\n]*question\s*:\s*(.+)$", text, re.IGNORECASE | re.MULTILINE)
    asked = [sentence for sentence in sentences(text) if sentence.rstrip(' "»”').endswith("?")]
    return (named or asked or [""])[-1].strip()


# ---------------------------------------------------------------- words


def _fold(text: str) -> str:
    """Lower case without accents; no-break blanks are blanks."""
    plain = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("Œ", "Oe").replace("’", "'"))
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+(?:[.,:]\d+)*", _fold(text))


def _size(text: str) -> int:
    return len(_words(text))


def _content(text: str) -> list[str]:
    """The stems of the words that say something, and the numbers in figures."""
    return [_stem(word) for word in _words(text) if word not in STOP and (len(word) > 2 or word[0].isdigit())]


def _stem(word: str) -> str:
    """Five letters without the ending that inflection changes: "closed" and "closing", "ouvre" and "ouvert"."""
    if word[0].isdigit():
        return word
    stem = word[:5]
    while len(stem) > 4 and stem[-1] in "aeiousdr":
        stem = stem[:-1]
    return stem.rstrip("s") if len(stem) > 3 else stem
