"""The rules of coherence: what each holds and refuses, legal situations that none refuses, records that are none."""

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from recipes.succession.records.rules import (
    ALERT,
    REFUSE,
    RULES,
    alerts,
    broken,
    read_table,
    reserve_share,
    usufruct_share,
)
from recipes.succession.records.schema import flatten, read_master
from recipes.succession.records.table import FACTS, read_never
from tests.conftest import ROOT
from tests.recipes.succession.making import record
from tuneline.files import read_jsonl
from tuneline.recipe.toon import decode

RECIPE = ROOT / "recipes/succession"
MASTER = read_master(RECIPE / "schema.json")


# Rules: a record that keeps each one, and one that breaks it and no other


def will(**told: Any) -> dict[str, Any]:
    return {"liberalites__testaments": [told]}


def legs(*told: dict[str, Any]) -> dict[str, Any]:
    return will(legs=list(told))


MARRIED = {"famille__defunt__etat_civil": "marie", "famille__conjoint__nom": "Anne Morel"}
DIED = {"famille__defunt__date_deces": "2020-05-10"}
BORN = {"famille__defunt__date_naissance": "1940-03-02"}
TWO = {"famille__nombre_enfants": 2}
ONE_CHILD = {"famille__nombre_enfants": 1}
USUFRUCT = {
    "famille__conjoint__nom": "Anne Morel",
    "famille__enfants": [{"nom": "Léa Petit", "filiation": "premier_lit"}],
    "patrimoine__demembrement": {"usufruitiers": [{"nom": "Anne Morel"}], "origine": "succession"},
}
COMPANION = {"famille__concubin__nom": "Luc Petit"}
HE_ACCEPTS = {"operations_de_partage__options": [{"heritier": "Luc Petit", "option": "acceptation_pure_et_simple"}]}
HIS_LOT = {"operations_de_partage__lots": [{"attributaire": "Luc Petit"}]}
REPORT = {"operations_de_partage__rapport__heritier_tenu": "Léa Morel"}
NO_CONTRACT = {"contrat_de_mariage": False, "changement_de_regime": False}
RENOUNCED_BY_ANOTHER = {"operations_de_partage__options": [{"heritier": "Luc Morel", "option": "renonciation"}]}
RENOUNCED = {"operations_de_partage__options": [{"heritier": "Léa Morel", "option": "renonciation"}]}
REPRESENTED = {"famille__petits_enfants": [{"nom": "Léa Morel", "parent": "Luc Morel", "represente_son_parent": True}]}
EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "situation_et_conjoint": (MARRIED, {**MARRIED, "famille__defunt__etat_civil": "divorce"}),
    "situation_et_pacs": (
        {"famille__defunt__vie_de_couple": "pacs", "famille__defunt__etat_civil": "divorce"},
        {"famille__defunt__vie_de_couple": "pacs", "famille__defunt__etat_civil": "marie"},
    ),
    "pacs_ou_mariage": (
        {"famille__partenaire_pacs__nom": "Luc Petit"},
        {"famille__conjoint__nom": "Anne Morel", "famille__partenaire_pacs__nom": "Luc Petit"},
    ),
    "situation_et_concubin": (
        {**MARRIED, "famille__conjoint__separation_de_fait": True, "famille__concubin__nom": "Luc Petit"},
        {"famille__defunt__vie_de_couple": "pacs", "famille__concubin__nom": "Luc Petit"},
    ),
    "celibataire_jamais_marie": (
        {
            "famille__defunt__etat_civil": "celibataire",
            "famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "concubinage"}],
        },
        {
            "famille__defunt__etat_civil": "celibataire",
            "famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "mariage"}],
        },
    ),
    "fin_de_l_union": (
        {"famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "mariage", "fin": "deces"}]},
        {"famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "concubinage", "fin": "divorce"}]},
    ),
    "pas_de_bigamie": (
        {
            "famille__conjoint__annee_mariage": 1990,
            "famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "mariage", "annee_fin": 1990}],
        },
        {
            "famille__conjoint__date_mariage": "1990-06-02",
            "famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "mariage", "annee_fin": 1991}],
        },
    ),
    "mariage_apres_15_ans": (
        {**BORN, "famille__conjoint__date_mariage": "1955-03-02"},
        {**BORN, "famille__conjoint__date_mariage": "1955-03-01"},
    ),
    "mariage_du_vivant": (
        {**DIED, **BORN, "famille__conjoint__date_mariage": "2020-05-10"},
        {**DIED, **BORN, "famille__conjoint__date_mariage": "2020-05-11"},
    ),
    "pacs_du_vivant": (
        {**DIED, "famille__partenaire_pacs__date_pacs": "2020-05-10"},
        {**DIED, "famille__partenaire_pacs__date_pacs": "2020-05-11"},
    ),
    "pacs_depuis_1999": (
        {"famille__partenaire_pacs__annee_pacs": 1999},
        {"famille__partenaire_pacs__annee_pacs": 1998},
    ),
    "prestation_compensatoire": (
        {"famille__unions_precedentes": [{"nom": "Luc Petit", "fin": "divorce", "prestation_compensatoire": 20_000}]},
        {"famille__unions_precedentes": [{"nom": "Luc Petit", "fin": "deces", "prestation_compensatoire": 20_000}]},
    ),
    "duree_de_vie_commune": (
        {**DIED, "famille__concubin__annee_debut": 2010, "famille__concubin__duree_vie_commune": 11},
        {**DIED, "famille__concubin__annee_debut": 2010, "famille__concubin__duree_vie_commune": 13},
    ),
    "deces_apres_naissance": (
        {"famille__defunt__annee_naissance": 2020, **DIED},
        {"famille__defunt__annee_naissance": 2021, **DIED},
    ),
    "age_du_defunt": (
        {**BORN, **DIED, "famille__defunt__age_au_deces": 81},  # 80 by the dates
        {**BORN, **DIED, "famille__defunt__age_au_deces": 82},
    ),
    "ages_de_l_enonce": (
        {
            "contexte__date_consultation": "2021-01-10",
            "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "1970-06-01", "age": 51}],
        },
        {
            "contexte__date_consultation": "2021-01-10",
            "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "1970-06-01", "age": 52}],
        },
    ),
    "date_et_annee": (
        {**DIED, "famille__defunt__annee_deces": 2020},
        {**DIED, "famille__defunt__annee_deces": 2019},
    ),
    "personnes_distinctes": (
        {"famille__defunt__nom": "Luc Morel", "famille__enfants": [{"nom": "Léa Morel"}, {"nom": "Hugo Morel"}]},
        {"famille__defunt__nom": "Luc Morel", "famille__enfants": [{"nom": "Léa Morel"}, {"nom": "Luc Morel"}]},
    ),
    "demandeur_et_defunt": (
        {
            "famille__defunt__nom": "Luc Morel",
            "contexte__demandeur__nom": "Luc Morel",
            "contexte__etape": "anticipation",
        },
        {"famille__defunt__nom": "Luc Morel", "contexte__demandeur__nom": "Luc Morel"},
    ),
    "demandeur_et_survivant": (
        {**MARRIED, "contexte__demandeur": {"nom": "Anne Morel", "qualite": "conjoint"}},
        {**MARRIED, "contexte__demandeur": {"nom": "Anne Petit", "qualite": "conjoint"}},
    ),
    "enfants_comptes": (
        {**TWO, "famille__enfants": [{"nom": "Léa Morel"}]},
        {**ONE_CHILD, "famille__enfants": [{"nom": "Léa Morel"}, {"nom": "Hugo Morel"}]},
    ),
    "naissance_apres_12_ans": (
        {**BORN, "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "1952-03-02"}]},
        {**BORN, "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "1952-03-01"}]},
    ),
    "naissance_des_enfants": (
        {**DIED, "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "2021-03-06"}]},  # the 300th day
        {**DIED, "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "2021-03-07"}]},
    ),
    "indigne_sans_part": (
        {"famille__enfants": [{"nom": "Léa Morel", "indigne": True}], **RENOUNCED_BY_ANOTHER},
        {"famille__enfants": [{"nom": "Léa Morel", "indigne": True}], **RENOUNCED},
    ),
    "enfant_predecede": (
        {**DIED, "famille__enfants": [{"nom": "Léa Morel", "decede": True, "annee_deces": 2020}]},
        {**DIED, "famille__enfants": [{"nom": "Léa Morel", "decede": True, "annee_deces": 2021}]},
    ),
    "representation": (
        {**REPRESENTED, "operations_de_partage__options": [{"heritier": "Luc Morel", "option": "renonciation"}]},
        {
            **REPRESENTED,
            "operations_de_partage__options": [{"heritier": "Luc Morel", "option": "acceptation_pure_et_simple"}],
        },
    ),
    "representation_d_un_vivant": (
        {**REPRESENTED, "famille__enfants": [{"nom": "Luc Morel", "decede": False, "renoncant": True}]},
        {**REPRESENTED, "famille__enfants": [{"nom": "Luc Morel", "decede": False, "renoncant": False}]},
    ),
    "parent_du_petit_enfant": (
        {
            **TWO,
            "famille__enfants": [{"nom": "Luc Morel"}],
            "famille__petits_enfants": [{"nom": "Léa Morel", "parent": "Paul Morel"}],
        },
        {
            **ONE_CHILD,
            "famille__enfants": [{"nom": "Luc Morel"}],
            "famille__petits_enfants": [{"nom": "Léa Morel", "parent": "Paul Morel"}],
        },
    ),
    "nombres_positifs": (
        {"patrimoine__actif_brut": 0, "patrimoine__actif_net": -40_000},
        {"patrimoine__actif_brut": -1},
    ),
    "parts_au_plus_un": (
        {"patrimoine__entreprise__part_detenue": 1},
        {"patrimoine__entreprise__part_detenue": 50},
    ),
    "ages_et_annees_plausibles": (
        {"contexte__demandeur__age": 101, "famille__defunt__annee_deces": 1998},
        {"contexte__demandeur__age": 101, "famille__defunt__annee_deces": 98},
    ),
    "parts_qui_font_un": (
        {"indivision__indivisaires": [{"nom": f"{n} Morel", "quote_part": 0.3333} for n in "ABC"]},
        {"indivision__indivisaires": [{"nom": f"{n} Morel", "quote_part": 0.34} for n in "ABC"]},
    ),
    "parts_du_capital": (
        {"assurance_vie__contrats": [{"beneficiaires": [{"nom": "Léa Morel", "part": 1}]}]},
        {"assurance_vie__contrats": [{"beneficiaires": [{"nom": f"{n} Morel", "part": 0.6} for n in "AB"]}]},
    ),
    "legs_reductibles": (
        legs(*({"beneficiaire": f"{n} Morel", "part": 0.5} for n in "AB")),
        legs({"beneficiaire": "Léa Morel", "part": 0.6}, {"association": "Les Amis du Port", "part": 0.6}),
    ),
    "actif_net": (
        {"patrimoine__actif_brut": 300_000, "patrimoine__passif": 20_000, "patrimoine__actif_net": 280_000},
        {"patrimoine__actif_brut": 300_000, "patrimoine__passif": 20_000, "patrimoine__actif_net": 290_000},
    ),
    "dettes_dans_le_passif": (
        {"patrimoine__passif": 9_000, "patrimoine__dettes": [{"nature": "impots", "montant": 9_000}]},
        {"patrimoine__passif": 9_000, "patrimoine__dettes": [{"nature": "impots", "montant": 9_500}]},
    ),
    "donateur_et_donataire": (
        {"liberalites__donations": [{"donateur": "Luc Morel", "donataire": "Léa Morel"}]},
        {"liberalites__donations": [{"donateur": "Luc Morel", "donataire": "Luc Morel"}]},
    ),
    "donation_du_vivant": (
        {**DIED, "liberalites__donations": [{"date": "2020-05-11"}]},  # the survivor's, perhaps
        {
            **DIED,
            "famille__defunt__nom": "Luc Morel",
            "liberalites__donations": [{"donateur": "Luc Morel", "date": "2020-05-11"}],
        },
    ),
    "donation_sans_notaire": (
        {"liberalites__donations": [{"nature": "donation_simple", "acte_notarie": True}]},
        {"liberalites__donations": [{"nature": "donation_simple", "acte_notarie": False}]},
    ),
    "don_de_sommes_d_argent": (
        {"liberalites__donations": [{"nature": "don_familial_de_sommes_d_argent", "objet": "somme_d_argent"}]},
        {"liberalites__donations": [{"nature": "don_familial_de_sommes_d_argent", "objet": "appartement"}]},
    ),
    "donation_entre_epoux": (
        {"famille__defunt__etat_civil": "veuf", "liberalites__donation_entre_epoux__existe": True},
        {"famille__defunt__etat_civil": "celibataire", "liberalites__donation_entre_epoux__existe": True},
    ),
    "donation_entre_epoux_et_divorce": (
        {"famille__defunt__etat_civil": "divorce", "liberalites__donation_entre_epoux__existe": False},
        {"famille__defunt__etat_civil": "divorce", "liberalites__donation_entre_epoux__existe": True},
    ),
    "quotite_entre_epoux": (
        {**TWO, "famille__conjoint__option": "quart_en_propriete_et_trois_quarts_en_usufruit"},
        {
            "famille__nombre_enfants": 0,
            "famille__conjoint__option": "quart_en_propriete_et_trois_quarts_en_usufruit",
        },
    ),
    "option_de_la_loi": (
        {"famille__conjoint": {"option": "quart_en_propriete", "source_de_l_option": "loi"}},
        {"famille__conjoint": {"option": "quotite_disponible_en_propriete", "source_de_l_option": "loi"}},
    ),
    "testament_du_vivant": (
        {**DIED, **will(date="2020-05-10")},
        {**DIED, **will(annee=2021)},
    ),
    "legs_et_testament": (
        {"liberalites__testament": True, **legs({"beneficiaire": "Léa Morel"})},
        {"liberalites__testament": False, **legs({"beneficiaire": "Léa Morel"})},
    ),
    "legs_universel": (
        legs({"beneficiaire": "Léa Morel", "nature": "particulier", "objet": "maison"}),
        legs({"beneficiaire": "Léa Morel", "nature": "universel", "objet": "maison"}),
    ),
    "testament_sans_date": (
        will(date="2015-02-03", motif_contestation="captation"),
        will(date="2015-02-03", motif_contestation="absence_de_date"),
    ),
    "testament_sous_tutelle": (
        {"famille__defunt__mesure_de_protection": "curatelle", **will(forme="olographe")},
        {"famille__defunt__mesure_de_protection": "tutelle", **will(forme="olographe")},
    ),
    "reserve_et_enfants_nommes": (
        {"famille__enfants": [{"nom": "Léa"}, {"nom": "Hugo"}], "liberalites__reserve__part_reserve": 0.6667},
        {"famille__enfants": [{"nom": "Léa"}, {"nom": "Hugo"}], "liberalites__reserve__part_reserve": 0.75},
    ),
    "reserve_et_quotite": (
        {**TWO, "liberalites__reserve": {"part_reserve": 0.6667, "part_quotite_disponible": 0.3333}},
        {**TWO, "liberalites__reserve": {"part_reserve": 0.75, "part_quotite_disponible": 0.25}},
    ),
    "montant_de_la_quotite": (
        {
            "liberalites__reserve": {
                "masse_de_calcul": 300_000,
                "part_quotite_disponible": 0.3333,
                "montant_quotite_disponible": 100_000,
            }
        },
        {
            "liberalites__reserve": {
                "masse_de_calcul": 300_000,
                "part_quotite_disponible": 0.3333,
                "montant_quotite_disponible": 150_000,
            }
        },
    ),
    "option_du_conjoint": (
        {
            "famille__conjoint": {"option": "quart_en_propriete", "source_de_l_option": "loi"},
            "famille__enfants": [{"nom": "Léa Petit", "filiation": "premier_lit"}],
        },
        {
            "famille__conjoint": {"option": "usufruit_de_la_totalite", "source_de_l_option": "loi"},
            "famille__enfants": [{"nom": "Léa Petit", "filiation": "premier_lit"}],
        },
    ),
    "usufruit_legal": (
        {**USUFRUCT, "liberalites__donation_entre_epoux__existe": True},
        USUFRUCT,
    ),
    "heritier_sans_testament": (
        {**COMPANION, **HE_ACCEPTS, "famille__concubin__legataire": True},
        {**COMPANION, **HE_ACCEPTS},
    ),
    "lot_sans_testament": (
        {**COMPANION, **HIS_LOT, "indivision__existe": True},
        {**COMPANION, **HIS_LOT},
    ),
    "rapport": (
        {**REPORT, "liberalites__donations": [{"donataire": "Léa Morel", "hors_part_successorale": False}]},
        {**REPORT, "liberalites__donations": [{"donataire": "Léa Morel", "hors_part_successorale": True}]},
    ),
    "rapport_exige": (
        {**REPORT, "liberalites__donations": [{"donataire": "Léa Morel", "nature": "don_manuel"}]},
        {**REPORT, "liberalites__donations": [{"donataire": "Léa Morel", "nature": "present_d_usage"}]},
    ),
    "part_du_conjoint": (
        {
            "famille__nombre_enfants": 0,
            "famille__conjoint__part_en_propriete": 0.75,
            "famille__parents": {"pere_vivant": False, "mere_vivante": True},
        },
        {
            "famille__nombre_enfants": 0,
            "famille__conjoint__part_en_propriete": 0.75,
            "famille__parents": {"pere_vivant": True, "mere_vivante": True},
        },
    ),
    "biens_communs": (
        {
            "famille__conjoint__regime_matrimonial": "communaute_reduite_aux_acquets",
            "patrimoine__biens": [{"nature": "maison", "qualification": "commun"}],
        },
        {
            "famille__conjoint__regime_matrimonial": "participation_aux_acquets",
            "patrimoine__biens": [{"nature": "maison", "qualification": "commun"}],
        },
    ),
    "clauses_de_communaute": (
        {"famille__conjoint": {"regime_matrimonial": "communaute_universelle", "clause_attribution_integrale": True}},
        {
            "famille__conjoint": {
                "regime_matrimonial": "participation_aux_acquets",
                "clause_attribution_integrale": True,
            }
        },
    ),
    "societe_d_acquets": (
        {"famille__conjoint": {"regime_matrimonial": "separation_de_biens", "contrat_de_mariage": True}},
        {"famille__conjoint": {"regime_matrimonial": "separation_de_biens", "clause_de_preciput": True}},
    ),
    "separation_sans_contrat": (
        {"famille__conjoint": {**NO_CONTRACT, "regime_matrimonial": "communaute_reduite_aux_acquets"}},
        {"famille__conjoint": {**NO_CONTRACT, "regime_matrimonial": "separation_de_biens"}},
    ),
    "contrat_avant_le_mariage": (
        {"famille__conjoint": {"date_contrat": "1990-05-02", "date_mariage": "1990-05-18"}},
        {"famille__conjoint": {"date_contrat": "1990-06-02", "date_mariage": "1990-05-18"}},
    ),
    "propre_au_survivant": (
        {"patrimoine__biens": [{"nature": "maison", "qualification": "indivis", "quote_part_du_defunt": 0.5}]},
        {
            "patrimoine__biens": [
                {"nature": "maison", "qualification": "propre_au_survivant", "quote_part_du_defunt": 0.5}
            ]
        },
    ),
    "regime_sans_contrat": (
        {
            "famille__conjoint": {
                "regime_matrimonial": "communaute_universelle",
                "contrat_de_mariage": False,
                "changement_de_regime": True,
            }
        },
        {
            "famille__conjoint": {
                "regime_matrimonial": "communaute_universelle",
                "contrat_de_mariage": False,
                "changement_de_regime": False,
            }
        },
    ),
    "recompenses": (
        {"operations_de_partage__liquidation_du_regime__recompenses": [{"montant": 20_000}]},
        {
            "famille__conjoint__regime_matrimonial": "participation_aux_acquets",
            "operations_de_partage__liquidation_du_regime__recompenses": [{"montant": 20_000}],
        },
    ),
    "creance_de_participation": (
        {
            "famille__conjoint__regime_matrimonial": "participation_aux_acquets",
            "operations_de_partage__liquidation_du_regime__creance_de_participation": 20_000,
        },
        {
            "famille__conjoint__regime_matrimonial": "separation_de_biens",
            "operations_de_partage__liquidation_du_regime__creance_de_participation": 20_000,
        },
    ),
    "assure_est_le_defunt": (
        {
            "famille__defunt__nom": "Luc Morel",
            "assurance_vie__contrats": [{"assure": "Luc Morel", "capital_deces": 50_000}],
        },
        {
            "famille__defunt__nom": "Luc Morel",
            "assurance_vie__contrats": [{"assure": "Anne Morel", "capital_deces": 50_000}],
        },
    ),
    "beneficiaire_n_est_pas_l_assure": (
        {"assurance_vie__contrats": [{"assure": "Luc Morel", "beneficiaires": [{"nom": "Anne Morel"}]}]},
        {"assurance_vie__contrats": [{"assure": "Luc Morel", "beneficiaires": [{"nom": "Luc Morel"}]}]},
    ),
    "primes_et_regime_fiscal": (
        {"assurance_vie__contrats": [{"primes_apres_70_ans": 30_000, "regime_fiscal": "article_757_b"}]},
        {"assurance_vie__contrats": [{"primes_apres_70_ans": 30_000, "regime_fiscal": "article_990_i"}]},
    ),
    "primes_et_age": (
        {"assurance_vie__contrats": [{"primes_apres_70_ans": 30_000, "age_au_versement": 70}]},
        {"assurance_vie__contrats": [{"primes_apres_70_ans": 30_000, "age_au_versement": 69}]},
    ),
    "souscription_du_vivant": (
        {**DIED, "assurance_vie__contrats": [{"annee_souscription": 2020}]},
        {**DIED, "assurance_vie__contrats": [{"annee_souscription": 2021}]},
    ),
    "beneficiaire_exonere": (
        {
            "assurance_vie__contrats": [
                {"regime_fiscal": "exonere", "beneficiaires": [{"nom": "Anne Morel", "lien": "conjoint"}]}
            ]
        },
        {
            "assurance_vie__contrats": [
                {"regime_fiscal": "exonere", "beneficiaires": [{"nom": "Léa Morel", "lien": "enfant"}]}
            ]
        },
    ),
    "contrats_comptes": (
        {"assurance_vie__nombre_contrats": 2, "assurance_vie__contrats": [{"capital_deces": 50_000}]},
        {"assurance_vie__nombre_contrats": 1, "assurance_vie__contrats": [{"capital_deces": 50_000}] * 2},
    ),
    "engagement_dutreil": (
        {**DIED, "patrimoine__entreprise": {"engagement": "post_mortem", "date_engagement": "2020-10-01"}},
        {**DIED, "patrimoine__entreprise": {"engagement": "collectif", "date_engagement": "2020-10-01"}},
    ),
    "associes": (
        {"patrimoine__entreprise": {"forme": "sarl", "associe": "Luc Petit"}},
        {"patrimoine__entreprise": {"forme": "entreprise_individuelle", "associe": "Luc Petit"}},
    ),
    "agrement": (
        {"patrimoine__entreprise": {"clause_d_agrement": True, "agrement_refuse": True}},
        {"patrimoine__entreprise": {"clause_d_agrement": False, "agrement_refuse": True}},
    ),
    "bareme_de_l_usufruit": (
        {"patrimoine__demembrement": {"usufruitiers": [{"age": 70}], "part_usufruit": 0.4}},
        {"patrimoine__demembrement": {"usufruitiers": [{"age": 71}], "part_usufruit": 0.4}},
    ),
    "valeur_de_l_usufruit": (
        {
            "patrimoine__demembrement": {
                "valeur_pleine_propriete": 200_000,
                "part_usufruit": 0.4,
                "valeur_usufruit": 80_000,
            }
        },
        {
            "patrimoine__demembrement": {
                "valeur_pleine_propriete": 200_000,
                "part_usufruit": 0.4,
                "valeur_usufruit": 90_000,
            }
        },
    ),
    "usufruitier_et_nu_proprietaire": (
        {
            "patrimoine__demembrement": {
                "usufruitiers": [{"nom": "Anne Morel"}],
                "nus_proprietaires": [{"nom": "Léa Morel"}],
            }
        },
        {
            "patrimoine__demembrement": {
                "usufruitiers": [{"nom": "Anne Morel"}],
                "nus_proprietaires": [{"nom": "Anne Morel"}],
            }
        },
    ),
    "quasi_usufruit": (
        {"patrimoine__demembrement": {"quasi_usufruit": True, "bien": "portefeuille_titres"}},
        {"patrimoine__demembrement": {"quasi_usufruit": True, "bien": "maison"}},
    ),
    "deux_tiers_pour_vendre": (
        {
            "indivision__indivisaires": [
                {"nom": "Anne Morel", "quote_part": 0.6667},
                {"nom": "Léa Morel", "quote_part": 0.3333},
            ],
            "indivision__opposant_a_la_vente": "Léa Morel",
            "indivision__majorite_des_deux_tiers": True,
        },
        {
            "indivision__indivisaires": [
                {"nom": "Anne Morel", "quote_part": 0.6667},
                {"nom": "Léa Morel", "quote_part": 0.3333},
            ],
            "indivision__opposant_a_la_vente": "Anne Morel",
            "indivision__majorite_des_deux_tiers": True,
        },
    ),
    "indivision_qui_existe": (
        {"indivision__existe": True, "indivision__bien": "maison"},
        {"indivision__existe": False, "indivision__bien": "maison"},
    ),
    "actes_apres_le_deces": (
        {**DIED, "operations_de_partage__acte_de_notoriete__date": "2020-05-10"},
        {**DIED, "operations_de_partage__acte_de_notoriete__date": "2020-05-09"},
    ),
    "enonce_apres_le_deces": (
        {**DIED, "contexte__date_consultation": "2020-05-10", "contexte__succession_ouverte": True},
        {**DIED, "contexte__date_consultation": "2020-05-09", "contexte__succession_ouverte": True},
    ),
    "disposant_vivant": (
        {"contexte__demandeur__qualite": "disposant", "famille__nombre_enfants": 2},
        {"contexte__demandeur__qualite": "disposant", "famille__defunt__annee_deces": 2020},
    ),
    "renoncant_sans_lot": (
        {
            "operations_de_partage__options": [{"heritier": "Léa Morel", "option": "renonciation"}],
            "operations_de_partage__lots": [{"attributaire": "Hugo Morel"}],
        },
        {
            "operations_de_partage__options": [{"heritier": "Léa Morel", "option": "renonciation"}],
            "operations_de_partage__lots": [{"attributaire": "Léa Morel"}],
        },
    ),
    "renonciation_dite": (
        {**RENOUNCED, "famille__enfants": [{"nom": "Léa Morel", "renoncant": True}]},
        {**RENOUNCED, "famille__enfants": [{"nom": "Léa Morel", "renoncant": False}]},
    ),
    "renonciation_retractee": (
        RENOUNCED,
        {
            "operations_de_partage__options": [
                {"heritier": "Léa Morel", "option": "renonciation"},
                {"heritier": "Léa Morel", "option": "acceptation_pure_et_simple"},
            ]
        },
    ),
    "lots_dans_la_masse": (
        {
            "operations_de_partage__partage__masse_partageable": 100_000,
            "operations_de_partage__lots": [{"attributaire": "Léa Morel", "valeur": 100_000}],
        },
        {
            "operations_de_partage__partage__masse_partageable": 100_000,
            "operations_de_partage__lots": [{"attributaire": "Léa Morel", "valeur": 110_000}],
        },
    ),
    "soulte_entre_deux": (
        {"operations_de_partage__soulte": {"debiteur": "Léa Morel", "creancier": "Hugo Morel"}},
        {"operations_de_partage__soulte": {"debiteur": "Léa Morel", "creancier": "Léa Morel"}},
    ),
    "notaire_commis": (
        {"operations_de_partage__partage": {"nature": "judiciaire", "notaire_commis": "Luc Petit"}},
        {"operations_de_partage__partage": {"nature": "amiable", "notaire_commis": "Luc Petit"}},
    ),
    "partage_et_procedure": (
        {"operations_de_partage__partage__nature": "judiciaire", "contexte__procedure__nature": "partage_judiciaire"},
        {"operations_de_partage__partage__nature": "amiable", "contexte__procedure__nature": "partage_judiciaire"},
    ),
    "licitation_et_mise_a_prix": (
        {"operations_de_partage__partage": {"licitation": True, "mise_a_prix": 90_000}},
        {"operations_de_partage__partage": {"licitation": False, "mise_a_prix": 90_000}},
    ),
    "recel_allegue": (
        {"operations_de_partage__recel": {"allegue": True, "auteur": "Hugo Morel"}},
        {"operations_de_partage__recel": {"allegue": False, "auteur": "Hugo Morel"}},
    ),
    "conseils_saisis": (
        {"contexte__notaire_saisi": True, "contexte__nom_notaire": "Luc Petit"},
        {"contexte__notaire_saisi": False, "contexte__nom_notaire": "Luc Petit"},
    ),
    "loi_choisie": (
        {"contexte__international": {"loi_choisie": "france", "loi_applicable": "france"}},
        {"contexte__international": {"loi_choisie": "france", "loi_applicable": "espagne"}},
    ),
    "loi_de_la_residence": (
        {"contexte__international": {"pays_residence_defunt": "maroc", "loi_applicable": "maroc"}},
        {"contexte__international": {"pays_residence_defunt": "france", "loi_applicable": "maroc"}},
    ),
    "biens_a_l_etranger": (
        {"contexte__international": {"biens_a_l_etranger": True, "pays_des_biens": "espagne"}},
        {"contexte__international": {"biens_a_l_etranger": False, "pays_des_biens": "espagne"}},
    ),
}


def test_every_rule_has_its_examples_and_says_what_it_holds() -> None:
    assert set(EXAMPLES) == set(RULES)
    assert all(rule.says.endswith((".", "?")) for rule in RULES.values())
    assert {rule.level for rule in RULES.values()} == {REFUSE, ALERT}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rule_holds_and_breaks(name: str) -> None:
    holds, breaks = (record(**leaves) for leaves in EXAMPLES[name])
    assert MASTER.problems(holds) == MASTER.problems(breaks) == []
    assert broken(holds) == {}
    assert name not in alerts(holds)
    assert name in (broken if RULES[name].level == REFUSE else alerts)(breaks)
    assert set(broken(breaks)) == ({name} if RULES[name].level == REFUSE else set())


# The table


def table_rows() -> list[dict[str, str]]:
    with (RECIPE / "records/rules.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_names_in_the_table_are_the_schemas() -> None:
    """A name that nothing bears would make a rule that never speaks."""
    known = {path.replace("[]", "") for path in MASTER.leaves}
    known |= {path.rsplit(".", at)[0] for path in known for at in range(1, path.count(".") + 1)}
    for row in table_rows():
        assert all(path in known for path in row["each"].split()), row["rule"]
        for condition in (one for alternative in read_never(row["never"]) for one in alternative):
            values = {"=", "not"} & {condition.sign}
            for word in condition.left + ([] if values else condition.right):
                name = re.sub(r"^(sum|count)\(|\)$", "", word)
                if name in FACTS or re.fullmatch(r"[\d.*+-]+", name):
                    continue
                places = [f"{path}{name}" for path in row["each"].split()] if name.startswith(".") else [name]
                assert any(place in known for place in places), (row["rule"], name)
            if values:
                check_values(row, condition.left[0], condition.right)


def check_values(row: dict[str, str], name: str, values: list[str]) -> None:
    places = [f"{path}{name}" for path in row["each"].split()] if name.startswith(".") else [name]
    leaves = [leaf for path, leaf in MASTER.leaves.items() if path.replace("[]", "") in places]
    allowed = {value for leaf in leaves for value in leaf.values} | {"true", "false", "0", "1"}
    assert name in FACTS or set(values) <= allowed, (row["rule"], name, values)


@pytest.mark.parametrize(("column", "value"), [("level", "forbid"), ("never", "= mariage")])
def test_a_row_that_is_none_is_refused_by_its_name(tmp_path: Path, column: str, value: str) -> None:
    row = {**table_rows()[0], column: value}
    with (tmp_path / "rules.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(row))
        writer.writeheader()
        writer.writerow(row)
    with pytest.raises(ValueError, match="rule situation_et_conjoint: a level is one of"):
        read_table(tmp_path / "rules.csv")


# More than one example where the law has several cases


@pytest.mark.parametrize(
    ("children", "spouse", "reserve"),
    [(0, False, 0), (0, True, 1 / 4), (1, True, 1 / 2), (2, False, 2 / 3), (3, False, 3 / 4), (7, True, 3 / 4)],
)
def test_the_reserve_by_hand(children: int, spouse: bool, reserve: float) -> None:
    assert reserve_share(children, spouse) == pytest.approx(reserve)


@pytest.mark.parametrize(
    ("age", "share"),
    [
        (18, 0.9),
        (20, 0.9),
        (21, 0.8),
        (30, 0.8),
        (31, 0.7),
        (50, 0.6),
        (51, 0.5),
        (61, 0.4),
        (80, 0.3),
        (90, 0.2),
        (91, 0.1),
    ],
)
def test_the_scale_of_usufruct_by_hand(age: int, share: float) -> None:
    assert usufruct_share(age) == share


def test_reserve_of_a_child_that_is_gone_is_not_judged() -> None:
    """Whether it counts depends on its own descendants (C. civ. art. 913)."""
    reserve = {"liberalites__reserve__part_reserve": 0.5}
    children = [{"nom": "Léa Morel"}, {"nom": "Hugo Morel", "decede": True}]
    assert "reserve_et_quotite" in broken(record(**TWO, **reserve))
    assert broken(record(**TWO, **reserve, famille__enfants=children)) == {}


def test_a_foreign_law_has_its_own_reserve() -> None:
    case = {**TWO, "liberalites__reserve__part_reserve": 0.5}
    assert broken(record(**case, contexte__international__loi_applicable="espagne")) == {}
    assert set(broken(record(**case, contexte__international__loi_applicable="france"))) == {"reserve_et_quotite"}


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        ({"primes_avant_70_ans": 9_000, "regime_fiscal": "article_757_b"}, "primes_et_regime_fiscal"),
        ({"age_au_versement": 72, "regime_fiscal": "article_990_i"}, "primes_et_regime_fiscal"),
        ({"age_au_versement": 64, "regime_fiscal": "article_757_b"}, "primes_et_regime_fiscal"),
        ({"age_au_versement": 64, "regime_fiscal": "articles_990_i_et_757_b"}, None),
        ({"primes_avant_70_ans": 1, "primes_apres_70_ans": 1, "regime_fiscal": "articles_990_i_et_757_b"}, None),
        ({"primes_apres_70_ans": 9_000, "regime_fiscal": "exonere"}, None),
        ({"primes_avant_70_ans": 9_000, "annee_souscription": 2011}, "primes_et_age"),  # at 71
        ({"primes_avant_70_ans": 9_000, "annee_souscription": 2010}, None),
        ({"age_au_versement": 81}, "primes_et_age"),
    ],
)
def test_premiums_by_age(contract: dict[str, Any], name: str | None) -> None:
    case = record(**BORN, **DIED, assurance_vie__contrats=[contract])
    assert set(broken(case)) == ({name} if name else set())


def test_dates_and_ages_to_the_day() -> None:
    assert "mariage_apres_15_ans" in broken(record(**BORN, famille__conjoint__date_mariage="1955-03-01"))
    assert broken(record(**BORN, famille__conjoint__date_mariage="1955-03-02")) == {}
    assert "testament_du_vivant" in broken(record(**BORN, **will(date="1956-03-01")))
    assert "naissance_apres_12_ans" in broken(
        record(**BORN, famille__enfants=[{"nom": "Léa Morel", "date_naissance": "1951-01-01"}])
    )
    adopted = {"nom": "Léa Morel", "date_naissance": "1951-01-01", "filiation": "adoption_simple"}
    assert broken(record(**BORN, famille__enfants=[adopted])) == {}


def test_wrong_types_are_no_business_of_the_rules() -> None:
    """Whatever a model writes, checking it never fails."""
    rng = random.Random(11)
    odd = [None, True, -1, 1e300, float("nan"), "", "x", [], {}, [[]], [{}], {"nom": []}, "2020-02-30"]
    shipped = [row["record"] for row in read_jsonl(RECIPE / "source/gold.jsonl")]
    for seed in range(300):
        world = json.loads(json.dumps(shipped[seed % len(shipped)]))
        places = list(flatten(world))
        for place in rng.sample(places, min(12, len(places))):
            *above, name = place.replace("]", "").replace("[", ".").split(".")
            node: Any = world
            for step in above:
                node = node[int(step) if step.isdigit() else step]
            node[name] = rng.choice(odd)
        world[rng.choice(list(world))] = rng.choice(odd)
        broken(world), alerts(world)


# Situations that the law knows, and that none of the rules refuses

LOAN = {"nature": "emprunt_immobilier", "montant": 90_000, "assurance_emprunteur": True}
LEGAL: dict[str, dict[str, Any]] = {
    "renounced, then accepted (art. 807), and has a lot": {
        "operations_de_partage__options": [
            {"heritier": "Léa Morel", "option": "renonciation"},
            {"heritier": "Léa Morel", "option": "acceptation_pure_et_simple"},
        ],
        "operations_de_partage__lots": [{"attributaire": "Léa Morel"}],
    },
    "divorced, with a companion": {"famille__defunt__etat_civil": "divorce", "famille__concubin__nom": "Luc Petit"},
    "widowed, with a companion": {"famille__defunt__etat_civil": "veuf", "famille__concubin__nom": "Luc Petit"},
    "never married, with a companion": {
        "famille__defunt__etat_civil": "celibataire",
        "famille__concubin__nom": "Luc Petit",
    },
    "married, a double life": {
        **MARRIED,
        "famille__conjoint__separation_de_fait": False,
        "famille__concubin__nom": "Luc Petit",
    },
    "divorced, then a PACS": {"famille__defunt__etat_civil": "divorce", "famille__partenaire_pacs__nom": "Luc Petit"},
    "widowed, then a PACS": {"famille__defunt__etat_civil": "veuf", "famille__partenaire_pacs__nom": "Luc Petit"},
    "married and separated, lives with another": {
        "famille__defunt__vie_de_couple": "concubinage",
        "famille__conjoint": {"nom": "Anne Morel", "separation_de_fait": True},
        "famille__concubin__nom": "Luc Petit",
    },
    "no duty": {"operations_de_partage__declaration__droits_dus": 0},
    "more debts than goods": {
        "patrimoine": {"actif_brut": 80_000, "passif": 123_400, "actif_net": -43_400},
    },
    "an overdrawn account": {"patrimoine__comptes": [{"nature": "compte_courant", "solde": -350}]},
    "an empty account": {"patrimoine__comptes": [{"nature": "compte_courant", "solde": 0}]},
    "no debts": {"patrimoine__passif": 0},
    "two of four co-owners are named": {
        "indivision__indivisaires": [
            {"nom": "Léa Morel", "quote_part": 0.25},
            {"nom": "Hugo Morel", "quote_part": 0.25},
        ]
    },
    "a clause in usufruct and bare ownership": {
        "assurance_vie__contrats": [
            {
                "clause_beneficiaire": "demembree",
                "beneficiaires": [
                    {"nom": "Anne Morel", "part": 1},
                    {"nom": "Léa Morel", "part": 0.5},
                    {"nom": "Hugo Morel", "part": 0.5},
                ],
            }
        ]
    },
    "an insured loan beyond the debts": {"patrimoine": {"passif": 9_000, "dettes": [LOAN]}},
    "a debt of the couple beyond the debts": {
        **MARRIED,
        "patrimoine": {"passif": 9_000, "dettes": [{"nature": "credit_a_la_consommation", "montant": 18_000}]},
    },
    "a surety that is not called": {
        "patrimoine": {"passif": 9_000, "dettes": [{"nature": "cautionnement", "montant": 80_000}]}
    },
    "an old contract, premiums after 70": {
        "assurance_vie__contrats": [
            {"annee_souscription": 1985, "primes_apres_70_ans": 30_000, "regime_fiscal": "article_990_i"}
        ]
    },
    "an old contract, exempt for a child": {
        "assurance_vie__contrats": [
            {
                "annee_souscription": 1985,
                "regime_fiscal": "exonere",
                "beneficiaires": [{"nom": "Léa Morel", "lien": "enfant"}],
            }
        ]
    },
    "separate property with a common house": {
        "famille__conjoint__regime_matrimonial": "separation_de_biens",
        "patrimoine__biens": [{"nature": "maison", "qualification": "commun"}],
    },
    "separate property with a first share for the survivor": {
        "famille__conjoint": {"regime_matrimonial": "separation_de_biens", "clause_de_preciput": True}
    },
    "Moroccan spouses without a contract": {
        "famille__conjoint": {**NO_CONTRACT, "regime_matrimonial": "separation_de_biens"},
        "contexte__international__nationalite_defunt": "maroc",
    },
    "who prepares the own estate": {
        "famille__defunt__nom": "Luc Morel",
        "contexte__demandeur__nom": "Luc Morel",
        "contexte__succession_ouverte": False,
    },
    "father and son of one name": {
        "famille__defunt__nom": "Jean Morel",
        "famille__enfants": [{"nom": "Jean Morel"}],
        "liberalites__donations": [{"donateur": "Jean Morel", "donataire": "Jean Morel"}],
    },
    "a will that was revoked": {
        "liberalites__testament": False,
        **will(revoque=True, legs=[{"beneficiaire": "Léa Morel"}]),
    },
    "two wills of 60 % each": {
        "liberalites__testaments": [
            {"date": "2012-03-06", "legs": [{"beneficiaire": "Léa Morel", "part": 0.6}]},
            {"date": "2022-11-14", "legs": [{"beneficiaire": "Luc Petit", "part": 0.6}]},
        ],
    },
    "a choice of law that is void": {
        "contexte__international": {
            "nationalite_defunt": "france",
            "pays_residence_defunt": "espagne",
            "loi_choisie": "suisse",
            "loi_applicable": "espagne",
        }
    },
    "by agreement after a notaire was appointed": {
        "operations_de_partage__partage": {"nature": "amiable", "notaire_commis": "Luc Petit"}
    },
    "a posthumous marriage": {**DIED, "famille__conjoint__date_mariage": "2020-11-02"},
    "a spouse who renounces and has half of the community": {
        **MARRIED,
        "operations_de_partage__options": [{"heritier": "Anne Morel", "option": "renonciation"}],
        "operations_de_partage__lots": [{"attributaire": "Anne Morel", "bien": "maison"}],
    },
    "an unworthy heir is represented": {
        **REPRESENTED,
        "famille__enfants": [{"nom": "Luc Morel", "decede": False, "renoncant": False, "indigne": True}],
    },
    "an usufruct for a term of twelve years": {
        "patrimoine__demembrement": {"duree_usufruit": 12, "part_usufruit": 0.46, "usufruitiers": [{"age": 60}]}
    },
    "an usufruct for a term that is worth no more than one for life": {
        "patrimoine__demembrement": {"duree_usufruit": 12, "part_usufruit": 0.4, "usufruitiers": [{"age": 62}]}
    },
    "separate property with some that is common": {
        "famille__conjoint__regime_matrimonial": "separation_de_biens_avec_societe_d_acquets",
        "patrimoine__biens": [{"nature": "maison", "qualification": "commun"}],
        "operations_de_partage__liquidation_du_regime__recompenses": [{"due_par": "defunt", "montant": 20_000}],
    },
    "a child of both born before the marriage": {
        **MARRIED,
        "famille__conjoint": {"nom": "Anne Morel", "option": "usufruit_de_la_totalite", "source_de_l_option": "loi"},
        "famille__enfants": [{"nom": "Léa Morel", "filiation": "hors_mariage", "commun_avec_survivant": True}],
    },
    "two children of a first bed without a name": {
        **MARRIED,
        "famille__nombre_enfants": 3,
        "famille__enfants": [{"nombre": 2, "filiation": "premier_lit"}, {"commun_avec_survivant": True}],
    },
    "a gift of the mother who survives": {
        **DIED,
        "liberalites__donations": [{"annee": 2024, "donataire": "Léa Morel"}],
    },
    "a partnership of 1998": {"famille__partenaire_pacs__annee_pacs": 1998},
    "a child born abroad long after the death": {
        **DIED,
        "famille__enfants": [{"nom": "Léa Morel", "date_naissance": "2021-12-07"}],
    },
    "neither children nor spouse: nothing is reserved": {
        "famille__nombre_enfants": 0,
        "famille__defunt__etat_civil": "celibataire",
        "liberalites__reserve": {"part_reserve": 0, "part_quotite_disponible": 1},
    },
    "two who take all, each a half": {
        **legs(*({"beneficiaire": f"{name} Morel", "nature": "universel", "part": 0.5} for name in ("Léa", "Hugo")))
    },
    "a companion who is a co-owner": {**COMPANION, **HIS_LOT, "indivision__existe": True},
    "a spouse by the maiden name's first name alone": {
        "contexte__demandeur": {"nom": "Anne", "qualite": "conjoint"},
        "famille__conjoint__nom": "Anne Morel",
    },
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_the_law_allows_is_not_refused(name: str) -> None:
    legal = record(**LEGAL[name])
    assert MASTER.problems(legal) == []
    assert broken(legal) == {}


# Records that contradict themselves or the law: refused, or told to a reader where the law has an exception

ENDED = {"nom": "Luc Petit", "prestation_compensatoire": 20_000}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "usufruct by law beside another's child": (USUFRUCT, "usufruit_legal"),
    "the same, of a deceased with two": (
        {**USUFRUCT, **TWO, "patrimoine__demembrement__origine": "succession"},
        "usufruit_legal",
    ),
    "a reserve for nobody": (
        {
            "famille__defunt__etat_civil": "celibataire",
            "famille__nombre_enfants": 0,
            "liberalites__reserve__part_reserve": 0.5,
        },
        "reserve_et_quotite",
    ),
    "a compensation after a PACS": (
        {"famille__unions_precedentes": [{**ENDED, "nature": "pacs", "fin": "dissolution_du_pacs"}]},
        "prestation_compensatoire",
    ),
    "a compensation after a life together": (
        {"famille__unions_precedentes": [{**ENDED, "nature": "concubinage"}]},
        "prestation_compensatoire",
    ),
    "a compensation after a death": (
        {"famille__unions_precedentes": [{**ENDED, "nature": "mariage", "fin": "deces"}]},
        "prestation_compensatoire",
    ),
    "a gift beside the share comes back": (
        {**REPORT, "liberalites__donations": [{"donataire": "Léa Morel", "hors_part_successorale": True}]},
        "rapport",
    ),
    "a present comes back": (
        {**REPORT, "liberalites__donations": [{"donataire": "Léa Morel", "nature": "present_d_usage"}]},
        "rapport_exige",
    ),
    "who renounced gives back": ({**REPORT, **RENOUNCED}, "rapport_exige"),
    "a shared gift without a notaire": (
        {"liberalites__donations": [{"nature": "donation_partage", "acte_notarie": False}]},
        "donation_sans_notaire",
    ),
    "a gift by deed without a notaire": (
        {"liberalites__donations": [{"nature": "donation_simple", "acte_notarie": False}]},
        "donation_sans_notaire",
    ),
    "a house from hand to hand": (
        {"liberalites__donations": [{"nature": "don_manuel", "objet": "maison"}]},
        "donation_sans_notaire",
    ),
    "a flat as a sum of money": (
        {"liberalites__donations": [{"nature": "don_familial_de_sommes_d_argent", "objet": "appartement"}]},
        "don_de_sommes_d_argent",
    ),
    "a share between spouses beside descendants, without any": (
        EXAMPLES["quotite_entre_epoux"][1],
        "quotite_entre_epoux",
    ),
    "a divorced spouse chooses": (
        EXAMPLES["donation_entre_epoux_et_divorce"][1],
        "donation_entre_epoux_et_divorce",
    ),
    "by law what only a gift gives": (EXAMPLES["option_de_la_loi"][1], "option_de_la_loi"),
    "a companion inherits by law": ({**COMPANION, **HE_ACCEPTS}, "heritier_sans_testament"),
    "a companion has a lot by law": ({**COMPANION, **HIS_LOT}, "lot_sans_testament"),
    "a partner inherits by law": (
        {"famille__partenaire_pacs__nom": "Luc Petit", "liberalites__testament": False, **HE_ACCEPTS},
        "heritier_sans_testament",
    ),
    "a child that died before has a lot": (
        {
            "famille__enfants": [{"nom": "Luc Petit", "decede": True}],
            **HIS_LOT,
        },
        "enfant_predecede",
    ),
    "a child that died before gives back": (
        {**REPORT, "famille__enfants": [{"nom": "Léa Morel", "decede": True}]},
        "enfant_predecede",
    ),
    "the represented parent accepted": (EXAMPLES["representation"][1], "representation"),
    "a house is consumed by use": (EXAMPLES["quasi_usufruit"][1], "quasi_usufruit"),
    "all, at 30 %": (
        legs({"beneficiaire": "Léa Morel", "nature": "universel", "part": 0.3}),
        "legs_universel",
    ),
    "a fraction that is one house": (
        legs({"beneficiaire": "Léa Morel", "nature": "a_titre_universel", "objet": "maison"}),
        "legs_universel",
    ),
    "a will before a notaire lacks its date": (
        will(forme="authentique", motif_contestation="absence_de_date"),
        "testament_sans_date",
    ),
    "the law of a third country": (EXAMPLES["loi_de_la_residence"][1], "loi_de_la_residence"),
    "today's legal regime in 1960": (
        {
            "famille__conjoint": {
                "regime_matrimonial": "communaute_reduite_aux_acquets",
                "contrat_de_mariage": False,
                "annee_mariage": 1960,
            }
        },
        "regime_sans_contrat",
    ),
    "a share in what is the survivor's": (EXAMPLES["propre_au_survivant"][1], "propre_au_survivant"),
    "the only partner has a partner": (
        {"patrimoine__entreprise": {"forme": "eurl", "associe": "Luc Petit"}},
        "associes",
    ),
    "the only partner has 40 %": ({"patrimoine__entreprise": {"forme": "eurl", "part_detenue": 0.4}}, "associes"),
    "a will by hand under guardianship": (EXAMPLES["testament_sous_tutelle"][1], "testament_sous_tutelle"),
    "grandchildren without children": (
        {"famille__nombre_enfants": 0, "famille__petits_enfants": [{"nom": "Léa Morel"}]},
        "parent_du_petit_enfant",
    ),
    "in court and by agreement": (EXAMPLES["partage_et_procedure"][1], "partage_et_procedure"),
    "a marriage that ends by separation": (
        {"famille__unions_precedentes": [{"nom": "Luc Petit", "nature": "mariage", "fin": "separation"}]},
        "fin_de_l_union",
    ),
    "a child called common and not": (
        {
            "famille__conjoint": {"option": "usufruit_de_la_totalite", "source_de_l_option": "loi"},
            "famille__enfants": [{"nom": "Léa Petit", "filiation": "hors_mariage"}],
        },
        "option_du_conjoint",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_and_what_is_rare_is_told(name: str) -> None:
    leaves, rule = WRONG[name]
    wrong = record(**leaves)
    assert MASTER.problems(wrong) == []
    assert set(broken(wrong) | alerts(wrong)) == {rule}


def test_an_alert_refuses_nothing() -> None:
    told = {name for name in WRONG if RULES[WRONG[name][1]].level == ALERT}
    assert len(told) == 7
    assert all(broken(record(**WRONG[name][0])) == {} for name in told)


def test_no_shipped_record_breaks_a_rule_and_few_ask_to_be_looked_at() -> None:
    shipped = [decode(row["target_toon"]) for row in read_jsonl(RECIPE / "source/cases.jsonl")]
    shipped += [row["record"] for row in read_jsonl(RECIPE / "source/gold.jsonl")]
    assert [one for one in shipped if broken(one)] == []
    assert sum(bool(alerts(one)) for one in shipped) <= 0.05 * len(shipped)
