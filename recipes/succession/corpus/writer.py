"""The offline writer: a French case for a target, by patterns of sentences.

It says every leaf of the target and states no other fact; what brings a text to its length states none.
For trying the pipeline and filling a corpus without a key: the same text for the same random state.
"""

import random
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from num2words import num2words

from tuneline.words import MONTHS

from ..records.reading import get
from ..records.schema import Master, Record, flatten, path_of
from .checks import Known, check_case, count_words
from .noise import CLOSE, OPEN, add_noise
from .people import sex_of
from .phrases import SLOT, Part, Pattern, Phrases, choose
from .targets import Dimensions, contradictions

TRIES = 60
BRIEF_AFTER, TERSE_AFTER = 6, 20  # tries, then with fewer words, then with the fewest
SHARES = {
    1.0: ("la totalité",), 0.5: ("la moitié", "50 %"), 0.25: ("un quart", "25 %"), 0.75: ("trois quarts", "75 %"),
    0.3333: ("un tiers", "33,33 %"), 0.6667: ("deux tiers", "66,67 %"), 0.2: ("un cinquième", "20 %"),
    0.1: ("un dixième", "10 %"), 0.1667: ("un sixième", "16,67 %"), 0.125: ("un huitième", "12,5 %"),
}  # fmt: skip
RELATIONS = {  # what the deceased is to the one who asks: a man, a woman
    "enfant": ("père", "mère"), "conjoint": ("mari", "femme"), "beau_enfant": ("beau-père", "belle-mère"),
    "fratrie": ("frère", "sœur"), "petit_enfant": ("grand-père", "grand-mère"),
    "partenaire_pacs": ("partenaire de PACS", "partenaire de PACS"), "concubin": ("compagnon", "compagne"),
    "associe": ("associé", "associée"),
}  # fmt: skip
QUALITIES = {  # what the one who asks is: a man, a woman
    "enfant": ("fils", "fille"), "conjoint": ("époux", "épouse"), "beau_enfant": ("beau-fils", "belle-fille"),
    "fratrie": ("frère", "sœur"), "petit_enfant": ("petit-fils", "petite-fille"),
    "partenaire_pacs": ("partenaire de PACS", "partenaire de PACS"), "concubin": ("concubin", "concubine"),
    "associe": ("associé", "associée"), "notaire": ("notaire", "notaire"), "avocat": ("avocat", "avocate"),
    "tiers": ("tiers à la famille", "tiers à la famille"),
    "narrateur_neutre": ("observateur neutre", "observatrice neutre"),
}  # fmt: skip
COUPLES = ("conjoint", "partenaire_pacs", "concubin")
SURVIVORS = {
    "conjoint": ("l'époux", "l'épouse"), "partenaire_pacs": ("le partenaire de PACS", "la partenaire de PACS"),
    "concubin": ("le concubin", "la concubine"),
}  # fmt: skip
IN_FULL = ("nom_notaire", "nom_avocat", "notaire_depositaire", "notaire_commis")
RANKS = ("premier", "deuxième", "troisième", "quatrième", "cinquième", "sixième")
FAMILY = (
    ("famille.defunt",),
    ("famille.conjoint", "famille.partenaire_pacs", "famille.concubin", "famille.unions_precedentes"),
    ("famille.enfants", "famille.petits_enfants"),
    ("famille.beaux_enfants",),
    ("famille.parents", "famille.fratrie", "famille.autres_proches"),
)
AFFAIRS = (
    ("liberalites.testament", "liberalites.legs", "liberalites.legs_association"),
    ("liberalites.donations", "liberalites.donation_entre_epoux", "liberalites.reserve"),
    ("assurance_vie", "assurance_vie.contrats"),
    ("patrimoine", "patrimoine.biens", "patrimoine.comptes", "patrimoine.dettes"),
    ("patrimoine.entreprise",),
    ("patrimoine.demembrement",),
    ("indivision", "indivision.indivisaires"),
    (
        "operations_de_partage", "operations_de_partage.acte_de_notoriete", "operations_de_partage.options",
        "operations_de_partage.declaration", "operations_de_partage.liquidation_du_regime",
        "operations_de_partage.rapport", "operations_de_partage.recel", "operations_de_partage.partage",
        "operations_de_partage.lots", "operations_de_partage.soulte",
        "operations_de_partage.attribution_preferentielle",
    ),
    ("contexte", "contexte.procedure"),
    ("contexte.international",),
)  # fmt: skip
VOWEL = rf"(?={OPEN}?(?:[aeiouyàâéèêëîïôûœAEIOUÀÂÉÈÊÎÔŒ]|H[eéuo]|Yv))"
ELIDED = (
    (re.compile(rf"\b([dD])e {VOWEL}(?!{OPEN}?(?:onze|un[,.]|oui))"), r"\1'"),
    (re.compile(rf"\b([qQ]u|[lL]orsqu|[pP]uisqu)e {VOWEL}"), r"\1'"),
    (re.compile(r"\bde le (?=défunt)"), "du "),
    (re.compile(r"\bà le (?=défunt)"), "au "),
)


class CannotWrite(ValueError):
    """No text holds the target's facts and passes the checks, as when it has more than its length can say."""


def write_case(target: Record, dimensions: Dimensions, master: Master, rng: random.Random, phrases: Phrases) -> str:
    """A text that says every fact of the target in the manner asked for, and passes `check_case`.

    Raises CannotWrite when none of many tries does.
    """
    least, most = phrases.words[dimensions.length]
    said: list[str] = []
    for number in range(TRIES):
        case = _Case(target, dimensions, master, rng, phrases, number >= BRIEF_AFTER, number >= TERSE_AFTER)
        text = case.text()
        if not least <= count_words(text) <= most:
            said = [f"{'too_long' if count_words(text) > most else 'too_short'}: {count_words(text)} words"]
            continue
        text = add_noise(text, dimensions.noise, rng)
        refused = check_case(text, target, dimensions, master, Known(), phrases.words)
        if not refused:
            return text
        said = [f"{one.reason}: {one.detail}" for one in refused]
    raise CannotWrite(f"{dimensions.signature()}: {'; '.join(said)}")


def keep(text: str) -> str:
    """Text that no noise touches."""
    return f"{OPEN}{text}{CLOSE}"


class _Case:
    """One try. `is_brief`: with few words; `is_terse`: with numbers written in one word, too."""

    def __init__(
        self,
        record: Record,
        dimensions: Dimensions,
        master: Master,
        rng: random.Random,
        phrases: Phrases,
        is_brief: bool,
        is_terse: bool,
    ) -> None:
        self.record, self.dimensions, self.master, self.rng = record, dimensions, master, rng
        self.phrases, self.is_brief, self.is_terse = phrases, is_brief, is_terse
        self.speaks = dimensions.voice == "premiere_personne"
        self.is_unclear = dimensions.hard_negative_mode == "pas_de_deces_clair"
        self.is_other = dimensions.hard_negative_mode == "hors_perimetre"
        self.role = get(record, "contexte.demandeur.qualite")
        self.asker = get(record, "contexte.demandeur.nom")
        self.deceased = get(record, "famille.defunt.nom")
        self.told: set[str] = set()  # names said in full
        self.introduced = False
        self.filling: set[str] = set()
        names = [value for place, value in flatten(record).items() if self._leaf(place).kind == "nom"]
        self.first_names = [name.split(" ")[0] for name in dict.fromkeys(names)]
        self.sex, self.asker_sex = self._sexes()
        self.money = rng.choice(("{} €", "{} €", "{} euros", "{}€"))
        self.group = rng.choice((" ", " ", " ", "\u202f", "."))
        self.is_wordy = rng.random() < 0.08 and not is_brief
        self.day_style = "short" if is_terse else rng.choices(("long", "short"), (75, 25))[0]
        if is_terse:
            self.money, self.group = "{}€", "."

    def _leaf(self, place: str):
        return self.master.leaves[path_of(place)]

    def _sexes(self) -> tuple[str, str]:
        """Of the deceased and of the one who asks; of a couple when names do not tell."""
        partners = [get(self.record, f"famille.{which}.nom") for which in COUPLES]
        other = {"f": "m", "m": "f"}
        couple = next((sex_of(name) for name in partners if name), None)
        sex = sex_of(self.deceased or "") or other.get(couple or "")
        asker = sex_of(self.asker or "")
        if self.role in COUPLES:
            sex = sex or other.get(asker or "")
            asker = asker or (other[sex] if sex else None)
        return sex or self.rng.choice("fm"), asker or self.rng.choice("fm")

    # The whole text

    def text(self) -> str:
        intro = [] if self.is_other else self._intro()
        groups = [group for group in self._groups() if group]
        question = self._question()
        asks_first = self.dimensions.form == "question_directe" and self.rng.random() < 0.35
        body = [[*intro, question] if asks_first else intro, *groups]
        body = [group for group in body if group]
        if not asks_first:
            body.append([question])
        opening, closing = self._opening(), self._closing()
        fixed = [*opening, *(sentence for group in body for sentence in group), *closing]
        self._fill(body, sum(count_words(sentence) for sentence in fixed), asks_first)
        return self._laid_out(opening, body, closing)

    def _groups(self) -> Iterator[list[str]]:
        if self.is_other:
            yield self._asker_details()
            yield from ([one] for one in self._other_domain())
            yield self._sentences("contexte", self.record.get("contexte", {}), ("domaine", "objet_demande"))
            return
        affairs = list(AFFAIRS)
        self.rng.shuffle(affairs)
        family = [self._group(paths) for paths in FAMILY]
        family[0] += self._contradicted() + self._unclear()
        yield from family
        for paths in affairs:
            yield self._group(paths)

    def _group(self, paths: Iterable[str]) -> list[str]:
        found: list[str] = []
        for path in paths:
            node = get(self.record, path)
            if isinstance(node, dict):
                found += self._sentences(path, node, ("objet_demande",))
            elif isinstance(node, list) or self._has_count(path):
                found += self._list(path, node or [])
        return found

    def _has_count(self, path: str) -> bool:
        count = self.phrases.parts[path].count
        return count is not None and get(self.record, count) is not None

    def _intro(self) -> list[str]:
        """Who asks, about whom."""
        found = self._who_asks()
        self.introduced = True
        return [*found, *self._asker_details()]

    def _who_asks(self) -> list[str]:
        about = f"{self._of_deceased()}" if self.is_unclear else f"de la succession {self._of_deceased()}"
        name = self._person(self.asker, True) if self.asker else None
        if self.role is None:
            return []
        if self.speaks:
            return [self._speaker(name, about)]
        sex = self.asker_sex == "f"
        quality = QUALITIES[self.role][sex]
        of = f" {self._of_deceased()}" if self.role in RELATIONS and not self.is_unclear else ""
        verbs = ("demande conseil", "pose la question suivante", "expose ce qui suit", "vient aux renseignements")
        verb = self.rng.choice(verbs)
        if self.is_unclear:
            verb = self.rng.choice((f"parle {self._of_deceased()}", f"vient parler {self._of_deceased()}"))
        if self.dimensions.voice == "parole_rapportee" and not self.is_unclear:
            verb = self.rng.choice(("m'a parlé de l'affaire", "m'a raconté la situation"))
        who = f"{'une' if sex else 'un'} {quality}{of}"
        if self.role in COUPLES and not self.is_unclear:
            who = f"{SURVIVORS[self.role][sex]}{of}"
        if name:
            who = name if self.is_unclear and self.role in RELATIONS else f"{name}, {quality}{of},"
        return [f"{who} {verb}"]

    def _speaker(self, name: str | None, about: str) -> str:
        rng, called = self.rng, f"je m'appelle {name}" if name else ""
        if self.role in RELATIONS:
            say = rng.choice(
                (f"je vous écris au sujet {about}", f"je vous consulte au sujet {about}", f"c'est au sujet {about}")
            )
            return f"{called} et {say}" if called and say.startswith("je") else f"{called}, {say}" if called else say
        quality = QUALITIES[self.role][self.asker_sex == "f"]
        article = {"tiers": "un ", "narrateur_neutre": "un "}.get(self.role, "")
        who = f"je suis {article}{quality}"
        said = f"{called} et {who}" if called else who
        return (
            f"{said}, et je m'occupe {about}"
            if self.role in ("notaire", "avocat")
            else f"{said}, et je vous écris au sujet {about}"
        )

    def _asker_details(self) -> list[str]:
        node = dict(get(self.record, "contexte.demandeur") or {})
        node.pop("qualite", None)
        if self.introduced:
            node.pop("nom", None)
        part = self.phrases.parts["contexte.demandeur"]
        if "nom" in node and not self.speaks:
            name = self._person(node.pop("nom"), True)
            return [
                f"{name} {self.rng.choice(('pose une question', 'demande un conseil'))}",
                *self._cover("contexte.demandeur", part, part.other, node),
            ]
        return self._cover("contexte.demandeur", part, part.first if self.speaks else part.other, node)

    def _question(self) -> str:
        asked = get(self.record, "contexte.objet_demande") or ("open_first" if self.speaks else "open_other")
        said = choose(self.rng.choice(self.phrases.sections["questions"][asked]), self.rng)
        if self.is_terse:
            return said
        if self.dimensions.voice == "parole_rapportee" or (not self.speaks and self.rng.random() < 0.4):
            lead = self.rng.choice(("la question posée est la suivante", "voici la question", "reste la question"))
            said = f"{lead} : {said}"
        return said

    def _other_domain(self) -> list[str]:
        told = self.phrases.sections["other_domains"].get(get(self.record, "contexte.domaine"), [])
        first, *others = told or ["la question n'est pas encore précise"]
        self.rng.shuffle(others)
        least = self.phrases.words[self.dimensions.length][0]
        return [choose(words, self.rng) for words in (first, *others[: 1 if least < 40 else 3])]

    def _contradicted(self) -> list[str]:
        found = []
        told = contradictions(self.record, self.dimensions)
        for one in told[:1] if self.is_terse else told:
            words = self.phrases.sections["contradicted"][path_of(one.place)]
            first, second = (self._value_of(one.place, value) for value in (one.first, one.second))
            if self.is_brief:
                said = self._fill_words(words, {"x": f"{first} ou {second}"})
                found.append(f"{said}, les papiers se contredisent")
                continue
            frame = choose(self.rng.choice(self.phrases.sections["contradictions"]), self.rng)
            sides = {"first": self._fill_words(words, {"x": first}), "second": self._fill_words(words, {"x": second})}
            found.append(self._fill_words(frame, sides))
        return found

    def _value_of(self, place: str, value: Any) -> str:
        path = path_of(place)
        if path == "famille.nombre_enfants":
            return keep("un seul enfant" if value == 1 else f"{_in_words(value)} enfants")
        if path == "liberalites.testament.forme":
            return keep(value)
        return self._said(path, value, None)

    def _unclear(self) -> list[str]:
        section = {"pas_de_deces_clair": "unclear_death", "infos_incompletes": "incomplete"}.get(
            self.dimensions.hard_negative_mode or ""
        )
        if section is None:
            return []
        told = self.phrases.sections[section]["first" if self.speaks else "other"]
        return [choose(words, self.rng) for words in (told[:1] if self.is_brief else told)]

    # Parts and lists

    def _sentences(self, path: str, node: Record, without: Iterable[str] = ()) -> list[str]:
        part = self.phrases.parts.get(path)
        told = {
            name: value for name, value in node.items() if not isinstance(value, dict | list) and name not in without
        }
        if part is None or not told:
            return []
        if path == f"famille.{self.role}" and self.asker and told.get("nom") == self.asker and self.rng.random() < 0.7:
            del told["nom"]  # who asks has said it
        is_own = self.speaks and path == f"famille.{self.role}" and told.get("nom") in (None, self.asker)
        return self._cover(
            path,
            part,
            [*part.first, *part.patterns] if is_own else part.patterns,
            told,
            len(part.first) if is_own else 0,
        )

    def _cover(self, path: str, part: Part, patterns: list[Pattern], told: Record, preferred: int = 0) -> list[str]:
        """Sentences that say each leaf of `told` once. The first `preferred` patterns are taken where one fits."""
        left, found = dict(told), []
        while left:
            usable = [pattern for pattern in patterns[:preferred] if pattern.fits(left)]
            usable = usable or [pattern for pattern in patterns if pattern.fits(left)]
            if path == "famille.defunt" or part.subject:
                anchor = part.subject or "nom"
                usable = [pattern for pattern in usable if anchor in pattern.leaves] or usable
            if not usable:
                raise CannotWrite(f"writer.yaml: no pattern for {path}.{next(iter(left))}")
            pattern = self._pick(usable)
            words = choose(pattern.words, self.rng)
            if not found:
                words = re.sub(r"^\{Dil\} ", "{D} ", words)
            elif self.rng.random() < 0.5:
                words = self._with_pronoun(words, path, told)
            found.append(self._fill_words(words, {}, path, told))
            left = {name: value for name, value in left.items() if name not in pattern.leaves}
        return self._coupled(found)

    def _coupled(self, sentences: list[str]) -> list[str]:
        """Some short ones are made one."""
        found: list[str] = []
        for sentence in sentences:
            short = found and count_words(found[-1]) + count_words(sentence) < 18
            if short and ", et " not in found[-1] and self.rng.random() < 0.25:
                found[-1] = f"{found[-1]}, et {sentence}"
            else:
                found.append(sentence)
        return found

    def _with_pronoun(self, words: str, path: str, told: Record) -> str:
        """« Il » for who the sentence before was about."""
        if path == "famille.defunt":
            return re.sub(r"^\{D\} ", "{Dil} ", words)
        pronoun = "elle" if self._gender(path, told) == "f" else "il"
        return re.sub(r"^\{N\} ", f"{pronoun} ", words) if path.rsplit(".", 1)[-1] in COUPLES else words

    def _pick(self, usable: list[Pattern]) -> Pattern:
        """One that says more sooner than others; in brief, the one with the fewest words for a leaf."""
        if self.is_brief:
            lengths = [count_words(choose(one.words, self.rng)) + 3 for one in usable]
            pairs = zip(lengths, usable, strict=True)
            costs = [length / max(1, len(one.leaves)) * self.rng.uniform(0.9, 1.2) for length, one in pairs]
            return usable[costs.index(min(costs))]
        return self.rng.choices(usable, [max(1, 2 * len(one.leaves) - 1) for one in usable])[0]

    def _list(self, path: str, items: list[Record]) -> list[str]:
        part, count = self.phrases.parts[path], None
        if (
            part.count
            and (count := get(self.record, part.count)) is not None
            and (not items or count != len(items) or count < 2 or self.rng.random() < 0.4)
        ):
            key = "zero" if count == 0 else "single" if count == 1 else "number"
            numbered = [self._fill_words(self.rng.choice(part.words[key]), {"count": self._count(count)})]
            return [*numbered, *(self._items(path, part, items, "many" if len(items) > 1 else "one") if items else [])]
        if count is not None:
            return self._items(path, part, items, "counted", {"count": self._count(count)})
        return self._items(path, part, items, "many" if len(items) > 1 else "one")

    def _items(
        self, path: str, part: Part, items: list[Record], how: str, extra: dict[str, str] | None = None
    ) -> list[str]:
        said = [self._item(path, part, item, number, len(items)) for number, item in enumerate(items)]
        if "also" in part.words and len(said) > 1 and (path == "assurance_vie.contrats" or self.rng.random() < 0.6):
            frames = [self._frame(part.words["one"]), *(self._frame(part.words["also"]) for _ in said[1:])]
            return [
                self._fill_words(choose(frame, self.rng), {"list": one})
                for frame, one in zip(frames, said, strict=True)
            ]
        frame = choose(self._frame(part.words[how]), self.rng)
        together = part.join.join(said) if part.join else _joined(said)
        return [self._fill_words(frame, {**(extra or {}), "list": together})]

    def _frame(self, frames: list[str]) -> str:
        return min(frames, key=count_words) if self.is_terse else self.rng.choice(frames)

    def _item(self, path: str, part: Part, item: Record, number: int, many: int) -> str:
        extra = {"rank": f"{RANKS[min(number, len(RANKS) - 1)]} " if many > 1 else ""}
        left = dict(item)
        head = self._pick(_heads(part, left))
        said = [self._fill_words(choose(head.words, self.rng), extra, path, item)]
        left = {name: value for name, value in left.items() if name not in head.leaves}
        details = []
        while left:
            usable = [pattern for pattern in part.patterns if pattern.fits(left)]
            if not usable:
                raise CannotWrite(f"writer.yaml: no pattern for {path}[].{next(iter(left))}")
            pattern = self._pick(usable)
            details.append(
                (part.patterns.index(pattern), self._fill_words(choose(pattern.words, self.rng), extra, path, item))
            )
            left = {name: value for name, value in left.items() if name not in pattern.leaves}
        if part.subject or self.rng.random() < 0.5:
            details.sort()
        return ", ".join([*said, *(words for _, words in details)])

    # Words for slots

    def _fill_words(self, words: str, extra: dict[str, str], path: str = "", node: Record | None = None) -> str:
        node = node or {}

        def fill(found: re.Match) -> str:
            name, form = found.groups()
            if name in extra:
                return extra[name]
            if name in node:
                if isinstance(node[name], list):
                    inner = f"{path}.{name}"
                    many = "many" if len(node[name]) > 1 else "one"
                    return self._items(inner, self.phrases.parts[inner], node[name], many)[0]
                return self._slot(path, name, node, form)
            return self._context(name, path, node)

        return SLOT.sub(fill, words)

    def _slot(self, path: str, name: str, node: Record, form: str | None) -> str:
        where = self.phrases.paths[f"{path}.{name}"]
        if where.endswith((".lien", ".lien_donataire")):
            lien = self.phrases.sections["values"]["lien"][node[name]]
            return lien[self._subject_sex(path, node) == "f"]
        full = name in IN_FULL or (path == "famille.defunt" and name == "nom")
        return self._said(where, node[name], form, full)

    def _said(self, where: str, value: Any, form: str | None, full: bool = False) -> str:
        leaf = self.master.leaves[where]
        kind = leaf.kind
        if kind == "nom":
            return self._person(value, full)
        if kind == "montant":
            return keep(self._amount(value))
        if kind == "date":
            return keep(self._day(value))
        if kind == "part":
            return keep(self._share(value))
        if kind in ("age", "duree"):
            unit = "mois" if where.endswith("mois") else "an" if value == 1 else "ans"
            return keep(f"{value:g} {unit}".replace(".", ","))
        if kind == "nombre":
            return self._count(value)
        if kind == "enum":
            return self._enumerated(where, value, form)
        return keep(f"{value:g}" if kind == "annee" else value)

    def _enumerated(self, where: str, value: str, form: str | None) -> str:
        use = self.phrases.uses[where]
        said = self.phrases.sections["values"][use][value]
        if use == "nature_bien":
            return _with_article(said, form or "un")
        if use == "pays":
            return said[{"en": 0, "de": 1, "adj": 2}[form or "en"]]
        return said

    def _context(self, name: str, path: str, node: Record) -> str:
        """{D}, {e} and the like."""
        woman = self.sex == "f"
        simple = {
            "De": "e" if woman else "",
            "Dil": "elle" if woman else "il",
            "lui": "elle" if woman else "lui",
            "veuf": "veuve" if woman else "veuf",
        }
        if name in simple:
            return simple[name]
        if name == "D":
            return self._deceased()
        if name == "deD":
            return self._of_deceased()
        if name == "aD":
            return f"à {self._deceased()}"
        gender = self._gender(path, node)
        if name == "e":
            return {"f": "e", "fp": "es", "mp": "s"}.get(gender, "")
        role = path.rsplit(".", 1)[-1]
        if name in ("conjoint", "pacse", "concubin"):
            return SURVIVORS[role][gender == "f"]
        if name == "N":
            return self._again(role, node, gender)
        raise CannotWrite(f"writer.yaml: {path}: nothing fills {{{name}}}")

    def _again(self, role: str, node: Record, gender: str) -> str:
        if role == "demandeur":
            if self.asker:
                return self._person(self.asker)
            return "la personne qui pose la question"
        if name := node.get("nom"):
            return self._person(name)
        return f"{SURVIVORS[role][gender == 'f']} {self._of_deceased()}"

    def _gender(self, path: str, node: Record) -> str:
        part = self.phrases.parts.get(path)
        if part is None or part.subject is None:
            return "m"
        value = node.get(part.subject)
        if part.subject == "nature":
            return self.phrases.sections["values"]["nature_bien"][value][0]
        if path.rsplit(".", 1)[-1] in COUPLES and not value:
            return "m" if self.sex == "f" else "f"
        return sex_of(value or "") or "m"

    def _subject_sex(self, path: str, node: Record) -> str:
        return self._gender(path, node)

    def _deceased(self) -> str:
        """One of the ways to name the person whose estate it is."""
        woman = self.sex == "f"
        if self.role in RELATIONS and (self.speaks or self.is_unclear):
            noun = RELATIONS[self.role][woman]
            mine = {"m": "mon", "f": "ma"} if self.speaks else {"m": "son", "f": "sa"}
            said = f"{mine['f' if woman and noun[0] not in 'aeiou' else 'm']} {noun}"
        elif self.is_unclear:
            said = "la personne concernée"
        else:
            said = "la défunte" if woman else "le défunt"
        if self.deceased in self.told and not self.is_brief and self.rng.random() < 0.25:
            return keep(self.deceased)
        return said

    def _of_deceased(self) -> str:
        return f"de {self._deceased()}"

    def _person(self, name: str, full: bool = False) -> str:
        first = name.split(" ")[0]
        if name == self.deceased and name in self.told and not full:
            return self._deceased()
        if name not in self.told or full:
            is_self = self.speaks and name == self.asker and self.introduced and name in self.told
            self.told.add(name)
            return keep(f"{name} (moi)" if is_self and not full else name)
        if self.speaks and name == self.asker and not self.is_terse:
            return keep(f"{name} (moi)")
        is_enough = self.first_names.count(first) == 1 and self.rng.random() < (
            1 if self.is_terse else 0.8 if self.is_brief else 0.5
        )
        return keep(first if is_enough else name)

    def _amount(self, value: float) -> str:
        if self.is_wordy and value == int(value) and value % 1_000 == 0 and value < 1e9:
            million = value >= 1_000_000 and value % 1_000_000 == 0
            return f"{_in_words(value)} {('d’' if million else '')}euros"
        if (
            value % 1_000 == 0
            and self.dimensions.noise in ("fautes_et_abreviations", "tres_brouillon")
            and self.rng.random() < 0.4
        ):
            return f"{value / 1_000:g} k€"
        digits = f"{value:,.2f}".removesuffix(".00").replace(",", "x").replace(".", ",").replace("x", self.group)
        return self.money.format(digits)

    def _day(self, value: str) -> str:
        day = date.fromisoformat(value)
        if self.day_style == "short":
            return f"{day:%d/%m/%Y}"
        month = MONTHS["fr"][day.month - 1]
        return f"{'1er' if day.day == 1 else day.day} {month} {day.year}"

    def _share(self, value: float) -> str:
        known = SHARES.get(round(value, 4))
        return self.rng.choice(known) if known else f"{value * 100:.4g} %".replace(".", ",")

    def _count(self, value: float) -> str:
        if 0 <= value <= 16 and value == int(value) and self.rng.random() < 0.7:
            return keep(_in_words(value))
        return keep(f"{value:g}")

    # Length and form

    def _opening(self) -> list[str]:
        form = self.dimensions.form
        told = self.phrases.sections["openings"]
        key = {"message_conflictuel": "message_conflictuel_other", "oral_retranscrit": "oral_other"}.get(form, form)
        if form == "mail_brouillon" and self.is_brief:
            return ["bonjour,"]
        if self.is_brief and (form != "message_conflictuel" or self.rng.random() < 0.3):
            return []
        if not self.speaks and form in ("question_directe", "recit_libre"):
            return []
        said = choose(self.rng.choice(told[form if self.speaks or key not in told else key]), self.rng)
        return [said] if said else []

    def _closing(self) -> list[str]:
        form = self.dimensions.form
        told = self.phrases.sections["closings"]
        if self.is_brief or (
            not self.speaks and form not in ("mail_brouillon", "note_professionnelle", "message_conflictuel")
        ):
            return []
        key = f"{form}_other" if not self.speaks and f"{form}_other" in told else form
        said = self.rng.choice(told.get(key, [""]))
        if form == "mail_brouillon" and self.speaks and self.asker:
            said = f"{said},\n{keep(self.asker)}"
        return [said] if said else []

    def _fill(self, body: list[list[str]], words: int, asks_first: bool) -> None:
        """Adds sentences that state no fact, after groups, until the text is long enough."""
        least, most = self.phrases.words[self.dimensions.length]
        if self.is_brief and words >= least + 3:
            return
        aim = max(
            least + 8,
            min(
                most - 20, int(self.rng.triangular(least, least + 0.55 * (most - least), least + 0.2 * (most - least)))
            ),
        )
        pool = self._fillers()
        self.filling = set(pool)
        while words < aim and pool:
            sentence = pool.pop()
            last = len(body) if asks_first else len(body) - 1
            body[self.rng.randrange(max(1, last)) if len(body) > 1 else 0].append(sentence)
            words += count_words(sentence)

    def _fillers(self) -> list[str]:
        told = self.phrases.sections["fillers"]
        as_self = self.speaks and self.role not in ("notaire", "avocat")
        pool = list(told["first" if as_self else "other"])
        self.rng.shuffle(pool)
        special = []
        if self.dimensions.form == "message_conflictuel":
            special += told["conflict" if as_self else "conflict_other"]
        if self.dimensions.form == "oral_retranscrit":
            special += told["oral"]
        if self.dimensions.noise == "ambigu":
            special += told["ambiguous"]
        self.rng.shuffle(special)
        return [choose(words, self.rng) for words in [*pool, *special]]

    def _laid_out(self, opening: list[str], body: list[list[str]], closing: list[str]) -> str:
        note, form = self.dimensions.voice == "note_dossier", self.dimensions.form
        if form == "oral_retranscrit":
            body = [[self._spoken(sentence) for sentence in group] for group in body]
        if self.dimensions.voice == "parole_rapportee":
            body = [body[0], *([self._reported(sentence) for sentence in group] for group in body[1:])]
        paragraphs = [self._paragraph(group, note) for group in body]
        if form == "note_professionnelle" or (note and form != "oral_retranscrit"):
            between = "\n"
        elif form in ("mail_brouillon", "recit_libre") and self.dimensions.length in ("long", "tres_long"):
            between = "\n\n"
        else:
            between = " "
        start = [_sentence(one) for one in opening]
        end = [_sentence(one, "" if form == "mail_brouillon" else ".") for one in closing]
        outer = "\n\n" if form in ("mail_brouillon", "note_professionnelle") else " "
        return outer.join([*start, between.join(paragraphs), *end])

    def _paragraph(self, group: list[str], note: bool) -> str:
        said = [_sentence(one) for one in group]
        if note and self.dimensions.form in ("note_professionnelle", "recit_libre"):
            return "\n".join(f"- {one}" for one in said)
        return " ".join(said)

    def _spoken(self, sentence: str) -> str:
        if sentence not in self.filling and not self.is_terse and self.rng.random() < (0.15 if self.is_brief else 0.4):
            return f"{self.rng.choice(('alors, ', 'euh, ', 'bon, ', 'donc, ', 'et puis, ', 'enfin, '))}{sentence}"
        return sentence

    def _reported(self, sentence: str) -> str:
        if self.is_brief or sentence in self.filling or sentence.endswith(("?", ",", ".")) or self.rng.random() < 0.55:
            return sentence
        frame = choose(self.rng.choice(self.phrases.sections["reported"]), self.rng)
        woman = self.asker_sex == "f"
        return self._fill_words(
            frame, {"Il": "elle" if woman else "il", "lui": "elle" if woman else "lui", "x": sentence}
        )


def _heads(part: Part, told: Record) -> list[Pattern]:
    """The heads that leave nothing which no detail can say; those that say something, where there are such."""
    fitting = [pattern for pattern in part.head if pattern.fits(told)]

    def leaves_all(head: Pattern) -> bool:
        left = {name: value for name, value in told.items() if name not in head.leaves}
        sayable = {name for pattern in part.patterns if pattern.fits(left) for name in pattern.leaves}
        return left.keys() <= sayable

    fitting = [head for head in fitting if leaves_all(head)]
    if not fitting:
        raise CannotWrite(f"writer.yaml: no head for an item with {', '.join(told)}")
    return [head for head in fitting if head.leaves] or fitting


def _with_article(said: list[str], form: str) -> str:
    _, indefinite, definite = said
    if form == "un":
        return indefinite
    if form == "de":
        bare = indefinite.removeprefix("des ")
        return f"de {bare}"
    if form == "le":
        return definite
    if definite.startswith("les "):
        return f"des {definite[4:]}"
    return f"du {definite[3:]}" if definite.startswith("le ") else f"de {definite}"


def _joined(items: list[str]) -> str:
    if len(items) == 1:
        return items[0]
    if any("," in item for item in items):
        return " ; ".join(items)
    return f"{', '.join(items[:-1])} et {items[-1]}"


def _in_words(number: float) -> str:
    """`_in_words(281)` is « deux cent quatre-vingt-un », in the spelling of before 1990."""
    return num2words(int(number), lang="fr")


def _sentence(words: str, end: str = ".") -> str:
    """With a capital, its elisions, and a full stop where it has no other end."""
    for pattern, by in ELIDED:
        words = pattern.sub(by, words)
    words = words.strip()
    at = next((place for place, sign in enumerate(words) if sign.isalnum()), 0)
    words = words[:at] + words[at].upper() + words[at + 1 :] if words else words
    lines = [line[:1].upper() + line[1:] for line in words.split("\n")]
    words = "\n".join(lines)
    return words if not words or words.rstrip(CLOSE)[-1] in ".,?!:…" else words + end
