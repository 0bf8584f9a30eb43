"""A judge of an administrative assistant's answers (French, some English) by fixed rules: no model, no network.

Every rule works on text folded to lower case without accents, and on the answer without its thinking.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tuneline.language.sentences import sentences
from tuneline.language.words import MONTHS, NUMBERS, unaccented
from tuneline.rows import visible

FULL_OVERLAP = 0.5  # share of the reference's content words at which an answer counts as saying all of it
SHORT = 4  # a training answer of fewer words teaches nothing
LONG_HELP = 12  # words of help that outweigh a refusal before them
SOME_HELP = 8  # words of help that outweigh a refusal after them
TOLD = 6  # words of instruction from which an answer that asks has also answered
EXPLAINED = 30  # the same for words that neither instruct nor say why something is asked
ECHO = 0.6  # share of an answer's content words that are the question's, from which it says nothing
OFF_TOPIC = 15  # words from which an answer without one administrative word is off topic

# Who or what the sentence speaks to: without it a question is put to nobody.
YOU = re.compile(r"\b(vous|votre|vos|tu|ton|ta|tes|you|your)\b")
TELL = r"(precis\w+|indiqu\w+|dire|communiqu\w+|confirm\w+|detaill\w+|decri\w+|renseigner sur|expliqu\w+)"
REQUEST = re.compile(
    rf"\b(merci de|veuillez|pri\w* de|pri\w* d)\b( bien vouloir)?( (me|nous|m|aussi|d abord))* {TELL}"
    r"|\b(merci de|veuillez) (me|m|nous) \w+"
    rf"|\b(pouvez|pourriez|peux|pourrais) (vous|tu)( \w+)?( me| m| nous)? ({TELL}|donner|parler)"
    r"|\b(dites|indiquez|precisez|donnez|expliquez|parlez|confirmez|decrivez|communiquez|envoyez|dis|precise|donne)"
    r" (le |la |les )?(moi|nous|m en)\b"
    r"|\bfaites (moi|nous) savoir\b|\bn hesitez pas a (me|m|nous) (preciser|indiquer|donner|communiquer)\b"
    r"|\bil (me|nous) (manque|faut|faudrait|reste a)\b|\bme (manque|manquent)\b|\breste (donc )?a (savoir|preciser)\b"
    r"|\b(j|nous) (ai|aurais|aurai|aurions|avons) (\w+ ){0,3}besoin (de|d|que)\b"
    r"|\bfau\w+ que (je|nous) (sach|connaiss|compren)\w+|\bpour que je (sache|connaisse)\b"
    r"|\b(j|je) (aimerais|voudrais|souhaite|souhaiterais|dois|devrais|cherche a|veux)( \w+){0,2} "
    r"(savoir|connaitre|demander|comprendre)\b|\bsans (savoir|connaitre)\b.*\b(votre|vos|si vous)\b"
    r"|\b(could|can|would) you( please)? (tell|specify|confirm|give|let|share|say|clarify|indicate|provide)"
    r"|\bplease (tell|specify|confirm|give|let me know|share|clarify|indicate|provide|state)\b"
    r"|\bi (would |d |still |also |first )*need (to know|your)\b|\b(tell me|let me know) (your|if|whether|what"
    r"|where|when|how)"
)
# Bare imperatives also tell how to fill in a form; there the place to write in is named.
IMPERATIVE = re.compile(r"\b(precisez|indiquez|confirmez|detaillez|decrivez)\b.*\b(votre|vos|si|quel\w*|le|la|les)\b")
FORM = re.compile(
    r"\b(formulaire|case|cases|site|en ligne|courrier|lettre|dossier|declaration|demarche|espace|rubrique|prenoms)\b"
)
INVERSION = re.compile(
    r"\b(etes|avez|aviez|vivez|habitez|travaillez|touchez|percevez|gagnez|louez|residez|voulez|etiez|demandez|partez"
    r"|payez|quittez|agissez|comptez|possedez|detenez) vous\b"
    r"|\b(est ce|s agit il|est il|est elle|sont ils|are you|do you|did you|have you)\b"
)
WH = re.compile(
    r"\b(quel|quelle|quels|quelles|combien|quand|pourquoi|comment|a quel endroit|qui|lequel|laquelle|what|which|when"
    r"|where|how|who)\b"
)
# The same without a question mark: only openings that nothing but a question has.
OPEN_QUESTION = re.compile(
    r"^((et|mais|enfin|aussi|puis|d abord) )*((a|de|dans|depuis|pour|en|sur|avec) )?"
    r"(quel\w* (est|sont|etai\w+|age|titre|pays|type)|quand (etes|avez)|what is your|what are your)\b.*\b(vous"
    r"|votre|vos|your)\b|^(\w+ )?(quel\w*|combien|quand|a quel endroit)\b.*\b(svp|stp|s il vous plait|s il te plait)$"
)
RHETORICAL = re.compile(
    r"^(et si|pourquoi cela|pourquoi est ce|saviez vous|savez vous|que faire|comment faire|vous vous demandez"
    r"|mais alors|why|bonne nouvelle)\b"
    r"|\b(que|quoi|quels? documents?|quelles? (pieces?|demarches?)|comment|combien|ou|a quel endroit|quand)\b"
    r"( \w+){0,3} (devez|pouvez|allez|faut|recevrez|toucherez) (vous|il)\b"
)
SELF_ANSWER = re.compile(
    r"^(parce que?|car|oui|non|tout simplement|c est simple|because|yes|no|eh bien|en fait|absolument)\b"
)
COURTESY = re.compile(
    r"\bai je (\w+ )?(repondu|ete clair)\b|"
    r"\b(d )?autres? (choses?|questions?|demandes?|sujets?|points?|besoins?|themes?|renseignements?|preoccupations?)\b"
    r"|\b(puis je|je peux|pouvons nous|can i|may i)\b.*\b(aider|faire|help|autre|else|utile)\b.*|\banything else\b"
    r"|\b(voulez|souhaitez|desirez) vous (que|qu|en savoir|savoir|connaitre|un modele|plus)\b|\bwould you like me\b"
    r"|\b(est ce|c est|cela|ca|tout) (que |est |vous )*(plus )?(clair|utile|compris|convient|convenait|repond)\b"
    r"|\b(cela|ceci|ca) (vous )?(\w+ )?(repond|aide|convient|suffit|semble)\b|\best ce (que )?(cela|ca|plus clair)\b"
    r"|\b(avez|as) (vous|tu) (tout|bien) compris\b|\bdoes (that|this)\b|\bhope (this|that)\b"
    r"|\b(je )?reste (a votre|a ta|disponible)\b|\b(bonne|belle|excellente) (journee|soiree|continuation|chance)\b"
    r"|\bn hesitez pas\b|\b(feel free|don t hesitate)\b|\bdites (le )?moi si (besoin|cela|ca|je|vous (voulez"
    r"|souhaitez|avez besoin))"
    r"|\blet me know if (you need|that|this|you have)\b|\bbon courage\b|\bcordialement\b|\bbesoin d aide\b"
    r"|\bok pour vous\b"
)
GREETING = re.compile(
    r"^((bonjour|bonsoir|salut|hello|bien sur|d accord|tres bien|avec plaisir|entendu|certainly|of course|voila"
    r"|madame|monsieur|bien recu)( |$))+"
)
SYMPATHY = re.compile(
    r"^(merci (?!de )|felicitations|je comprends|(je suis )?(vraiment )?(desole|navre)\w*|i m sorry|thank)"
)
FILLER = re.compile(
    r"\b(bonne|excellente|good|great) question\b|\b(je vais|je suis la pour|heureux de|ravi de) vous\b"
    r"|\bje (pourrai|saurai)\b|\bje (vous|te) (dirai|repondrai|donnerai|indiquerai|expliquerai|guiderai)\b"
    r"|\b(me|nous) permettr\w+|\b(pour|afin de) (mieux |bien |pouvoir )*(vous|te) (repondre|aider|orienter"
    r"|renseigner|guider)\b|\b(ces|quelques) (informations?|precisions?|elements?|details|renseignements|questions)\b"
    r"|\b(selon|en fonction de) (votre|vos|la) (reponses?|situation)\b|\bchaque (situation|cas|dossier)\b"
    r"|\b(i can|i will|i ll) (then|help|answer|tell)\b|\bavant (d aller|de continuer|de poursuivre|de repondre)\b"
)
DEPENDS = re.compile(
    r"\b(depend\w*|vari\w+|different\w*|change selon|changent selon|pas (la |les )?memes?|it depends)\b"
)
ACTION = re.compile(  # what answers: yes or no, what to do, where it is done
    r"^(oui|non|yes|no|exact|c est exact|bonne nouvelle)\b"
    r"|\b(vous (pouvez|devez|devrez|devriez|avez droit|aurez|n avez|signerez|recevrez)|il (vous )?(faut|faudra|suffit)"
    r"|deposez|demandez|faites|envoyez|adressez|prenez|joignez|signalez|inscrivez|commencez|preparez|gardez|rassemblez"
    r"|verifiez|declarez|commandez|you (can|must|should|need to)|se (fait|font|demande|depose|declare)"
    r"|gratuite?s?|en ligne|guichet|(est|sont) (possibles?|dues?|obligatoires?|dispensee?s?|ouverte?s?|libres?))\b"
)
MOTIVE = re.compile(  # what only says why something is asked
    r"\b(depend|selon|change|varie|memes?|savoir|connue?s?|connaitre|connais|claire?s?|notee?|precisions?|precis|manque"
    r"|reste|points?|elements?|questions?|decide|decisif|cas par cas|avant de|impossible|deviner|suffi\w+ pas)\w*\b"
)
REFUSAL = re.compile(
    r"\bje (ne|n) (peux|puis|sais|suis|dispose|connais|traite|donne|reponds|pourrai|saurais?|possede|detiens|maitrise"
    r"|souhaite|vous|ai|m|comprends|trouve)\b.{0,60}\b(pas|rien|aucun\w*|plus|repondre|aider|renseigner|jamais)\b"
    r"|\bje (ne )?(peux|sais) pas\b|\bj ignore\b|\bje ne saurais\b|\bje n (ai|en sais)\b.*\b(pas|aucun\w*|rien)\b"
    r"|\bnous ne (pouvons|sommes|savons) pas\b|\bje refuse\b|\baucune (idee|information)\b|\bpas la moindre idee\b"
    r"|\b(il )?(m|nous) est (interdit|impossible)\b|\bimpossible (pour moi )?de (vous )?(repondre|aider"
    r"|renseigner|dire)\b|\bje prefere (ne|m abstenir|eviter|laisser)\b"
    r"|\b(depasse|hors d[eu]|en dehors d[eu]|sort d[eu]|n entre pas|n est pas|ne fait pas partie|ne releve pas"
    r"|ne relevent pas)\b.{0,30}\b(mon|mes|ma|je|mien\w*|nos|notre)\b"
    r"|\b(mon|mes|ma) (\w+ )?(connaissances?|competences?|role|base|formation|programme|attributions?) (ne|n"
    r"|s arret\w+)\b"
    r"|\bi (can t|cannot|can not|am unable|m unable|m not able|am not able|don t know|do not know|won t)\b|\bas an ai\b"
    r"|\b(demande|question|requete) (est|a ete) (donc )?(rejetee|refusee|irrecevable)\b"
    r"|\b(trop|pas|hors|inconnue?|impossible)\b.{0,30}\bpour moi\b|\bm (est|sont) inconnue?s?\b|\bi (do not"
    r"|don t) have\b|\b(mon|mes|ma) \w+( de \w+)? ne (\w+ )?(contien\w+|permet\w*|couvr\w+|inclu\w+)\b"
)
SEND_AWAY = re.compile(
    r"\b((contact|consult|appel)(ez|er)|(adressez|rapprochez|tournez|renseignez|rendez) vous|ecrivez|voyez|voir"
    r"|demandez|vous (adresser|rendre|rapprocher|tourner|renseigner)|allez|revenez|visit|ask|call)\b"
)
NOWHERE = re.compile(
    r"\b(renseignez vous|rapprochez vous|quelqu un|services? (competents?|public|concernes?)|administrations?"
    r"|autorites?|professionnels?|avocats?|juristes?|specialistes?|experts?"
    r"|site officiel|sites officiels|guichet|service public fr|votre (prefecture|mairie|caisse|caf|conseiller"
    r"|agence|cpam)"
    r"|pour (en savoir plus|plus d informations?|toute (question|information|demande))|(ils|elle|il|qui) vous "
    r"(\w+ )?(repond\w*|renseign\w*|dir\w+|aider\w*|expliquer\w*|orienter\w*))\b"
)
ADMIN = re.compile(
    r"\b(mairie|prefecture|caf|cpam|ameli|demand\w+|dossier\w*|droits?|permis|carte\w*|titre\w*|passeport\w*"
    r"|declar\w+|allocation\w*"
    r"|impot\w*|fiscal\w*|revenu\w*|ressourc\w+|loyer\w*|bail\w*|locat\w+|proprietaire|preavis|contrat\w*"
    r"|emploi\w*|travail\w*"
    r"|salair\w+|salari\w+|inscri\w+|justificatif\w*|document\w*|pieces|formulaire\w*|acte\w*|naissance|mariage"
    r"|pacs|mari\w+|nationalit\w+|resid\w+|domicile|sejour|aide\w*|prime\w*|rsa|apl|secu\w*|vitale|vehicule\w*|assur\w+"
    r"|notaire|tribunal"
    r"|juge|commissa\w+|gendarmerie|police|service\w*|compte|site|ligne|delai\w*|administrat\w+|loi|code"
    r"|conseiller\w*|ants|anef"
    r"|lettre|courrier|timbre|attestation\w*|certificat\w*|france|francais\w*|application|apply|card|permit"
    r"|license|tax|town hall"
    r"|rights?|benefit\w*|income|rent|office|online|deadline|visa|logement\w*|retraite\w*|ecole|facture\w*"
    r"|rembours\w+|gratuit\w*)\b"
)

STOP = set(
    (
        "le la les l un une des de du d et ou a au aux en dans sur sous par pour avec sans que qui quoi dont ne "
        "pas plus se sa son ses s ce cette ces c il elle ils elles on nous vous je j me m te t tu votre vos notre "
        "nos leur leurs est sont etre ete etes avez ai avoir ont a y si mais donc car comme tout tous toute "
        "toutes meme aussi bien tres peut peuvent faut fait faire oui non quel quelle quels quelles the of to in "
        "and or is are be your you it for on at with an this that by from can"
    ).split()
)
TIME = (
    r"\b(quand|dates?|depuis|jour|annees?|combien de temps|combien d annees|moment|periodes?|duree|debut"
    r"|expire le|when|how long|since|combien de mois|mois)\b"
)
PLACE = (
    r"\b(a quel endroit|ou (habit|viv|resid)\w+|commune|ville|adresse|domicil\w+|code postal|departement"
    r"|mairie|where|city)\b"
)
WHY = (
    r"\b(motifs?|raisons?|pourquoi|comment|cause|licenci\w+|demission\w*|rupture|mutation|suite a|fondement"
    r"|au titre de|why|reason)\b"
)
# Of a label's words: those that must be asked for as such, and those of which half must be.
REQUIRED = {
    r"dates?$|dure|ancien": TIME,
    r"commune$|ville|adress|lieu|domicil|departement": PLACE,
    r"motif|raison|cause": WHY,
}
SYNONYMS = {
    r"expir|echeanc|valid|perem": r"\b(expir\w+|perim\w+|echeance|valable|valid\w+|fin de (validite|votre))",
    r"delivr|obten": r"\b(deliv\w+|obten\w+|obtenu\w*|passe|eu|issued|got)\b",
    r"pays": r"\b(pays(?! (d origine|(etes|venez) vous))|d ou vient|dans quel etat|country|a l etranger)\b",
    r"national": r"\b(nationalit\w+|pays d origine|de quel pays (venez|etes)|etes vous \w*\s?francais\w*"
    r"|ressortissant\w*|europeen\w*"
    r"|citizen\w*|d ou venez)",
    r"revenu|ressourc|salair": r"\b(revenus?|ressources?|gagn\w+|salaires?|touch\w+|percev\w+|income|earn\w*|argent)\b",
    r"foyer|menage|enfant": r"\b(foyer|enfants?|couple|seule?|marie\w*|conjoint\w*|famil\w+|a charge"
    r"|combien (etes|de personnes)"
    r"|pacse\w*|concubin\w*|celibat\w*|household|children|vivez vous avec|autres personnes|partenaire|compagn\w+)\b",
    r"famil|matrimon|conjug": r"\b(marie\w*|celibat\w*|divorc\w*|pacse\w*|veu\w+|famil\w+|couple|conjoint\w*"
    r"|matrimon\w+|married)\b",
    r"^ages?$": r"\b(age|ages|ans|naissance|nee? (le|en)|how old|majeur\w*|mineur\w*|nee? quand)\b",
    r"majeur|mineur": r"\b(majeure?s?|mineure?s?|adultes?|enfants?|age|ans|bebe|fils|fille|child|adult)\b",
    r"loyer": r"\b(loyers?|rent|payez vous (par mois|pour ce logement)|combien payez)\b",
    r"meubl|vide|coloc": r"\b(meuble\w*|vides?|coloc\w+|partag\w+|nue?|furnished|flatshare|seul dans (le"
    r"|votre) logement)\b",
    r"etudi": r"\b(etudi\w+|etudes|scolar\w+|boursi\w+|student)\b",
    r"profession|activit": r"\b(travail\w*|salari\w+|independ\w+|emploi\w*|profession\w*|activite\w*|chomage"
    r"|metier|retraite\w*"
    r"|fonctionnaire|sans emploi|job|work\w*|employed)\b",
    r"resid|install|arriv|presence": r"\b(resid\w+|habit\w+|viv\w+|install\w+|arriv\w+|en france|live|living)\b",
    r"premi": r"\b(premiere?s?|jamais eu|first)\b",
    r"renouvel": r"\b(renouvel\w+|refaire|renew\w*)\b",
    r"^pert|^vol$|perdu": r"\b(perdu\w*|perte|vol|volee?s?|lost|stolen)\b",
    r"depart|conge": r"\b(part\w+|depart|quitt\w+|mutation|demenag\w+|conge|leav\w+)\b",
    r"contrat": r"\b(contrats?|cdi|cdd|interim|mission|bail|contract)\b",
    r"^fin$|rupture": r"\b(fin|termin\w+|fini\w*|arret\w+|rompu|rupture|licenci\w+|demission\w*|perdu|cess\w+)\b",
    r"emploi|travail": r"\b(emplois?|travail\w*|contrats?|employ\w*|postes?|job|work\w*)\b",
    r"^titre": r"\b(titres?|carte|visa|recepisse|residence permit|document de sejour)\b",
    r"lien|parent": r"\b(lien|liens|parente?|agissez|pour elle|pour lui|mandat|tutelle|tuteur|qui etes vous"
    r"|de la famille|relation)\b",
    r"^actes?$": r"\b(actes?|naissance|mariage|deces|certificate)\b",
    r"langue": r"\b(langues?|niveau|b1|b2|a2|tcf|delf|parlez|diplome en|language)\b",
    r"mariage|union": r"\b(mari\w+|epous\w+|noces|married)\b",
    r"conjoint|epou|partenaire": r"\b(conjoint\w*|mari|femme|epou\w+|partenaire|compagn\w+|spouse|partner)\b",
    r"naissance": r"\b(naissance|nee?s?|age|born|birth)\b",
    r"^entree|emmenag": r"\b(entr\w+|emmenag\w+|install\w+)\b",
    r"achat|acqui|cession|vente": r"\b(ach[ae]t\w*|acqui\w+|vend\w*|vente|cession|cede\w*|bought|sold)\b",
    r"vehicul": r"\b(vehicules?|voiture|moto|scooter|car)\b",
    r"neuf|occasion": r"\b(neu\w+|occasion)\b",
    r"logement|habitat": r"\b(logement|appartement|maison|locataire|proprietaire|heberge\w*)\b",
    r"handicap|invalid": r"\b(handicap\w*|invalid\w+|mdph|taux)\b",
}
GENERIC = re.compile(
    r"(type|montant|statut|situation|niveau|nombre|nature|composition|actuel|exact|stable|fiscal|demande"
    r"|location|personne|chacun|sejour|france|ancien|commun|concern)\w*$"
)

MONTH_OF = {unaccented(name): month for names in MONTHS.values() for month, name in enumerate(names, 1)}
MONTH = "|".join(MONTH_OF)
NUMBER = r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:,\d+)?|\d+(?:[.,]\d+)?"
UNITS = {  # unit of time -> the unit it is counted in, and how many of them
    "jour": ("day", 1),
    "day": ("day", 1),
    "semaine": ("day", 7),
    "week": ("day", 7),
    "mois": ("month", 1),
    "month": ("month", 1),
    "annee": ("month", 12),
    "an": ("month", 12),
    "year": ("month", 12),
    "heure": ("hour", 1),
    "hour": ("hour", 1),
    "h": ("hour", 1),
}
CLAIMS = {  # in this order: what one kind has taken, the next does not see
    "web": r"(?:https?://|www\.)[^\s,;)]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b[\w-]+(?:\.[\w-]+)*\.(?:fr|com|org"
    r"|eu|net|info)\b(?:/[^\s,;)]*)?",
    "law": r"\barticles? (?:[lrd]\.? ?)?\d+(?:-\d+)*|\b[lrd]\. ?\d+(?:-\d+)+|\b[lrd]\d+-\d+",
    "form": r"\b(?:formulaire|cerfa|form)(?: cerfa)?(?: n[°o]\.?| numero)? ?\d[\d*]+",
    "phone": r"(?:\+33|\b0)[ .]?\d(?:[ .-]?\d){7,8}\b|\b(?:(?:appel\w+|numero|telephon\w+|call)(?: le"
    r"| au)? (?:3\d ?\d\d|1\d{1,2})"
    rf"|(?:le|au) 3\d ?\d\d)\b(?! ?(?:€|euro|mois|jours|ans|{MONTH}))",
    "money": rf"(?:{NUMBER}) ?(?:€|euros?\b|eur\b|%|pour cent\b)|[€$£] ?(?:{NUMBER})",
    "date": rf"\b\d{{1,2}}(?:er)? (?:{MONTH})(?: \d{{4}})?\b|\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}\b"
    rf"|\b(?:{MONTH}) \d{{4}}\b",
    "time": rf"\b(?:{NUMBER})(?: ?(?:a|ou|et|-|to|or) ?\d+)? ?(?:jours?|days?|semaines?|weeks?|mois|months?"
    rf"|annees?|ans?|years?|heures?|hours?|h)\b",
    "year": r"\b(?:19|20)\d\d\b",
}
AGE_BEFORE = re.compile(r"\b(ages?|agee?s?|enfants?|mineurs?|jeunes?|avoir|avez|aged?)\b[^.\d]{0,25}$")
WORDS_AS_NUMBERS = {unaccented(word): value for words in NUMBERS.values() for word, value in words.items()}
WORDS_AS_NUMBERS |= {"cent": 100}


@dataclass(frozen=True)
class Part:
    """One sentence or list item, folded to words, and what it does in the answer."""

    words: str
    kind: str  # "ask", "refuse", "away", "courtesy", "filler", "say"


def behavior_of(answer: str) -> str:
    """What the answer does: "direct", "clarification", "hybrid", or "refusal" (also empty, garbled, off topic)."""
    if _garbled(answer):
        return "refusal"
    parts = _parts(answer)
    kinds = {part.kind for part in parts}
    if "ask" in kinds:
        return "hybrid" if _helps(parts) else "clarification"
    return "refusal" if _refuses(parts) else "direct"


def asked_facts(answer: str, missing: list[str]) -> list[str]:
    """Those of the labels in `missing`, in their order, that the asking parts of the answer ask for."""
    clauses = [clause for part in _parts(answer) if part.kind == "ask" for clause in part.words.split(" | ")]
    return [label for label in missing if any(_asks_for(clause, label) for clause in _joined(clauses))]


def invented(answer: str, question: str, reference: str) -> list[str]:
    """Figures, dates, numbers to call, articles and addresses of the answer that neither other text has, as written.

    A length of time or an amount inside a question ("plus de 25 ans ?") claims nothing. Lengths compare by
    value: "trois mois" covers "3 mois", "un an" covers "12 mois".
    """
    known = _claims(_with_digits(f"{question}\n{reference}"))
    keys = {key for _, _, found in known for key in found}
    text = unicodedata.normalize("NFC", visible(answer))
    return [
        text[start:end].rstrip(" .")
        for (start, end), kind, found in _claims(_flat(text))
        if not set(found) <= keys and not (kind in ("money", "time") and _in_question(text, end))
    ]


def answer(facts: dict) -> dict:
    """The verdict on an answer with its reference ("answer") or on a training row ("row"), by facts["judge"].

    Raises ValueError for another judge, KeyError for a fact that is not there.
    """
    if facts["judge"] == "answer":
        return _judge_answer(facts)
    if facts["judge"] == "row":
        return _judge_row(facts)
    raise ValueError(f"no judge {facts['judge']!r}: it is 'answer' or 'row'")


def needless_facts(answer: str, missing: list[str], useless: list[str]) -> list[str]:
    """The labels in `useless` that a clause asks for which asks for none in `missing`."""
    clauses = [clause for part in _parts(answer) if part.kind == "ask" for clause in part.words.split(" | ")]
    idle = [one for one in _joined(clauses) if not any(_asks_for(one, label) for label in missing)]
    found = (next((label for label in useless if _asks_for(one, label)), None) for one in idle)
    return list(dict.fromkeys(label for label in found if label))


def _judge_answer(facts: dict) -> dict:
    """Behaviour, facts asked for or asked for nothing, invention; law and completeness of 0 to 10.

    A figure that the dated law has is no invention, even where the reference leaves it out. Rules cannot read law: 10
    where nothing is invented, 5 where something is, 0 where nothing of what was expected is there. Completeness is the
    share of the missing facts asked for, the overlap with the reference, or for a hybrid the mean of both.
    """
    behavior = behavior_of(facts["answer"])
    missing = facts["missing_info"]
    known = "\n".join([facts["reference"], *facts["law"]])
    made_up = invented(facts["answer"], facts["question"], known)
    verdict = {
        "behavior": behavior,
        "asked": asked_facts(facts["answer"], missing),
        "needless": needless_facts(facts["answer"], missing, facts["useless"]),
        "hallucination": bool(made_up),
        "law": 0,
        "completeness": 0,
    }
    if _garbled(facts["answer"]):
        return verdict | {"reason": "The answer is empty or garbled."}
    if _echoes(facts["answer"], facts["question"]):
        return verdict | {"behavior": "refusal", "reason": "The answer only repeats the question."}
    if behavior == "refusal":
        return verdict | {"reason": "The answer declines to help."}
    substance = _substance(facts, verdict["asked"])
    points = {"law": (5 if made_up else 10) if substance else 0, "completeness": int(10 * substance + 0.5)}
    right = _likeness(behavior, facts["expected"])
    return verdict | points | {"reason": _reason(right, substance, made_up, facts["expected"])}


def _reason(right: float, substance: float, made_up: list[str], expected: str) -> str:
    if right < 1:
        return f"The answer is not what was expected, {expected}."
    if made_up:
        return f"The answer invents {made_up[0]!r}."
    if substance < 0.5:
        return "The answer misses most of what was expected."
    return "The answer does what was expected."


def _judge_row(facts: dict) -> dict:
    """A score of 0 to 10 for a training row: 10 for a row that does what its behaviour says.

    Garbled or empty 0, refusal 1, shorter than SHORT words 2, the wrong behaviour 2 (4 where one half is
    right); a row that asks has 4 and up to 6 more for the share of the missing facts that it asks for.
    """
    answer, missing = facts["answer"], facts["missing_info"]
    behavior = behavior_of(answer)
    right = _likeness(behavior, facts["behavior"])
    if _garbled(answer):
        return {"score": 0, "reason": "The answer is empty or garbled."}
    if behavior == "refusal":
        return {"score": 1, "reason": "The answer declines to help."}
    if len(_words(visible(answer)).split()) < SHORT:
        return {"score": 2, "reason": "The answer is very short."}
    if right < 1:
        given = {"direct": "answers", "clarification": "asks", "hybrid": "answers and asks"}[behavior]
        return {"score": 4 if right else 2, "reason": f"The answer {given}, and the row says {facts['behavior']}."}
    if behavior == "direct" or not missing:
        return {"score": 10, "reason": "The answer does what the row says."}
    asked = asked_facts(answer, missing)
    score = 4 + int(6 * len(asked) / len(missing) + 0.5)
    return {"score": score, "reason": f"The answer asks for {len(asked)} of {len(missing)} missing facts."}


def _likeness(behavior: str, expected: str) -> float:
    """1 for the expected behaviour, 0.5 where one of them is a hybrid, else 0."""
    wanted = "clarification" if expected == "clarify" else expected
    if behavior == wanted:
        return 1.0
    return 0.5 if "hybrid" in (behavior, wanted) and behavior != "refusal" else 0.0


def _substance(facts: dict, asked: list[str]) -> float:
    """Share 0 to 1 of what was expected that the answer holds."""
    missing = facts["missing_info"]
    asks = len(asked) / len(missing) if missing else 1.0
    if facts["expected"] == "clarify":
        return asks
    said = " ".join(part.words for part in _parts(facts["answer"]) if part.kind in ("say", "away"))
    told = min(1.0, _overlap(said, facts["reference"]) / FULL_OVERLAP)
    return told if facts["expected"] == "direct" else (asks + told) / 2


def _overlap(said: str, reference: str) -> float:
    """Share of the reference's content stems that are said; of its stating parts only, where it has some."""
    stating = " ".join(part.words for part in _parts(reference) if part.kind != "ask") or _words(reference)
    wanted = _stems(stating)
    return len(wanted & _stems(said)) / len(wanted) if wanted else 0.0


def _stems(words: str) -> set[str]:
    return {word[:6].rstrip("sx") for word in words.split() if word not in STOP and len(word) > 2}


def _flat(text: str) -> str:
    """Lower case without accents; character by character, so that places in it are places in the NFC text."""
    composed = unicodedata.normalize("NFC", text).replace("’", "'")
    return "".join(unicodedata.normalize("NFD", letter.lower())[0] for letter in composed)


def _words(text: str) -> str:
    """The folded words, one blank between them; "où" stays apart from "ou"."""
    apart = re.sub(r"\boù\b", "a quel endroit", unicodedata.normalize("NFC", text), flags=re.IGNORECASE)
    return " ".join(re.findall(r"[a-z0-9œæ]+", _flat(apart)))


def _parts(answer: str) -> list[Part]:
    """The answer's sentences and list items in order, each with what it does."""
    said = list(_sentences(visible(answer)))
    parts: list[Part] = []
    for place, (text, item) in enumerate(said):
        following = _words(said[place + 1][0]) if place + 1 < len(said) else ""
        kind = _kind(text, following, item, parts[-1].kind if parts else "")
        words = " | ".join(filter(None, map(_words, re.split(r"[,;:()]|\bet\b|\band\b|\n", text))))
        parts.append(Part(words if kind == "ask" else _words(text), kind))
    return [part for part in parts if part.words]


def _sentences(text: str) -> Iterator[tuple[str, bool]]:
    """(sentence, whether it stands in a list that an opening line with a colon introduced or continues one)."""
    in_list = False
    for line in filter(str.strip, text.splitlines()):
        bullet = re.match(r"\s*([-*•–]|\d+[.)])\s+", line)
        item = bool(bullet) and in_list
        body = line[bullet.end() :] if bullet else line
        apart = re.sub(r"\?(?=\w)", "? ", body.strip("*# "))
        for sentence in sentences(apart, printed=False):
            yield from ((piece, item) for piece in _halves(sentence))
        in_list = item or body.rstrip("* ").endswith(":")


def _halves(sentence: str) -> list[str]:
    """A sentence in two where it runs from a statement into a question, or from a refusal into help ("mais")."""
    for cut in re.finditer(r",? mais |\s*[,;:–—]\s+", sentence):
        left, right = _words(sentence[: cut.start()]), _words(sentence[cut.end() :])
        opens = re.match(
            r"((et|mais|donc|aussi|sinon|alors) )*((a|de|dans|depuis|en) )?(quel|combien|quand|avez vous|etes vous)",
            right,
        )
        asks = opens or re.match(
            rf"((et|mais|donc) )*(pouvez|pourriez|merci de {TELL}|precisez|indiquez moi|dites moi)", right
        )
        preamble = re.match(r"(pour|afin|avant|si|selon|merci|bonjour|je|j|il me|et|d accord|for|to)\b", left)
        plain = not (WH.search(left) or INVERSION.search(left) or REQUEST.search(left))
        helps = REFUSAL.search(left) and "mais" in cut[0] and len(right.split()) >= SOME_HELP
        if helps or (asks and plain and not preamble and len(left.split()) >= 6):
            return [sentence[: cut.start()], sentence[cut.end() :]]
    return [sentence]


def _kind(text: str, following: str, item: bool, before: str) -> str:
    """What a sentence does; `before` is the kind of the sentence before it, `following` the words after it."""
    words = GREETING.sub("", _words(text))
    question = _is_question(text)
    if item and before == "ask":
        return "ask"
    if COURTESY.search(words) and not re.search(r"\bn hesitez pas a (me|m) (preciser|indiquer|donner)", words):
        return "courtesy"
    if REQUEST.search(words):
        return "ask"
    if question:
        return "ask" if _put_to_reader(words, following, before) else "filler"
    if (IMPERATIVE.search(words) and not FORM.search(words)) or OPEN_QUESTION.search(words):
        return "ask"
    if REFUSAL.search(words):
        return "refuse"
    length = len(words.split())
    if length < 2 and words not in ("oui", "non", "yes", "no"):
        return "filler"
    if FILLER.search(words) or (SYMPATHY.search(words) and length <= 10):
        return "filler"
    return "away" if SEND_AWAY.search(words) and length <= 14 else "say"


def _is_question(sentence: str) -> bool:
    return sentence.rstrip('*_"» )').endswith("?")


def _put_to_reader(words: str, following: str, before: str) -> bool:
    """Whether a sentence with a question mark waits for an answer, and is not answered by the text itself."""
    if SELF_ANSWER.match(following) or (RHETORICAL.search(words) and following):
        return False
    supposes = re.match(r"vous \w+", words) and not re.search(r" (ou|or) ", words) and not WH.search(words)
    if (
        supposes
        and re.match(r"(\w+ez|faites)\b", following)
        and not (REQUEST.search(following) or INVERSION.search(following))
    ):
        return False
    if YOU.search(words) or re.search(r"\b(s agit il|est ce|c est|est il|est elle|chacun|qui est)\b", words):
        return True
    return before == "ask" or not following


def _helps(parts: list[Part]) -> bool:
    """Whether an answer that asks also answers: saying why one asks is no answer."""
    said = [part.words for part in parts if part.kind in ("say", "away") and not _only_depends(part.words)]
    telling = [words for words in said if ACTION.search(words)]
    rest = [words for words in said if not ACTION.search(words) and not MOTIVE.search(words)]
    told = sum(len(words.split()) for words in telling)
    return told >= TOLD or told + sum(len(words.split()) for words in rest) >= EXPLAINED


def _only_depends(words: str) -> bool:
    """Whether a sentence only says that the answer depends on what is asked."""
    return bool(DEPENDS.search(words)) and len(words.split()) <= 14


def _refuses(parts: list[Part]) -> bool:
    """Whether an answer that asks nothing helps with nothing."""
    if not any(part.kind in ("say", "away") for part in parts):
        return True
    help_words = sum(len(part.words.split()) for part in parts if part.kind == "say")
    kinds = [part.kind for part in parts if part.kind not in ("filler", "courtesy")]
    if "refuse" in kinds:
        return help_words < (LONG_HELP if kinds[0] == "refuse" else SOME_HELP)
    if not help_words:
        return all(NOWHERE.search(part.words) for part in parts if part.kind == "away")
    words = " ".join(part.words for part in parts)
    return len(words.split()) >= OFF_TOPIC and not ADMIN.search(words)


def _garbled(answer: str) -> bool:
    """Whether the answer is empty, a loop, or no language for people."""
    shown = visible(answer)
    words = _words(shown).split()
    if shown.startswith(("{", "[")):
        return True  # structure, where a person wants a sentence
    if not words or len(re.findall(r"\[/?inst\]|<\|\w|<unk>|\{\{|\ufffd|Ã.", shown, flags=re.IGNORECASE)) > 1:
        return True
    tokens = shown.split()
    odd = sum(
        bool(re.search(r"(\w)\1{3}|[^\W\d_][#@¤§{}|\\^~<>=][^\W\d_]|[bcdfghjklmnpqrstvwxz]{6}", t.lower()))
        for t in tokens
    )
    letters = sum(character.isalnum() or character.isspace() for character in shown)
    return odd > 0.2 * len(tokens) or letters < 0.6 * len(shown) or _loops(words)


def _echoes(answer: str, question: str) -> bool:
    """Whether what the answer says is mostly the question's own words."""
    said = _stems(_words(visible(answer)))
    return bool(said) and len(said & _stems(_words(question))) >= ECHO * len(said)


def _loops(words: list[str]) -> bool:
    """Whether the same words come back and back."""
    runs = re.search(r"\b(\w+(?: \w+){0,4})(?: \1\b){3}", " ".join(words))
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    return bool(runs) or (len(words) >= 12 and len(triples) < 0.42 * triples.total())


def _joined(clauses: list[str]) -> list[str]:
    """The clauses, one that cannot stand alone ("de votre fils", "depuis quand") after the one that it completes."""
    joined: list[str] = []
    for clause in clauses:
        of = re.match(r"(de|d|du|des|celle|celui) ", clause) and not WH.search(clause)
        bare = re.fullmatch(
            r"(depuis (quand|combien de temps)|jusqu a quand|quand|pourquoi|comment"
            r"|a quel endroit)",
            clause,
        )
        completes = joined and (of or bare)
        joined.append(f"{joined[-1]} {clause}" if completes else clause)
    return joined


def _asks_for(clause: str, label: str) -> bool:
    """Whether the clause asks for one of the label's alternatives ("vide ou meublé", "titre et motif")."""
    return any(_asks_for_one(clause, choice) for choice in re.split(r",|\bou\b|\bet\b|/", label))


def _asks_for_one(clause: str, choice: str) -> bool:
    words = [word for word in _words(choice).split() if word not in STOP]
    needed = [cues for key, cues in REQUIRED.items() if any(re.match(key, word) for word in words)]
    specific = [
        _cues(word) for word in words if not GENERIC.match(word) and not any(re.match(key, word) for key in REQUIRED)
    ]
    if not specific and not needed:
        specific = [_cues(word) for word in words]
    if "titre" in words and re.search(SYNONYMS[r"expir|echeanc|valid|perem"], clause):
        return False  # "quand expire votre titre ?" asks for the date
    found = sum(bool(re.search(cues, clause)) for cues in specific)
    return bool(words) and all(re.search(cues, clause) for cues in needed) and 2 * found >= len(specific)


def _cues(word: str) -> str:
    """The pattern of the words that ask for a label's word: its synonyms, else its own stem."""
    known = [cues for key, cues in SYNONYMS.items() if re.search(key, word)]
    return known[0] if known else rf"\b{re.escape(word[:6].rstrip('sx'))}"


def _with_digits(text: str) -> str:
    """The folded text with its written numbers in figures: "dix-huit mois" is "18 mois"."""
    number = "|".join(WORDS_AS_NUMBERS)

    def figure(match: re.Match) -> str:
        return str(sum(WORDS_AS_NUMBERS[word] for word in match[0].split("-")))

    return re.sub(rf"\b(?:{number})(?:-(?:{number}))*\b", figure, _flat(text))


def _claims(text: str) -> list[tuple[tuple[int, int], str, list[str]]]:
    """(place, kind, keys) of every checkable claim of a folded text, in its order; equal claims have equal keys."""
    found = []
    for kind, pattern in CLAIMS.items():
        for match in re.finditer(pattern, text):
            if kind == "time" and AGE_BEFORE.search(text[: match.start()]):
                continue
            found.append((match.span(), kind, _keys(kind, match[0])))
        text = re.sub(pattern, lambda match: "#" * len(match[0]), text)
    return sorted(found)


def _keys(kind: str, claim: str) -> list[str]:
    """What must be known for the claim to be known."""
    digits = re.sub(r"\D", "", claim)
    if kind == "web":
        return ["web " + re.sub(r"^(https?://)?(www\.)?", "", claim).rstrip("/.?!:")]
    if kind in ("law", "form", "phone"):
        return [f"{kind} {digits}"]
    if kind == "money":
        return [("rate " if re.search(r"%|cent", claim) else "money ") + _value(claim)]
    if kind == "date":
        return _date_keys(claim)
    if kind == "time":
        unit, count = next(UNITS[name] for name in UNITS if re.search(rf"\d ?{name}(s|es)?$", claim))
        return [f"{unit} {float(_value(number)) * count:g}" for number in re.findall(NUMBER, claim)]
    return [f"year {digits}"]


def _value(claim: str) -> str:
    """The first number in plain figures: "1 250,50 €" is "1250.5"."""
    number = re.search(NUMBER, claim)[0]
    plain = re.sub(r"\s", "", number).replace(",", ".")
    return f"{float(plain):g}"


def _date_keys(claim: str) -> list[str]:
    """Day with month, and year, each where the date has it."""
    numeric = re.match(r"(\d+)[/.](\d+)[/.](\d+)$", claim)
    if numeric:
        day, month, year = map(int, numeric.groups())
        return [f"date {day}/{month}", f"year {year if year > 99 else 2000 + year}"]
    month = MONTH_OF[re.search(MONTH, claim)[0]]
    day, year = re.match(r"\d{1,2}", claim), re.search(r"\d{4}$", claim)
    return ([f"date {int(day[0])}/{month}"] if day else []) + ([f"year {year[0]}"] if year else [])


def _in_question(text: str, place: int) -> bool:
    """Whether the sentence around the place ends with a question mark."""
    rest = sentences(text[place:].partition("\n")[0], printed=False)
    return bool(rest) and _is_question(rest[0])
