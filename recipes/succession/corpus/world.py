"""A whole invented estate, coherent to the day, from which a target takes some leaves.

A world tells more than any case would: the family, who asks, what each topic needs, and a little of all
the rest.
"""

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ..records.reading import ALONE, COMMUNITIES, years_between
from ..records.rules import reserve_share, usufruct_share
from ..records.schema import Record
from . import people as pools
from .family import SURVIVORS, Family, Relative
from .people import COMMUNES

QUESTIONS = {
    "famille_recomposee": ("droits_des_beaux_enfants", "droits_du_conjoint", "ordre_des_heritiers"),
    "donations_reduction": ("rapport_et_reduction_des_donations",),
    "assurance_vie": ("assurance_vie_et_succession",),
    "indivision_partage": ("sortie_de_l_indivision",),
    "ordre_heritiers": ("ordre_des_heritiers",),
    "regimes_matrimoniaux": ("liquidation_du_regime_matrimonial",),
    "entreprise_dutreil": ("transmission_de_l_entreprise", "calcul_des_droits_de_succession"),
    "testament_legs": ("validite_ou_portee_du_testament",),
    "international_procedure": ("competence_et_loi_applicable",),
    "pacs_concubinage": ("droits_du_partenaire_ou_concubin",),
    "demembrement_usufruit": ("usufruit_et_nue_propriete",),
    "dettes_passif": ("paiement_des_dettes",),
}
EUROPE = ("belgique", "luxembourg", "allemagne", "espagne", "portugal", "italie")  # Regulation (EU) 650/2012 applies
ABROAD = (*EUROPE, "suisse", "royaume_uni", "etats_unis", "canada", "maroc", "algerie", "tunisie", "senegal", "israel")
TREATIES = ("belgique", "allemagne", "espagne", "italie", "royaume_uni", "etats_unis")
LAND = ("terrain", "terres_agricoles", "residence_secondaire", "appartement", "immeuble_de_rapport")
GIFTS = ("somme_d_argent", "appartement", "terrain", "maison", "parts_sociales", "portefeuille_titres")
VALUES = {
    "vehicule": (4_000, 40_000),
    "bijoux": (2_000, 40_000),
    "meubles": (2_000, 30_000),
    "oeuvre_d_art": (5_000, 120_000),
    "somme_d_argent": (5_000, 150_000),
    "terrain": (20_000, 180_000),
}


def draw_world(persona: str, topics: Iterable[str], rng: random.Random) -> Record:
    """A record with far more leaves than a target, for one who asks and the topics of the case."""
    return _World(persona, set(topics), rng).record


class _World(Family):
    """The family with its estate, what was given, and what became of it."""

    def __init__(self, persona: str, topics: set[str], rng: random.Random) -> None:
        super().__init__(persona, topics, rng)
        self.contexte = self._context()
        self.is_french = self.contexte.get("international", {}).get("loi_applicable", "france") == "france"
        self.patrimoine = self._estate()
        self.liberalites: Record = {}
        self._add_testament()
        self._add_donations()
        self._add_spouse_rights()
        self._add_reserve()
        self.record = _without_empty(
            {
                "contexte": self.contexte,
                "famille": self.famille,
                "liberalites": self.liberalites,
                "assurance_vie": self._insurance() if self._wants("assurance_vie", 0.2) else {},
                "patrimoine": self.patrimoine,
                "indivision": self._joint_ownership() if self._wants("indivision_partage", 0.12) else {},
                "operations_de_partage": self._partition(),
            }
        )

    # The case

    def _context(self) -> Record:
        asks = self._asker()
        topic = self.rng.choice(sorted(self.topics))
        in_court = self._chance(0.5) if "international_procedure" in self.topics else self._chance(0.06)
        abroad = self._chance(0.75) or not in_court
        conflict = in_court or self._chance(0.45)
        has_notary = self.persona == "notaire" or self._chance(0.8)
        has_counsel = self.persona == "avocat" or in_court or (conflict and self._chance(0.3))
        context = {
            "domaine": "succession",
            "objet_demande": self.rng.choice(QUESTIONS[topic]),
            "demandeur": asks,
            "date_consultation": str(self.today),
            "succession_ouverte": True,
            "etape": self._stage(in_court, conflict),
            "conflit": conflict,
            "notaire_saisi": has_notary,
            "avocat_saisi": has_counsel,
        }
        if has_notary and self.persona != "notaire":
            context["nom_notaire"] = self.people.name(None, 1970)
        if has_counsel and self.persona != "avocat":
            context["nom_avocat"] = self.people.name(None, 1972)
        if in_court:
            context["procedure"] = self._procedure()
        if "international_procedure" in self.topics and abroad:
            context["international"] = self._international()
        return context

    def _asker(self) -> Record:
        role = {"qualite": self.persona}
        here = [child for child in self.children if "died" not in child and "renounced" not in child]
        roles = {
            "enfant": here,
            "petit_enfant": self.grandchildren,
            "fratrie": self.siblings,
            "beau_enfant": [one for one in self.others if one["lien"] == "bel_enfant"],
            "tiers": [one for one in self.others if one["lien"] != "bel_enfant"],
            **{role: [one for one in self.survivors if one["lien"] == role] for role in SURVIVORS.values()},
        }
        if self.persona == "narrateur_neutre":
            return role
        if self.persona in ("notaire", "avocat", "associe"):
            self.asker = {"name": self.people.name(None, 1968), "born": None}
            return {"nom": self.asker["name"], **role, "commune": self.rng.choice(COMMUNES)}
        self.asker = self.rng.choice(roles[self.persona])
        age = years_between(self.asker["born"], self.today)
        told = {"nom": self.asker["name"], **role, "age": age, "commune": self.rng.choice(COMMUNES)}
        if age > 60 and self._chance(0.05):
            told["mesure_de_protection"] = self._any("curatelle", "sauvegarde_de_justice", "habilitation_familiale")
        return told

    def _stage(self, in_court: bool, conflict: bool) -> str:
        if in_court:
            return "procedure_judiciaire"
        since = (self.today - self.death).days
        if since < 70:
            return self._any("deces_recent", "inventaire_en_cours")
        if since < 240:
            return self._any("declaration_en_cours", "inventaire_en_cours", "partage_en_discussion")
        return "partage_bloque" if conflict else "partage_en_discussion"

    def _procedure(self) -> Record:
        seized = self._chance(0.75)
        late = (self.today - self.death).days > 150
        return {
            "tribunal_saisi": seized,
            "ville_tribunal": self.rng.choice(pools.COURTS) if seized else None,
            "nature": self._any(
                "partage_judiciaire",
                "action_en_reduction",
                "nullite_du_testament",
                "recel_successoral",
                "autorisation_de_vente",
                "designation_d_un_mandataire_successoral",
            ),
            "date_assignation": self._since_death(120, 1_500) if seized and late else None,
            "mediation_tentee": self._chance(0.4),
        }

    def _international(self) -> Record:
        kind = self._weighted(residence=40, property=40, heir=20)
        if kind == "residence":
            return self._residence_abroad()
        told: Record = {"pays_residence_defunt": "france", "loi_applicable": "france"}
        if kind == "property" or not self._heirs():
            country = self.rng.choice(ABROAD)
            told |= {"biens_a_l_etranger": True, "pays_des_biens": country}
            told |= {"valeur_biens_etranger": self._euros(40_000, 600_000)}
            told |= {"convention_fiscale": True} if country in TREATIES and self._chance(0.5) else {}
        if kind == "heir" and self._heirs():
            told |= {"heritier_a_l_etranger": self.rng.choice(self._heirs())["name"]}
            told |= {"pays_residence_heritier": self.rng.choice(ABROAD), "biens_a_l_etranger": False}
        return told

    def _residence_abroad(self) -> Record:
        country = self.rng.choice(EUROPE if self._chance(0.6) else ABROAD)
        told = {"pays_residence_defunt": country, "nationalite_defunt": "france", "loi_applicable": country}
        if self._chance(0.35):
            told |= {"loi_applicable": "france", "loi_choisie": "france"}
        if country in EUROPE:
            told |= {"certificat_successoral_europeen": self._chance(0.7)}
        if country in TREATIES and self._chance(0.4):
            told |= {"convention_fiscale": True}
        if self._chance(0.7):
            told |= {"biens_a_l_etranger": True, "pays_des_biens": country}
            told |= {"valeur_biens_etranger": self._euros(40_000, 600_000)}
        return told

    # The estate

    def _estate(self) -> Record:
        goods = [self._home()]
        goods += [self._good() for _ in range(self._any(0, 1, 1, 2))]
        accounts = [self._account() for _ in range(self._any(0, 1, 1, 2))]
        debts = self._debts()
        total = sum(good["valeur"] for good in goods) + sum(account["solde"] for account in accounts)
        gross = max(20_000, round(total * self.rng.uniform(0.75, 1.15), -3))
        debt = sum(one["montant"] for one in debts) + self._any(0, 0, self._euros(1_500, 9_000))
        estate: Record = {"actif_brut": int(gross), "biens": goods, "comptes": accounts, "dettes": debts}
        if debt:
            estate |= {"passif": debt} | ({"actif_net": int(gross) - debt} if debt < gross else {})
        if self._wants("entreprise_dutreil", 0.05) or self.persona == "associe":
            estate["entreprise"] = self._firm()
        if self._wants("demembrement_usufruit", 0.1):
            estate["demembrement"] = self._usufruct()
        return estate

    def _regime(self) -> str | None:
        return self.famille.get("conjoint", {}).get("regime_matrimonial")

    def _ownership(self) -> Record:
        """Whose the thing is in the couple, with the deceased's share where it is owned jointly."""
        if not self.survivors or self.has_concubin:
            return {}
        if self._regime() == "communaute_universelle":
            return {"qualification": "commun"}
        if self._regime() in COMMUNITIES:
            return {"qualification": self._weighted(commun=65, propre_au_defunt=30, propre_au_survivant=5)}
        kind = self._weighted(indivis=55, propre_au_defunt=42, propre_au_survivant=3)
        if kind != "indivis":
            return {"qualification": kind}
        return {"qualification": kind, "quote_part_du_defunt": self._any(0.5, 0.5, 0.6, 0.7)}

    def _owned(self, nature: str, value: int) -> Record:
        owned = self._ownership()
        bought_by_both = owned.get("qualification") in ("commun", "indivis")
        first = max(self.couple_from if bought_by_both else self.birth.year + 24, self.birth.year + 22)
        origins = ("achat", "achat", "construction") if bought_by_both else ("achat", "succession", "donation")
        origin = self.rng.choice(origins)
        if nature not in ("maison", "residence_secondaire") and origin == "construction":
            origin = "achat"
        return {
            "nature": nature,
            "commune": self.rng.choice(COMMUNES),
            "valeur": value,
            **owned,
            "origine": origin,
            "date_acquisition": str(self._in_years(min(first, self.death.year - 1), self.death.year - 1)),
        }

    def _home(self) -> Record:
        home = self._owned(self._any("maison", "maison", "appartement"), self._euros(90_000, 650_000))
        return {**home, "commune": self.home, "residence_principale": True}

    def _good(self) -> Record:
        nature = self._any(*LAND, *LAND, "vehicule", "bijoux", "meubles", "oeuvre_d_art", "portefeuille_titres")
        good = self._owned(nature, self._euros(*VALUES.get(nature, (40_000, 420_000))))
        if nature not in LAND:
            return {name: good[name] for name in ("nature", "valeur", "qualification") if name in good}
        place = self.contexte.get("international", {}).get("pays_des_biens")
        if place:
            del good["commune"]
            good["pays"] = place
        elif nature in ("appartement", "immeuble_de_rapport") and self._chance(0.5):
            good |= {"loue": True, "loyer_mensuel": self._euros(380, 1_900)}
        if self._chance(0.15):
            good["droit_du_defunt"] = self._any("pleine_propriete", "nue_propriete", "usufruit")
        return good

    def _account(self) -> Record:
        account = {
            "nature": self._any("compte_courant", "livret", "livret", "compte_titres", "pea", "pel"),
            "etablissement": self.rng.choice(pools.BANKS),
            "solde": self._euros(900, 90_000),
        }
        if self._heirs() and self._chance(0.2):
            account["procuration"] = self.rng.choice(self._heirs())["name"]
            if self._chance(0.6):
                account["retraits_suspects"] = self._euros(3_000, 60_000)
        return account

    def _debts(self) -> list[Record]:
        many = self._any(1, 2, 2, 3) if "dettes_passif" in self.topics else self._any(0, 0, 0, 1)
        ranges = {
            "emprunt_immobilier": (20_000, 180_000),
            "credit_a_la_consommation": (2_500, 25_000),
            "impots": (800, 18_000),
            "frais_d_obseques": (2_800, 7_500),
            "aide_sociale_recuperable": (6_000, 70_000),
            "cautionnement": (15_000, 150_000),
            "dette_professionnelle": (10_000, 160_000),
            "pret_familial": (4_000, 50_000),
            "decouvert_bancaire": (300, 6_000),
        }
        return [self._debt(kind, ranges[kind]) for kind in self.rng.sample(sorted(ranges), many)]

    def _debt(self, kind: str, amounts: tuple[int, int]) -> Record:
        lent = kind in ("emprunt_immobilier", "credit_a_la_consommation", "cautionnement", "decouvert_bancaire")
        late = kind in ("cautionnement", "dette_professionnelle", "credit_a_la_consommation")
        return {
            "nature": kind,
            "montant": self._euros(*amounts),
            **({"creancier": self.rng.choice(pools.CREDITORS)} if lent else {}),
            **({"assurance_emprunteur": self._chance(0.6)} if kind == "emprunt_immobilier" else {}),
            **({"decouverte_apres_acceptation": True} if late and self._chance(0.3) else {}),
        }

    def _firm(self) -> Record:
        trade = self.rng.choice(pools.FIRMS)
        partnered = self.persona == "associe" or self._chance(0.65)
        if trade in ("Domaine", "Serres") and partnered:
            form = "societe_civile_agricole"
        else:
            form = self._any("sarl", "sarl", "sas", "sa", "snc") if partnered else self._any("eurl", ALONE, "sas")
        firm: Record = {
            "denomination": f"{trade} {self.surname}",
            "forme": form,
            "activite": pools.ACTIVITIES[trade],
            "valeur": self._euros(80_000, 2_400_000),
            "nombre_salaries": self.rng.randint(1, 38),
        }
        if form != ALONE:
            firm["part_detenue"] = self._any(0.4, 0.5, 0.51, 0.6, 0.75, 0.8) if partnered else 1
            if self._chance(0.4):
                firm["compte_courant_d_associe"] = self._euros(8_000, 180_000)
        if partnered:
            asks = self.persona == "associe"
            firm["associe"] = self.asker["name"] if asks else self.people.name(None, self.birth.year)
            firm["clause_d_agrement"] = self._chance(0.7)
            if firm["clause_d_agrement"] and self._chance(0.25):
                firm["agrement_refuse"] = True
        if self._heirs() and not firm.get("agrement_refuse"):
            firm["repreneur"] = self.rng.choice(self._heirs())["name"]
        firm["pacte_dutreil"] = self._chance(0.7)
        if firm["pacte_dutreil"] and form != ALONE:
            firm |= self._engagement(form, partnered)
        return firm

    def _engagement(self, form: str, partnered: bool) -> Record:
        kind = self._weighted(collectif=55, post_mortem=20, repute_acquis=25) if partnered else "unilateral"
        first = max(2019 if kind == "unilateral" else 2005, self.birth.year + 30)
        if kind == "repute_acquis" or (kind == "unilateral" and self.death.year <= 2019):
            return {"engagement": "repute_acquis"}
        if kind == "post_mortem":
            return {"engagement": kind, "date_engagement": self._since_death(20, 175)}
        return {"engagement": kind, "date_engagement": str(self._in_years(first, self.death.year - 1))}

    def _are_common(self) -> bool:
        return all(child.get("filiation") in ("commun", "adoption_pleniere") for child in self.children)

    def _usufruct(self) -> Record:
        """By law for a spouse, by will for another survivor, else by the deceased's own gift.

        The law gives it where all the children are of the couple (C. civ. art. 757).
        """
        heirs = self._heirs()
        origin, then = "succession", self.death
        owner = self._spouse() if self.children and self._are_common() else None
        if not owner and self.survivors and (heirs or not self._spouse()):
            owner, origin = self.survivors[0], "legs"
        if owner is None:
            origin = "donation_avec_reserve_d_usufruit"
            then = self._in_years(max(self.birth.year + 45, self.death.year - 22), self.death.year - 1)
            owner = {"name": self.name, "born": self.birth}
        bare = self.rng.choice(heirs) if heirs else self._stranger("neveu_ou_niece")
        age = years_between(owner["born"], then)
        whole, share = self._euros(100_000, 700_000), usufruct_share(age)
        told = {
            "bien": self._any("maison", "appartement", "residence_secondaire", "immeuble_de_rapport"),
            "usufruitier": owner["name"],
            "nu_proprietaire": bare["name"],
            "age_usufruitier": age,
            "origine": origin,
            "valeur_pleine_propriete": whole,
            "part_usufruit": share,
            "valeur_usufruit": round(whole * share),
        }
        if origin == "donation_avec_reserve_d_usufruit":
            return told
        if self._chance(0.25):
            told |= {"bien": self._any("somme_d_argent", "portefeuille_titres"), "quasi_usufruit": True}
            return told | {"creance_de_restitution": whole}
        told["vente_envisagee"] = self._chance(0.4)
        return told | ({"conversion_en_rente_demandee": True} if self._chance(0.2) else {})

    # Liberalities

    def _add_testament(self) -> None:
        survivor = self.survivors[-1] if self.survivors else None
        unmarried = survivor if survivor and survivor["lien"] != "conjoint" else None
        by_will = self.patrimoine.get("demembrement", {}).get("origine") == "legs"
        if not (by_will or self._wants("testament_legs", 0.15)):
            if self._chance(0.25):
                self.liberalites["testament"] = {"existe": False}
            for one in ("partenaire_pacs", "concubin"):
                if one in self.famille:
                    self.famille[one]["legataire"] = False
            return
        form = self._weighted(olographe=62, authentique=35, mystique=1, international=2)
        made = self._in_years(max(self.birth.year + 40, self.death.year - 18), self.death.year)
        contested = self._chance(0.45)
        undated = contested and form == "olographe" and self._chance(0.15)
        will: Record = {"existe": True, "forme": form, "conteste": contested}
        if not undated:
            will["date"] = str(min(made, self.death - timedelta(days=5)))
        if contested:
            motives = ("insanite_d_esprit", "captation", "atteinte_a_la_reserve", "faux", "vice_de_forme")
            will["motif_contestation"] = "absence_de_date" if undated else self.rng.choice(motives)
        if form == "authentique" or self._chance(0.3):
            will["notaire_depositaire"] = self.contexte.get("nom_notaire") or self.people.name(None, 1965)
        if self._chance(0.12):
            will["executeur_testamentaire"] = self.people.name(None, 1960)
        if self._chance(0.2):
            will["testament_anterieur"] = True
        if self.siblings and not self.children and self._chance(0.2):
            will["exheredation"] = self.rng.choice(self.siblings)["name"]
        self.liberalites["testament"] = will
        self._add_legacies(unmarried, by_will)

    def _add_legacies(self, unmarried: Relative | None, by_will: bool) -> None:
        heirs = [unmarried] if unmarried and (by_will or self._chance(0.75)) else []
        if unmarried:
            self.famille[unmarried["lien"]]["legataire"] = bool(heirs)
        named = [*self.children, *self.grandchildren, *self.siblings, *self.others]
        named = [one for one in named if "died" not in one and "renounced" not in one]
        free = [one for one in named if one["name"] != self.liberalites["testament"].get("exheredation")]
        while not heirs or (len(heirs) < 2 and self._chance(0.35)):
            left = [one for one in free if one not in heirs]
            heirs.append(self.rng.choice(left) if left and self._chance(0.75) else self._stranger("ami"))
            if heirs.count(heirs[-1]) > 1:
                heirs.pop()
                break
        usufruct = by_will and unmarried is not None
        self.liberalites["legs"] = [self._legacy(heir, usufruct and heir is unmarried, len(heirs)) for heir in heirs]
        if self._chance(0.15):
            self.liberalites["legs_association"] = {
                "denomination": self.rng.choice(pools.ASSOCIATIONS),
                **({"montant": self._euros(2_000, 60_000)} if self._chance(0.7) else {"part": 0.1}),
            }

    def _legacy(self, heir: Relative, in_usufruct: bool, many: int) -> Record:
        told = {"beneficiaire": heir["name"], "lien": heir["lien"]}
        if in_usufruct:
            thing = self.patrimoine["demembrement"]["bien"]
            return {**told, "nature": "particulier", "objet": thing, "en_usufruit": True}
        nature = self._weighted(particulier=50, universel=30, a_titre_universel=20)
        if nature == "particulier":
            thing = self._any("somme_d_argent", "appartement", "vehicule", "bijoux", "oeuvre_d_art", "terrain")
            told |= {"objet": thing, "valeur": self._euros(*VALUES.get(thing, (50_000, 300_000)))}
        elif nature == "a_titre_universel":
            told["part"] = self._any(0.25, 0.3333, 0.5) if many < 2 else 0.25
        elif many > 1:
            nature, told["part"] = "a_titre_universel", self._any(0.25, 0.5)
        return {**told, "nature": nature, **({"delivrance_demandee": self._chance(0.5)} if self._chance(0.3) else {})}

    def _add_donations(self) -> None:
        if not self._wants("donations_reduction", 0.22):
            return
        near = [child for child in self.children if "died" not in child] or self.siblings or self.others
        if self.survivors and self._chance(0.15):
            near = [*near, self.survivors[-1]]
        near = near or [self._stranger("ami")]
        children = [one for one in near if one["lien"] == "enfant"]
        if len(children) > 1 and self._chance(0.25):
            first = self._donation(children[0], "donation_partage")
            gifts = [first, *(self._donation(child, "donation_partage") for child in children[1:])]
            self.liberalites["donations"] = [{**gift, "date": max(one["date"] for one in gifts)} for gift in gifts]
            return
        many = min(len(near), self._any(1, 1, 2, 2, 3))
        gifts = [self._donation(one) for one in self.rng.sample(near, many)]
        self.liberalites["donations"] = sorted(gifts, key=lambda gift: gift["date"])

    def _donation(self, to: Relative, nature: str | None = None) -> Record:
        is_child = to["lien"] == "enfant"
        first = max(self.birth.year + 35, to["born"].year + 19, self.death.year - 25)
        given = self._in_years(first, self.death.year - 1)
        # CGI art. 790 G: by a donor of less than 80 years, in force since August 2007.
        may_exempt = is_child and given.year > 2007 and years_between(self.birth, given) < 80
        nature = nature or self._weighted(
            donation_simple=50,
            don_manuel=25,
            don_familial_de_sommes_d_argent=8 if may_exempt else 0,
            donation_deguisee=5,
            donation_indirecte=5,
        )
        thing = self.rng.choice(GIFTS)
        if nature == "don_manuel":
            thing = self._any("somme_d_argent", "somme_d_argent", "bijoux", "portefeuille_titres", "vehicule")
        elif nature == "don_familial_de_sommes_d_argent":
            thing = "somme_d_argent"
        low, high = VALUES.get(thing, (40_000, 320_000))
        high = 31_865 if nature == "don_familial_de_sommes_d_argent" else high
        value = self._euros(low, high)
        deed = nature in ("donation_simple", "donation_partage")
        land = thing in ("appartement", "terrain", "maison")
        return {
            "donateur": self.name,
            "donataire": to["name"],
            "lien_donataire": to["lien"],
            "nature": nature,
            "objet": thing,
            "date": str(min(given, self.death - timedelta(days=40))),
            "valeur_au_jour_de_la_donation": value,
            **({"valeur_au_deces": int(round(value * self.rng.uniform(1.05, 2.2), -3))} if land else {}),
            **({"hors_part_successorale": self._chance(0.35)} if is_child and nature != "donation_partage" else {}),
            **({"reserve_d_usufruit": True} if land and deed and self._chance(0.4) else {}),
            **({"acte_notarie": True} if deed else {}),
            **({"declaree_au_fisc": self._chance(0.5)} if nature == "don_manuel" else {}),
            **({"reduction_demandee": True} if self._chance(0.25 if not is_child else 0.12) else {}),
        }

    def _add_spouse_rights(self) -> None:
        """By law, or by the gift between spouses: never both."""
        spouse = self.famille.get("conjoint")
        if not spouse:
            return
        if self._chance(0.3) and not self.has_concubin:
            given = self._in_years(self.couple_from + 1, self.death.year - 1)
            kinds = "usufruit_total quart_en_propriete_et_trois_quarts_en_usufruit quotite_disponible_en_propriete"
            self.liberalites["donation_entre_epoux"] = {
                "existe": True,
                "date": str(given),
                **({"option": self.rng.choice(kinds.split())} if self.children else {}),
            }
            return
        gone = any("died" in child or "renounced" in child for child in self.children)
        if not self.is_french or gone or "legs" in self.liberalites:
            return
        if self.children:
            own = self._are_common()
            parted = self.patrimoine.get("demembrement", {}).get("origine") == "succession"
            takes_all = own and (parted or self._chance(0.6))
            if takes_all:
                spouse["option_legale"] = "usufruit_de_la_totalite"
            elif not parted:
                spouse |= {"option_legale": "quart_en_propriete"} if own else {"part_en_propriete": 0.25}
        elif parents := self.famille.get("parents"):
            spouse["part_en_propriete"] = 1 - (parents["pere_vivant"] + parents["mere_vivante"]) / 4

    def _add_reserve(self) -> None:
        freed = "donations" in self.liberalites or "legs" in self.liberalites
        gone = any("died" in child or "renounced" in child for child in self.children)
        share = reserve_share(len(self.children), "conjoint" in self.famille)
        if not freed or gone or not share or not self.is_french:
            return
        mass, given = self._freed(share)
        free = round(mass * (1 - share))
        self.liberalites["reserve"] = {
            "masse_de_calcul": mass,
            "part_reserve": round(share, 4),
            "part_quotite_disponible": round(1 - share, 4),
            "montant_quotite_disponible": free,
            "depassement": given > free,
            **({"indemnite_de_reduction": given - free} if given > free else {}),
        }
        if self.children and self._chance(0.06):
            self.liberalites["reserve"]["renonciation_anticipee"] = self.rng.choice(self.children)["name"]

    def _freed(self, reserve: float) -> tuple[int, int]:
        """(mass of C. civ. art. 922, what is charged on the free share by art. 919-1 and 919-2), in euros."""
        left = self.patrimoine.get("actif_net", self.patrimoine["actif_brut"])
        gifts = self.liberalites.get("donations", [])
        values = [gift.get("valeur_au_deces", gift["valeur_au_jour_de_la_donation"]) for gift in gifts]
        mass = left + sum(values)
        own = mass * reserve / max(1, len(self.children))
        charged = 0.0
        for gift, value in zip(gifts, values, strict=True):
            on_reserve = gift["lien_donataire"] == "enfant" and not gift.get("hors_part_successorale")
            charged += max(0, value - own) if on_reserve else value
        for legacy in self.liberalites.get("legs", []):
            whole = left if legacy["nature"] == "universel" else left * legacy.get("part", 0)
            charged += legacy.get("valeur", whole)
        association = self.liberalites.get("legs_association", {})
        charged += association.get("montant", left * association.get("part", 0))
        return mass, round(min(charged, mass))

    # Life insurance

    def _insurance(self) -> Record:
        contracts = [self._contract() for _ in range(self._any(1, 1, 1, 2))]
        contested = self._weighted(no=60, primes=20, clause=20)
        told: Record = {"nombre_contrats": len(contracts), "contrats": contracts}
        if contested == "primes":
            return {**told, "primes_exagerees": True, "contestation": "primes_manifestement_exagerees"}
        if contested == "clause":
            kinds = ("validite_de_la_clause", "changement_de_beneficiaire", "requalification_en_donation")
            return {**told, "contestation": self.rng.choice(kinds)}
        return told

    def _contract(self) -> Record:
        first = max(1998, self.birth.year + 28)
        signed = self._in_years(min(first, self.death.year - 1), self.death.year - 1)
        at_start, at_end = years_between(self.birth, signed), self.age
        may_young, may_old = at_start < 70, at_end >= 71
        when = self._weighted(young=5 * may_young, both=2 * (may_young and may_old), old=3 * may_old or not may_young)
        paid: Record = {}
        if when != "old":
            paid["primes_avant_70_ans"] = self._euros(8_000, 260_000)
        if when != "young":
            paid["primes_apres_70_ans"] = self._euros(5_000, 120_000)
        if when == "young":
            paid["age_au_versement"] = self.rng.randint(at_start, min(69, at_end))
        elif when == "old":
            paid["age_au_versement"] = self.rng.randint(max(70, at_start), max(70, at_end))
        total = paid.get("primes_avant_70_ans", 0) + paid.get("primes_apres_70_ans", 0)
        named, clause = self._beneficiaries()
        exempt = all(one["lien"] in ("conjoint", "partenaire_pacs") for one in named)
        regime = {"young": "article_990_i", "old": "article_757_b", "both": "articles_990_i_et_757_b"}[when]
        return {
            "assureur": self.rng.choice(pools.INSURERS),
            "assure": self.name,
            "souscripteur": self.name,
            "date_souscription": str(signed),
            **paid,
            "capital_deces": max(1_000, int(round(total * self.rng.uniform(1.02, 1.5), -3))),
            "regime_fiscal": "exonere" if exempt else regime,
            "clause_beneficiaire": clause,
            "beneficiaires": named,
            **({"clause_modifiee": True} if self._chance(0.25) else {}),
            **({"beneficiaire_acceptant": True} if self._chance(0.08) else {}),
            **({"fonds_communs": True} if self._regime() in COMMUNITIES and self._chance(0.35) else {}),
        }

    def _beneficiaries(self) -> tuple[list[Record], str]:
        here = [child for child in self.children if "died" not in child]
        steps = [one for one in self.others if one["lien"] == "bel_enfant"]
        pick = self.rng.random()
        if self.survivors and pick < 0.4:
            chosen = [self.survivors[-1]]
            clause = "conjoint" if chosen[0]["lien"] == "conjoint" else "personne_designee"
        elif here and pick < 0.75:
            chosen, clause = (here, "enfants") if self._chance(0.5) else ([self.rng.choice(here)], "personne_designee")
        else:
            chosen = [self.rng.choice(steps or self.grandchildren or self.siblings or [self._stranger("ami")])]
            clause = "personne_designee"
        if clause == "personne_designee" and here and chosen[0] not in here and self._chance(0.2):
            chosen = [*chosen, self.rng.choice(here)]
        parts = [round(1 / len(chosen), 4)] * len(chosen)
        if len(chosen) == 2 and self._chance(0.4):
            parts = self._any([0.6, 0.4], [0.7, 0.3], [0.75, 0.25])
        found = [{"nom": one["name"], "lien": one["lien"]} for one in chosen]
        if len(found) == 1:
            return found, clause
        return [{**one, "part": part} for one, part in zip(found, parts, strict=True)], clause

    # Joint ownership and partition

    def _shares(self) -> list[tuple[Relative, float]]:
        """Each joint owner with a share: who bought jointly has half, a spouse more by what is inherited."""
        heirs = self._heirs()[:6]
        owner = self._spouse() or (self.survivors[0] if self.survivors else None)
        if owner and not heirs:
            heirs = self.siblings[:3] or [self._stranger("cousin")]
        if not owner:
            heirs = heirs if len(heirs) > 1 else [*heirs, self._stranger("cousin")]
            return _by_stock(heirs, 1)
        own = (1 + self._spouse_share()) / 2 if owner["lien"] == "conjoint" and self.children else 0.5
        return [(owner, own), *_by_stock(heirs, 1 - own)]

    def _spouse_share(self) -> float:
        """What a spouse beside children has in full property: by law, or by the gift between spouses."""
        option = self.liberalites.get("donation_entre_epoux", {}).get("option")
        if option == "quotite_disponible_en_propriete":
            return 1 - reserve_share(len(self.children), True)
        legal = self.famille["conjoint"].get("option_legale")
        return 0.0 if option == "usufruit_total" or legal == "usufruit_de_la_totalite" else 0.25

    def _joint_ownership(self) -> Record:
        shares = self._shares()
        names = [one["name"] for one, _ in shares]
        told: Record = {
            "existe": True,
            "bien": self._any("maison", "maison", "appartement", "immeuble_de_rapport", "residence_secondaire"),
            "commune_du_bien": self.home,
            "valeur_du_bien": self._euros(90_000, 700_000),
            "indivisaires": [{"nom": one["name"], "quote_part": round(share, 4)} for one, share in shares],
            "date_debut": str(self.death),
            "vente_souhaitee": True,
        }
        if self._chance(0.6):
            told |= {"occupant": self.rng.choice(names), "occupation_privative": True}
            told |= {"indemnite_occupation_mensuelle": self._euros(300, 1_600)}
            months = (self.today - self.death).days // 30
            told |= {"duree_occupation_mois": self.rng.randint(1, months)} if months > 1 else {}
        if self._chance(0.5):
            told |= {"depenses_avancees": self._euros(900, 35_000), "depenses_payees_par": self.rng.choice(names)}
        told |= {"convention_d_indivision": self._chance(0.2)}
        if self._chance(0.15):
            told |= {"gerant": self.rng.choice(names)}
        if self._chance(0.6):
            against, share = self.rng.choice(shares)
            told |= {"opposant_a_la_vente": against["name"], "majorite_des_deux_tiers": share <= 1 / 3}
        return told

    def _partition(self) -> Record:
        told: Record = {}
        if self._chance(0.4):
            told["acte_de_notoriete"] = {"etabli": True, "date": self._since_death(15, 150)}
        if self._chance(0.3):
            told["inventaire"] = self._chance(0.6)
        if self._chance(0.5) or self.topics & {"dettes_passif", "ordre_heritiers"}:
            told["options"] = self._options()
        if self._chance(0.35):
            told["declaration"] = self._declaration()
        if "regimes_matrimoniaux" in self.topics or (self._regime() and self._chance(0.12)):
            told["liquidation_du_regime"] = self._liquidation()
        gifts = [gift for gift in self.liberalites.get("donations", []) if gift.get("hors_part_successorale") is False]
        if gifts and self._chance(0.6):
            gift = self.rng.choice(gifts)
            owed = gift.get("valeur_au_deces") or gift["valeur_au_jour_de_la_donation"]
            told["rapport"] = {"heritier_tenu": gift["donataire"], "montant": owed}
        if self._heirs() and self._chance(0.08):
            told["recel"] = {"allegue": True, "auteur": self.rng.choice(self._heirs())["name"]}
            told["recel"]["montant"] = self._euros(4_000, 90_000)
        if "indivision_partage" in self.topics:
            told |= self._lots()
        return told

    def _options(self) -> list[Record]:
        found = []
        for heir in self._takers()[:4]:
            if heir["lien"] in ("partenaire_pacs", "concubin", "ami"):
                continue
            prudent = 0.6 if "dettes_passif" in self.topics else 0.1
            plain = "acceptation_pure_et_simple"
            option = "acceptation_a_concurrence_de_l_actif_net" if self._chance(prudent) else plain
            found.append({"heritier": heir["name"], "option": option, "date": self._since_death(20, 240)})
        gone = [child for child in self.children if "renounced" in child]
        for heir in gone:
            found.append({"heritier": heir["name"], "option": "renonciation", "date": self._since_death(20, 150)})
        return found

    def _declaration(self) -> Record:
        filed = (self.today - self.death).days > 100 and self._chance(0.6)
        return {
            "deposee": filed,
            **({"date_depot": self._since_death(90, 260)} if filed else {}),
            "droits_dus": self._euros(1_500, 140_000),
            **({"paiement_fractionne_ou_differe": True} if self._chance(0.2) else {}),
        }

    def _liquidation(self) -> Record:
        regime = self._regime()
        if regime == "participation_aux_acquets":
            return {"creance_de_participation": self._euros(10_000, 160_000)}
        if regime == "separation_de_biens":
            return {"creance_entre_epoux": self._euros(8_000, 120_000)}
        return {
            "actif_de_communaute": self._euros(90_000, 900_000),
            "recompense_due_par": self._any("communaute", "defunt", *(["survivant"] if regime else [])),
            "montant_recompense": self._euros(6_000, 90_000),
        }

    def _lots(self) -> Record:
        shares = self._shares()
        kind = self._weighted(amiable=55, judiciaire=35, partiel=10)
        mass = self._euros(90_000, 900_000) // 1_000 * 1_000
        told: Record = {"partage": {"nature": kind, "masse_partageable": mass}}
        if kind != "judiciaire" and self._chance(0.3):
            told["partage"]["date"] = self._since_death(120, 900)
        if kind == "judiciaire":
            told["partage"]["notaire_commis"] = self.people.name(None, 1966)
            if self._chance(0.6):
                told["partage"] |= {"licitation": True, "mise_a_prix": self._euros(60_000, 400_000)}
                return told
        if self._chance(0.6):
            things = ("maison", "appartement", "terrain", "portefeuille_titres", "somme_d_argent", "parts_sociales")
            told["lots"] = [
                {"attributaire": one["name"], "bien": thing, "valeur": round(mass * share), "part": round(share, 4)}
                for (one, share), thing in zip(shares, self.rng.sample(things, min(6, len(shares))), strict=False)
            ]
        if len(shares) > 1 and self._chance(0.6):
            (debtor, _), (creditor, _) = self.rng.sample(shares, 2)
            told["soulte"] = {"debiteur": debtor["name"], "creancier": creditor["name"]}
            told["soulte"]["montant"] = self._euros(3_000, max(4_000, mass // 6))
        if self._chance(0.35):
            wanted = self.rng.choice(shares)[0]["name"]
            told["attribution_preferentielle"] = {"demandeur": wanted, "bien": self._any("maison", "appartement")}
            if self._chance(0.3):
                told["attribution_preferentielle"]["accordee"] = self._chance(0.5)
        return told


def _by_stock(heirs: list[Relative], whole: float) -> list[tuple[Relative, float]]:
    """Equal shares, those who stand in for the same parent dividing one (C. civ. art. 753)."""
    stocks = [heir.get("parent", heir["name"]) for heir in heirs]
    return [(heir, whole / len(set(stocks)) / stocks.count(stock)) for heir, stock in zip(heirs, stocks, strict=True)]


def _without_empty(value: Any) -> Any:
    """Without None, and without what has nothing left in it."""
    if isinstance(value, dict):
        kept = {name: _without_empty(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner is not None and inner != {} and inner != []}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
