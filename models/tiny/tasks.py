"""Generated chat examples that teach a small model to copy, to extract and to write structure.

Every task is a function `(rng, text) -> messages`. The fillers are drawn from syllables, short
lists and the plain text of this folder, so that what has to be copied is mostly new to the model:
a model that has seen only known names cannot fill a slot with a name it never saw.
No recipe's rows are read here.
"""

import calendar
import json
import random
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
Messages = list[dict[str, str]]

ONSETS = (
    "b br c ch cl d dj dr f fr g gr h j k kh kl l m mb n nd ng p ph pr qu r s sh st t th tr ts v "
    "w x y z zh ñ ç ł š".split()
)
VOWELS = "a a a e e e i i o o u u é è ê ai au ei ï ö ü ã ou ia io oa ø å ı".split()
CODAS = ["", "", "", "", "n", "r", "s", "l", "m", "t", "k", "ng", "rd", "nt", "x", "z", "ck", "ll"]
GIVEN = (
    "Ada Aline Amara Anaïs Anouk Arvid Asha Bao Basma Bruno Camille Chidi Chloé Dara Dimitri Edith "
    "Elif Emre Farah Fatou Gaël Greta Hana Hugo Ines Ivan Jade Jonas Jun Kofi Lea Leïla Linh Luca "
    "Maëlle Maya Mehdi Mina Nadia Nils Noor Ola Omar Pia Priya Quentin Rania Rosa Sana Sven Tariq "
    "Théo Uma Vera Wanda Xin Yara Yusuf Zoé Øyvind Łukasz Émile Inès François Agnès Hélène"
).split()
PLACES = (
    "Paris Lyon Oslo Lagos Hanoi Porto Quito Turin Dakar Kyoto Lima Cork Graz Tunis Riga Nantes "
    "Lille Bergen Accra Pune Austin Leeds Genève Liège Montréal Besançon Málaga Kraków".split()
)
THINGS = (
    "invoice contract report budget ladder lamp kettle bicycle ticket parcel printer desk plan "
    "photo song book recipe table room cabin taxi train lesson garden camera coat cake letter form "
    "facture contrat rapport lampe vélo billet colis bureau plan chanson livre recette chambre "
    "leçon jardin manteau gâteau lettre formulaire carte dossier devis permis badge clé"
).split()
QUALITIES = (
    "red blue old new small large final urgent weekly annual local missing signed draft shared "
    "quiet cheap summer winter second third rouge vieux neuf petit grand urgent annuel"
).split()
MONTHS_EN = list(calendar.month_name)[1:]
MONTHS_FR = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()
DAYS_EN = list(calendar.day_name)
DAYS_FR = "lundi mardi mercredi jeudi vendredi samedi dimanche".split()
NUMBERS_EN = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()
NUMBERS_FR = (
    "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "dix-sept dix-huit dix-neuf vingt"
).split()


class Text:
    """The plain text beside this file, as documents and as a pool of sentences."""

    def __init__(self, folder: Path = HERE / "text") -> None:
        from pydoc_data.topics import topics  # 700 kB of English that every CPython carries

        written = [p.read_text("utf-8") for p in sorted(folder.glob("*.md"))]
        manual = [topics[name] for name in sorted(topics)]
        self.documents = written * 3 + manual  # the manual is four times as long, and narrower
        self.sentences = sorted(
            {
                " ".join(part.split())
                for document in written * 2 + manual
                for part in document.replace("\n\n", ". ").replace("? ", "?. ").split(". ")
                if 12 <= len(part) <= 220
            }
        )

    def sentence(self, rng: random.Random) -> str:
        return rng.choice(self.sentences)

    def passage(self, rng: random.Random, characters: int) -> str:
        """About so many characters of one document, cut between words."""
        document = rng.choice(self.documents)
        start = rng.randrange(max(1, len(document) - characters))
        return " ".join(document[start : start + characters].split(" ")[1:-1])


# ---------------------------------------------------------------- fillers


def pseudo_word(rng: random.Random) -> str:
    syllables = (
        rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice((1, 2, 2, 2, 3)))
    )
    return "".join(syllables)


def name(rng: random.Random) -> str:
    given = rng.choice(GIVEN) if rng.random() < 0.3 else pseudo_word(rng).capitalize()
    shape = rng.random()
    if shape < 0.45:
        full = given
    elif shape < 0.85:
        full = f"{given} {pseudo_word(rng).capitalize()}"
    elif shape < 0.93:
        full = f"{given} {rng.choice(('de', 'van', 'Al', 'Mc', 'O’', 'da'))} {pseudo_word(rng).capitalize()}"
    else:
        full = f"{given}-{pseudo_word(rng).capitalize()}"
    return full.lower() if rng.random() < 0.3 else full


def code(rng: random.Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(1, 4)))
    return rng.choice(("{}-{}", "{}{}", "{} {}", "#{1}", "{}_{}", "v{1}")).format(letters, rng.randint(1, 9999))


def topic(rng: random.Random, text: Text) -> str:
    """One to six words that could be what something is about."""
    kind = rng.random()
    if kind < 0.3:
        words = [rng.choice(THINGS)]
        if rng.random() < 0.6:
            words.insert(0, rng.choice((rng.choice(QUALITIES), pseudo_word(rng), code(rng))))
        return " ".join(words)
    if kind < 0.55:
        return " ".join(pseudo_word(rng) for _ in range(rng.randint(1, 4)))
    if kind < 0.9:
        words = text.sentence(rng).strip(".,;:!?()\"'").split()
        size = rng.randint(1, 6)
        start = rng.randrange(max(1, len(words) - size))
        return " ".join(words[start : start + size]).strip(".,;:!?()\"'«»*`") or pseudo_word(rng)
    return f"{name(rng)} {rng.choice(THINGS)}"


def place(rng: random.Random) -> str:
    known = rng.random() < 0.35
    return rng.choice(PLACES) if known else pseudo_word(rng).capitalize()


def day(rng: random.Random) -> tuple[str, str]:
    """A day as people write it, and in ISO."""
    year, month = rng.randint(1990, 2035), rng.randint(1, 12)
    number = rng.randint(1, calendar.monthrange(year, month)[1])
    iso = f"{year}-{month:02}-{number:02}"
    en, fr = MONTHS_EN[month - 1], MONTHS_FR[month - 1]
    forms = (
        f"{number} {en} {year}",
        f"{en} {number}, {year}",
        f"{en[:3]} {number} {year}",
        f"{number} {fr} {year}",
        f"le {number} {fr} {year}",
        f"{number:02}/{month:02}/{year}",
        f"{number}.{month}.{year}",
        iso,
        f"{en.lower()} {number} {year}",
    )
    return rng.choice(forms), iso


def period(rng: random.Random) -> tuple[str, str, str]:
    """A month, quarter or year as people write it, with its first and last day in ISO."""
    year, first = rng.randint(1990, 2035), rng.randint(1, 12)
    en, fr = MONTHS_EN[first - 1], MONTHS_FR[first - 1]
    last = first
    form = rng.choice((f"{en} {year}", f"in {en} {year}", f"en {fr} {year}", f"{fr} {year}"))
    if rng.random() < 0.35:
        quarter = rng.randint(1, 4)
        first, last = quarter * 3 - 2, quarter * 3
        form = rng.choice((f"Q{quarter} {year}", f"T{quarter} {year}", f"quarter {quarter} of {year}"))
    elif rng.random() < 0.25:
        first, last = 1, 12
        form = rng.choice((f"in {year}", f"en {year}", f"the year {year}", f"{year}"))
    end = calendar.monthrange(year, last)[1]
    return form, f"{year}-{first:02}-01", f"{year}-{last:02}-{end:02}"


def number(rng: random.Random) -> tuple[str, int]:
    value = rng.randint(1, 20) if rng.random() < 0.6 else rng.randint(1, 500)
    forms = [str(value)] * 2
    if value <= 20:
        forms += [NUMBERS_EN[value - 1], NUMBERS_FR[value - 1]]
    return rng.choice(forms), value


def dump(value: object, rng: random.Random) -> str:
    """Mostly compact JSON, as the recipes want it; sometimes with spaces or indented."""
    style = rng.random()
    if style < 0.92:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, ensure_ascii=False, indent=2 if style > 0.97 else None)


def chat(system: str | None, user: str, assistant: str) -> Messages:
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


# ---------------------------------------------------------------- tasks


def repeat(rng: random.Random, text: Text) -> Messages:
    what = rng.choice((topic(rng, text), text.sentence(rng), name(rng), code(rng)))
    if rng.random() < 0.3:
        what = ", ".join(topic(rng, text) for _ in range(rng.randint(2, 6)))
    ask = rng.choice(("Repeat", "Copy this", "Say it again", "Répète", "Recopie"))
    if rng.random() < 0.5:
        return chat(f"{ask}.", what, what)
    return chat(None, f"{ask}: {what}", what)


def marked_spans(rng: random.Random, text: Text) -> Messages:
    """Words between marks are returned under the mark's name."""
    marks = rng.sample((("[", "]"), ("<<", ">>"), ("*", "*"), ("«", "»"), ("{", "}")), 2)
    keys = rng.sample(("span", "name", "part", "a", "b", "title", "mot", "sujet"), 2)
    words = text.sentence(rng).split()
    parts = [topic(rng, text) for _ in range(rng.randint(1, 2))]
    for part, (left, right) in zip(parts, marks, strict=False):
        words.insert(rng.randint(0, len(words)), f"{left}{part}{right}")
    system = "JSON: " + ", ".join(f"{key} = {left} {right}" for key, (left, right) in zip(keys, marks, strict=True))
    found = dict(zip(keys, parts, strict=False))
    return chat(system, " ".join(words), dump(found, rng))


def fields_to_structure(rng: random.Random, text: Text) -> Messages:
    """Shuffled `key: value` lines become JSON, `key: value` lines, or bold labels, in a given order."""
    keys = rng.sample(
        "name title date place price size colour author status owner city verdict summary analogy "
        "explanation mechanism nom titre lieu prix auteur statut ville motif".split(),
        rng.randint(2, 5),
    )
    values: dict[str, object] = {}
    shown = {}
    for key in keys:
        kind = rng.random()
        if kind < 0.2:
            shown[key], values[key] = number(rng)
        elif kind < 0.35:
            items = [name(rng) for _ in range(rng.randint(1, 3))]
            shown[key], values[key] = " and ".join(items), items
        else:
            shown[key] = values[key] = topic(rng, text)
    lines = [f"{key}{rng.choice((': ', ' = ', ' is '))}{shown[key]}" for key in keys]
    rng.shuffle(lines)
    user = rng.choice(("\n", "; ", ", ")).join(lines)
    form = rng.random()
    order = ", ".join(keys)
    if form < 0.7:
        return chat(f"JSON with {order}.", user, dump(values, rng))
    if form < 0.85:
        bold = "\n\n".join(f"**{key.capitalize()}:** {shown[key]}" for key in keys)
        return chat(f"Bold labels: {order}.", user, bold)
    return chat(f"Lines: {order}.", user, "\n".join(f"{key}: {shown[key]}" for key in keys))


def defined_cues(rng: random.Random, text: Text) -> Messages:
    """The system prompt says which cue word introduces which field: it has to be read."""
    cues = [pseudo_word(rng) for _ in range(rng.randint(2, 4))]
    keys = rng.sample("who what where topic owner place target item sender qui quoi lieu".split(), len(cues))
    used = rng.sample(range(len(cues)), rng.randint(1, len(cues)))
    values = {index: rng.choice((name(rng), topic(rng, text), place(rng))) for index in used}
    user = " ".join(f"{cues[index]} {values[index]}" for index in used)
    system = "; ".join(f"{cue} → {key}" for cue, key in zip(cues, keys, strict=True))
    return chat(system, user, dump({keys[i]: values[i] for i in sorted(used)}, rng))


# What people say around a value; `{}` is where it stands. English first, then French.
CUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "giver": (
        ("from {}", "by {}", "sent by {}", "that {} made", "that {} wrote", "{}'s"),
        ("de {}", "par {}", "écrit par {}", "venant de {}", "que {} a fait"),
    ),
    "taker": (
        ("to {}", "for {}", "with {}", "given to {}", "addressed to {}"),
        ("à {}", "pour {}", "avec {}", "destiné à {}"),
    ),
    "witness": (("seen by {}", "copied to {}", "next to {}"), ("vu par {}", "près de {}")),
    "theme": (
        ("about {}", "on {}", "regarding {}", "concerning {}", "mentioning {}", "called {}", "re {}", "named {}"),
        ("sur {}", "au sujet de {}", "concernant {}", "à propos de {}", "nommé {}", "qui parle de {}"),
    ),
    "place": (
        ("in {}", "at {}", "near {}", "around {}", "over in {}"),
        ("à {}", "dans {}", "près de {}", "du côté de {}"),
    ),
    "day": (("on {}", "dated {}", "due {}"), ("daté du {}", "prévu {}", "du {}")),
    "after": (("since {}", "after {}", "starting {}"), ("depuis {}", "après {}", "à partir du {}")),
    "until": (("before {}", "until {}", "by {}"), ("avant {}", "jusqu'au {}")),
    "period": (("from {}", "during {}", "{}"), ("de {}", "pendant {}", "{}")),
    "amount": (
        ("{} of them", "only {}", "the last {}", "first {}", "{} pieces", "top {}", "rated {}"),
        ("{} au plus", "seulement {}", "les {} derniers", "note {}"),
    ),
}
# Words that mean a value of a closed list.
CLOSED: dict[str, dict[str, tuple[str, ...]]] = {
    "order": {
        "up": ("rising", "smallest first", "from low to high", "croissant", "du plus petit au plus grand"),
        "down": ("falling", "largest first", "from high to low", "décroissant", "du plus grand au plus petit"),
    },
    "tone": {
        "kind": ("please", "if you can", "thanks", "s'il te plaît", "merci"),
        "hurried": ("asap", "right now", "quick", "vite", "tout de suite"),
    },
    "when": {
        "dawn": ("at sunrise", "early in the morning", "à l'aube", "tôt le matin"),
        "noon": ("at midday", "around twelve", "à midi", "vers midi"),
        "night": ("after dark", "late in the evening", "cette nuit", "tard le soir"),
    },
    "colour": {
        "red": ("red", "crimson", "rouge"),
        "green": ("green", "olive", "vert", "verte"),
        "blue": ("blue", "navy", "bleu", "bleue"),
    },
    "vessel": {
        "cup": ("cup", "mug", "cups", "mugs", "tasse", "tasses"),
        "bowl": ("bowl", "bowls", "dish", "bol", "bols"),
        "box": ("box", "boxes", "crate", "carton", "boîte", "boîtes", "caisse"),
        "bag": ("bag", "bags", "sack", "sac", "sacs"),
    },
}
# How a request begins tells what is wanted.
ACTS: dict[str, tuple[str, ...]] = {
    "fetch": ("bring", "fetch", "get me", "i need", "can you bring", "apporte", "il me faut", "je veux", "give me the"),
    "tally": ("how many", "how much", "what is the total of", "combien de", "quel est le nombre de", "number of"),
    "describe": ("describe", "tell me about", "explain", "what is", "décris", "explique", "parle-moi de", "in short,"),
    "buy": ("buy", "order", "pay for", "purchase", "achète", "commande", "i would like to buy", "réserve"),
    "drop": ("drop", "cancel", "forget", "remove", "annule", "supprime", "oublie", "no more"),
    "amend": ("make it", "rather", "no,", "and", "plutôt", "et", "instead,", "same but", "pareil mais", "what about"),
    "ask": ("who", "when does", "why", "where did", "is it true that", "qui", "quand", "pourquoi", "où", "est-ce que"),
    "rate": ("rate", "mark", "score", "note", "give a grade to", "évalue", "donne une note à"),
}
SYNONYMS: dict[str, tuple[str, ...]] = {
    "giver": ("giver", "author", "source", "maker"),
    "taker": ("taker", "receiver", "client", "goal"),
    "witness": ("witness", "other", "third"),
    "theme": ("theme", "subject", "matter", "label"),
    "place": ("place", "location", "spot"),
    "day": ("day", "exact_day", "on"),
    "after": ("after", "begin", "floor"),
    "until": ("until", "stop", "ceiling"),
    "period": ("period", "span", "window"),
    "amount": ("amount", "quantity", "limit"),
    "order": ("order", "sorting", "ranking"),
    "tone": ("tone", "mood"),
    "when": ("when", "hour"),
    "colour": ("colour", "paint"),
    "vessel": ("vessel", "container", "kinds"),
}
SYSTEMS = (
    "Read the request and answer with JSON.",
    "Turn the request into one JSON object. Leave out what is not said.",
    "You fill a form from a sentence. Only JSON.",
    "Extrais les champs en JSON.",
    None,
)


def value_for(kind: str, rng: random.Random, text: Text) -> tuple[str, object]:
    """What is written in the request, and what the form holds."""
    if kind in ("giver", "taker", "witness"):
        who = name(rng)
        return who, who
    if kind == "place":
        where = place(rng)
        return where, where
    if kind in ("day", "after", "until"):
        return day(rng)
    if kind == "period":
        form, start, end = period(rng)
        return form, {"start": start, "end": end}
    if kind == "amount":
        return number(rng)
    if kind in CLOSED:
        label = rng.choice(sorted(CLOSED[kind]))
        return rng.choice(CLOSED[kind][label]), label
    about = topic(rng, text)
    return about, about


def request_form(rng: random.Random, text: Text) -> Messages:
    """A request in people's words becomes a sparse form; what cannot be told apart by its words is
    told apart by its cue. Names of keys vary, and the system prompt lists them when they do."""
    french = int(rng.random() < 0.3)
    act = rng.choice(sorted(ACTS))
    kinds = rng.sample(sorted(SYNONYMS), rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5)))
    renamed = rng.random() < 0.35
    keys = {kind: rng.choice(SYNONYMS[kind]) if renamed else kind for kind in sorted(SYNONYMS)}
    head = topic(rng, text) if rng.random() < 0.6 else ""
    parts, found = [], {}
    for kind in kinds:
        written, value = value_for(kind, rng, text)
        cue = "{}" if kind in CLOSED else rng.choice(CUES[kind][french])
        parts.append(cue.format(written))
        found[kind] = value
        if kind in ("giver", "taker") and rng.random() < 0.15:
            other = name(rng)
            parts[-1] += f" {('and', 'et')[french]} {other}"
            found[kind] = [value, other]
        elif kind in ("giver", "taker"):
            found[kind] = [value]
    opening = [rng.choice(ACTS[act])]
    if rng.random() < 0.12:
        act, opening = "none", []
    if head:
        opening.append(head)
        found["what"] = head
    rng.shuffle(parts)
    request = (", " if rng.random() < 0.1 else " ").join([" ".join(opening), *parts]).strip()
    request = rng.choice((request, request, request.capitalize(), f"{request}.", f"{request} ?", f"{request}?"))
    form: dict[str, object] = {"act": act} if rng.random() < 0.9 else {}
    people = {keys[k]: found[k] for k in ("giver", "taker", "witness") if k in found}
    nested = rng.random() < 0.5
    if "what" in found:
        form["what"] = found["what"]
    if nested and people:
        form["people"] = people
    for kind in SYNONYMS:
        if kind in found and not (nested and keys[kind] in people):
            form[keys[kind]] = found[kind]
    if not request or not form:
        return repeat(rng, text)
    if renamed:
        said = "; ".join(f"{keys[k]}: {k}" for k in kinds) or "nothing"
        return chat(f"JSON. Keys: {said}." + (" people is nested." if nested else ""), request, dump(form, rng))
    system = rng.choice(SYSTEMS)
    return chat((system or "JSON.") + (" people is nested." if nested else ""), request, dump(form, rng))


def dates(rng: random.Random, text: Text) -> Messages:
    if rng.random() < 0.5:
        written, iso = day(rng)
        return chat("ISO date.", f"{rng.choice(('', 'on ', 'since ', 'le '))}{written}", iso)
    form, start, end = period(rng)
    return chat("ISO dates.", form, dump({"start": start, "end": end}, rng))


def small_translations(rng: random.Random, text: Text) -> Messages:
    en, fr = rng.choice(
        (
            *zip(MONTHS_EN, MONTHS_FR, strict=True),
            *zip(DAYS_EN, DAYS_FR, strict=True),
            *zip(NUMBERS_EN, NUMBERS_FR, strict=True),
        )
    )
    if rng.random() < 0.5:
        return chat("To French.", en, fr)
    return chat("To English.", fr, en.lower())


def list_work(rng: random.Random, text: Text) -> Messages:
    """Counting, picking, reversing and joining short lists."""
    items = [rng.choice((pseudo_word(rng), name(rng), topic(rng, text))) for _ in range(rng.randint(2, 7))]
    shown = "\n".join(f"- {item}" for item in items)
    index = rng.randrange(len(items))
    system, answer = rng.choice(
        (
            ("How many lines?", str(len(items))),
            ("JSON list.", dump(items, rng)),
            (f"Line {index + 1}.", items[index]),
            ("Last line.", items[-1]),
            ("Reverse.", "\n".join(f"- {item}" for item in reversed(items))),
            (f"After {items[index - 1] if index else 'the start'}?", items[index]),
        )
    )
    return chat(system, shown, answer)


def look_up(rng: random.Random, text: Text) -> Messages:
    """Facts are given, one is asked for."""
    owners = list({name(rng) for _ in range(rng.randint(2, 6))})
    owners.sort()
    rng.shuffle(owners)
    facts = {owner: rng.choice((topic(rng, text), place(rng), code(rng))) for owner in owners}
    verb, ask = rng.choice(
        (("has", "What does {} have?"), ("is in", "Where is {}?"), ("a", "Qu'a {} ?"), ("chose", "Choice of {}?"))
    )
    body = ". ".join(f"{owner} {verb} {fact}" for owner, fact in facts.items())
    who = rng.choice(owners)
    return chat(None, f"{body}. {ask.format(who)}", facts[who])


def first_sentences(rng: random.Random, text: Text) -> Messages:
    """A passage is answered by its first sentence, or by the one that holds a given phrase."""
    sentences = [text.sentence(rng) for _ in range(rng.randint(2, 4))]
    return pick_sentence(rng, sentences)


def pick_sentence(rng: random.Random, sentences: list[str]) -> Messages:
    body = ". ".join(sentences) + "."
    if rng.random() < 0.4:
        system = rng.choice(("Give the first sentence.", "Première phrase.", "The bottom line first."))
        return chat(system, body, sentences[0] + ".")
    chosen = rng.choice(sentences)
    words = chosen.split()
    start = rng.randrange(max(1, len(words) - 3))
    return chat("Give the sentence that says: " + " ".join(words[start : start + 3]), body, chosen + ".")


def tagged_reasoning(rng: random.Random, text: Text) -> Messages:
    """Steps inside tags, then an answer: the shape that some recipes want."""
    steps = [text.sentence(rng) for _ in range(rng.randint(1, 2))]
    answer = text.sentence(rng)
    user = "\n".join((*(f"because: {step}" for step in steps), f"so: {answer}"))
    thinking = "\n".join(f"- {step}" for step in steps)
    return chat("Think, then answer.", user, f"<thinking>\n{thinking}\n</thinking>\n{answer}")


def long_pick(rng: random.Random, text: Text) -> Messages:
    """`pick_sentence` over a body that fills most of the context."""
    sentences: list[str] = []
    while sum(map(len, sentences)) < rng.randint(2500, 5200):
        sentences.append(text.sentence(rng))
    return pick_sentence(rng, sentences)


def long_look_up(rng: random.Random, text: Text) -> Messages:
    facts = {name(rng): topic(rng, text) for _ in range(rng.randint(60, 110))}
    body = "\n".join(f"{owner}: {fact}" for owner, fact in facts.items())
    asked = rng.sample(sorted(facts), 4)
    return chat("JSON of these: " + "; ".join(asked), body, dump({owner: facts[owner] for owner in asked}, rng))


SHORT: dict[Callable[[random.Random, Text], Messages], float] = {
    request_form: 46,
    defined_cues: 9,
    fields_to_structure: 10,
    marked_spans: 7,
    repeat: 8,
    look_up: 5,
    dates: 5,
    first_sentences: 4,
    list_work: 3,
    tagged_reasoning: 2,
    small_translations: 1,
}
LONG: dict[Callable[[random.Random, Text], Messages], float] = {long_pick: 5, long_look_up: 5}


def draw(rng: random.Random, text: Text, tasks: dict[Callable, float] = SHORT) -> Messages:
    """One example of one task, drawn by weight."""
    (task,) = rng.choices(list(tasks), list(tasks.values()))
    return task(rng, text)
