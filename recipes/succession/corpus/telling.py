"""A node of a record as sentences: frames chosen so that each says several of its leaves, and all are said."""

from typing import Any

from ..records.reading import get
from ..records.schema import Record
from . import people
from .frames import SLOT, Frame
from .french import in_words, joined
from .noise import keep
from .voice import COUPLE, CannotWrite, Voice

SHARES = {
    1.0: ("la totalité",), 0.5: ("la moitié", "50 %"), 0.25: ("un quart", "25 %"), 0.75: ("trois quarts", "75 %"),
    0.3333: ("un tiers", "33,33 %"), 0.6667: ("deux tiers", "66,67 %"), 0.2: ("un cinquième", "20 %"),
    0.1: ("10 %", "un dixième"), 0.6: ("60 %", "trois cinquièmes"), 0.4: ("40 %",), 0.8: ("80 %",),
}  # fmt: skip
LEADS = frozenset(
    "nom denomination donataire bien allegue tribunal_saisi assureur capital_deces legs exheredation date_mariage"
    " annee_mariage date_pacs annee_pacs duree_vie_commune actif_brut existe deposee nombre_contrats demandeur"
    " etabli".split()
)


class Teller(Voice):
    """One try's words for a record's nodes."""

    def _tags(self, path: str, node: Record) -> frozenset[str]:
        found = {"je" if self.speaks else "il", "vivant" if self.alive else "mort"}
        return frozenset(found | ({"moi"} if self._is_me(path, node) else set()))

    def _kin(self) -> set[str]:
        """Who is told with what they are to the deceased."""
        found = {self.asker} if self.asker else set()
        for path in ("enfants", "petits_enfants", "autres_proches", "fratrie", "unions_precedentes"):
            found |= {item["nom"] for item in get(self.record, f"famille.{path}") or [] if "nom" in item}
        return found | {name for path in COUPLE if (name := get(self.record, f"{path}.nom"))}

    def _cover(self, path: str, left: Record) -> list[str]:
        """Sentences that say all of the node's leaves, mostly several in one, and first what the node is known by."""
        whole, tags, said = dict(left), self._tags(path, left), []
        if "lien_donataire" in left and "donataire" in left:
            lien = left.pop("lien_donataire")
            if left["donataire"] not in self._kin():
                self.beside[left["donataire"]] = self._lien(path, {"nom": left["donataire"]}, lien, "nu")
        while left:
            frames = [one for one in self.words.say.get(path, ()) if one.fits(left, tags)]
            if not frames:
                raise CannotWrite(f"writer.yaml: nothing says {path}: {', '.join(left)}")
            first = [one for one in frames if "nom" in one.leaves]
            frames = first or [one for one in frames if LEADS & set(one.leaves)] or frames
            frames = [one for one in frames if "moi" in one.only] or frames
            frame = self.rng.choices(frames, [30.0 ** len(one.leaves) for one in frames])[0]
            said.append(self._render(frame, path, whole))
            left = {name: value for name, value in left.items() if name not in frame.leaves}
        return said

    def _cover_person(self, path: str, left: Record, node: Record) -> list[str]:
        tags, said = self._tags(path, node), []
        while left:
            frames = [one for one in self.words.say[path] if one.fits(left, tags)]
            if not frames:
                raise CannotWrite(f"writer.yaml: nothing says {path}: {', '.join(left)}")
            mine = [one for one in frames if "moi" in one.only] or frames
            frame = max(mine, key=lambda one: (len(one.leaves), self.rng.random()))
            said.append(self._render(frame, path, node))
            left = {name: value for name, value in left.items() if name not in frame.leaves}
        return said

    def _render(self, frame: Frame, path: str, node: Record) -> str:
        words = self._choose(frame.note if self.is_note else frame.text)
        said = self._filled_text(words, {}, path, node)
        self.named_last = "{D}" in words or "{Dn}" in words
        return said

    def _wrapped(self, path: str, nodes: list[Record]) -> list[str]:
        items = self._items(path, nodes)
        text, _, note = self.words.items[path]["wrap"][0].partition(" | ")
        words = self._choose(note if self.is_note and note else text)
        return [self._filled_text(words, {"items": items})]

    def _items(self, path: str, nodes: list[Record]) -> str:
        return joined([self._item(path, node) for node in nodes])

    def _item(self, path: str, node: Record) -> str:
        of, tags, left = self.words.items[path], self._tags(path, node), dict(node)
        if {
            node.get("nom"),
            node.get("beneficiaire"),
            node.get("heritier"),
        } & self._kin() and path != "famille.autres_proches[]":
            left.pop("lien", None) if not path.startswith("famille.") else None
        heads = [one for one in of["head"] if one.fits(left, tags) and self._leaves_all(path, one, left, tags)]
        heads = heads or [Frame({}, frozenset(), of["what"], of["what"])]
        frame = self.rng.choices(heads, [30.0 ** len(one.leaves) for one in heads])[0]
        said, lists = [self._filled_text(self._choose(frame.text), {}, path, node)], of.get("more", []) + of["head"]
        left = {name: value for name, value in left.items() if name not in frame.leaves}
        while left:
            fitting = [one for one in lists if one.fits(left, tags)]
            if not fitting:
                raise CannotWrite(f"writer.yaml: nothing says {path}: {', '.join(left)}")
            one = max(fitting, key=lambda one: len(one.leaves))
            words = one.note if self.is_note else one.text
            said.append(self._filled_text(self._choose(words), {}, path, node))
            left = {name: value for name, value in left.items() if name not in one.leaves}
        first, *more = said
        brackets = [one for one in more if one.startswith("(")]
        return ", ".join([" ".join([first, *brackets]), *(one for one in more if one and one not in brackets)])

    def _leaves_all(self, path: str, head: Frame, node: Record, tags: frozenset[str]) -> bool:
        left = {name: value for name, value in node.items() if name not in head.leaves}
        more = self.words.items[path].get("more", [])
        return left.keys() <= {name for one in more if one.fits(left, tags) for name in one.leaves}

    def _filled_text(self, words: str, extra: dict[str, str], path: str = "", node: Record | None = None) -> str:
        return SLOT.sub(lambda found: self._slot(found[1], found[2], extra, path, node or {}), words)

    def _slot(self, name: str, form: str | None, extra: dict[str, str], path: str, node: Record) -> str:
        if name in extra:
            return extra[name]
        if name in node:
            return self._leaf(name, form, path, node)
        made = self._about_deceased(name)
        if made is not None:
            return made
        if name == "N":
            return self._again(path, node)
        if name in ("e", "es"):
            ending = {"f": "e", "fp": "es", "mp": "" if name == "es" else "s"}
            return ending.get(self._gender(path, node), "")
        if name == "pf":
            return "une petite-fille" if people.sex_of(node.get("nom") or "") == "f" else "un petit-fils"
        many = node.get("nombre", 1) > 1
        plain = {
            "d_eux": "d'entre eux",
            "vient": "viennent" if many else "vient",
            "est_n": "sont nés" if many else "est né",
            "eleve": "élevés" if many else f"élevé{'e' if self._gender(path, node) == 'f' else ''}",
        }
        if name in plain:
            return plain[name]
        raise CannotWrite(f"writer.yaml: {path}: nothing fills {{{name}}}")

    def _leaf(self, name: str, form: str | None, path: str, node: Record) -> str:
        value, at = node[name], f"{path}.{name}" if path else name
        if isinstance(value, list):
            items = self._items(f"{at}[]", value)
            if form == "ont":
                many = len(value) > 1 or value[0].get("nombre", 1) > 1
                comma = "," if "," in items else ""
                return "j'ai" if items == "moi" else f"{items}{comma} {'ont' if many else 'a'}"
            return items
        if path == "contexte.demandeur" and name == "nom":
            self.told.add(value)
            return keep(value)
        if name in ("lien", "lien_donataire"):
            return self._lien(path, node, value, form)
        return self._said(at, value, form)

    def _said(self, at: str, value: Any, form: str | None) -> str:
        leaf = self.master.leaves[at]
        kind, name = leaf.kind, at.rsplit(".", 1)[-1]
        if kind == "nom":
            return self._named(name, value, form)
        if kind == "montant":
            return keep(self._amount(value))
        if kind == "date":
            return keep(self._day(value))
        if kind == "part":
            known = SHARES.get(round(value, 4))
            return keep(self.rng.choice(known) if known else f"{value * 100:.4g} %".replace(".", ","))
        if kind in ("age", "duree"):
            unit = "mois" if name.endswith("mois") else "an" if value == 1 else "ans"
            return keep(f"{value:g} {unit}".replace(".", ","))
        if kind == "nombre" and form == "enfants":
            return "aucun enfant" if not value else keep("un enfant" if value == 1 else f"{in_words(value)} enfants")
        if kind == "nombre":
            return keep(in_words(value) if value <= 16 and self.rng.random() < 0.7 else f"{value:g}")
        if kind == "denomination" and form in ("a", "de"):
            the = {"Banque": "la ", "Caisse": "la ", "Financière": "la ", "Crédit": "le "}.get(value.split(" ")[0], "")
            return f"{'à' if form == 'a' else 'de'} {the}{keep(value)}"
        if kind != "enum":
            return keep(f"{value:g}" if kind == "annee" else value)
        return self._enumerated(at, name, value, form)

    def _enumerated(self, at: str, name: str, value: str, form: str | None) -> str:
        if value in self.values["nature_bien"] and name in ("nature", "objet", "bien"):
            _, one, the, bare = self.values["nature_bien"][value]
            return {"un": one, "le": the, "nu": bare, "de": f"de {the}"}.get(form or "un", one)
        if at.rsplit(".", 1)[-1].startswith(("pays", "nationalite", "loi_")):
            where, man, law = self.values["pays"][value]
            return {"en": where, "adj": man, "adjf": law}[form or "en"]
        key = "fratrie_lien" if at.startswith("famille.fratrie") else name
        told = self.values[key][value]
        at_form = {"un": 1, "de": 2 if len(told) > 2 else 1, "nu": 1, "nom": 1, "par": 1}.get(form or "", 0)
        return told[min(at_form, len(told) - 1)]
