# ruff: noqa: E501
"""The answers of POST /dossiers, with the texts of the requests inline."""

import textwrap

from client import ask, post

NOTAIRE = "Me Lemoine"
ETABLISSEMENT = "Les Glycines"

REUNION = textwrap.dedent(
    """\
    Compte rendu de rendez-vous, étude de Me Lemoine

    Présents : Mme Sabine Charpentier, veuve de M. Luc Charpentier (décédé le 20 octobre 2023), et son beau-fils, M. Antonin Charpentier, fils du premier lit.

    Régime : séparation de biens, contrat de 1999. Maison de Meudon acquise en indivision, deux tiers M. Charpentier, un tiers Mme ; valeur 840 000 €. Mme soutient avoir remboursé seule l'emprunt de 2010 à 2018 et revendique une créance de 96 000 € contre la succession. M. Antonin Charpentier répond qu'elle n'a fait que contribuer aux charges du mariage.

    Le contrat prévoit une clause de séparation « pure et simple », chacun étant réputé avoir contribué au jour le jour. Mme n'a pas encore opté entre l'usufruit et le quart, étant observé qu'en présence d'un enfant d'un autre lit l'option ne lui est pas ouverte : le lui confirmer par écrit.
    """
)


def test_regime():
    assert "créance" in ask(REUNION)


def test_legs_a_une_association():
    texte = post(
        "/dossiers",
        prompt="Je suis le trésorier d'une petite association de protection animale de Valence, Les Amis du Lavoir. "
        "Le notaire nous écrit que M. Ernest Pradier, décédé le 30 janvier 2024, nous a légué la moitié de ce qu'il avait "
        "par un testament du 8 juin 2016, l'autre moitié allant à son voisin, Joseph Ribes. "
        "Il n'avait pas d'enfant et était veuf. "
        "Des cousins éloignés contestent : ils disent que l'écriture n'est pas la sienne. "
        "Nous n'avons jamais reçu de legs, notre président s'inquiète des frais. "
        "Devons-nous accepter tout de suite, et payons-nous des droits ?",
    )
    assert "legs" in texte


def test_clause_demembree():
    capital = "150 000 €"
    assert "usufruit" in ask(
        f"Ma cliente, 76 ans, veuve de Guy Tessier (décédé le 9 septembre 2023), est bénéficiaire pour l'usufruit "
        f"du contrat d'assurance-vie de son mari, les deux enfants du couple, Cyril et Maud, l'étant pour la nue-propriété. "
        f"Le contrat, souscrit en 1994 auprès de {'Prévoyance du Rhône'}, verse un capital de {capital}. "
        f"Les primes ont été payées avec l'argent du ménage, les époux étant communs en biens. {NOTAIRE}, de l'étude voisine, "
        f"considère que les enfants n'ont qu'une créance contre leur mère. Partage-t-on l'abattement, et dans quelle proportion ?"
    )


def test_separes_de_fait():
    enonce = (
        "Mon mari et moi vivions séparés depuis 2018 et la procédure de divorce était en cours, l'audience était fixée au 3 juin. "
        "Il est mort le 21 mai 2024. Il s'appelait Franck Dubreuil. "
        'Sa compagne, Laetitia Morin, avec qui il vivait à Bayonne, me fait dire que je ne suis plus "rien du tout" '
        "et que c'est elle qui s'occupe de la succession.\n\n"
        "Nous avons un fils, Nathan, 15 ans. Suis-je encore l'héritière de Franck tant que le jugement n'a pas été rendu ? "
        "Et qui représente Nathan chez le notaire, moi ou un tuteur ?"
    )
    assert "conjoint successible" in ask(enonce)


def test_le_meme_texte_sans_la_mise_en_page():
    assert "legs" in ask(
        "j'ai vécu 17 ans avec Michel sans qu'on se marie ni qu'on se pacse, il disait que ça servait a rien. "
        "il est mort en fevrier d'un cancer. il a un fils, Jérôme Castan, qu'il voyait une fois l'an. "
        "y'a un papier écrit a la main, daté du 3 mai 2019 et signé, où il me laisse la maison de Toulouse. "
        "Jérôme dit que ce papier vaut rien et que de toute façon l'état va me prendre 60 %. "
        "la maison vaut dans les 240000 euros a peu près. est ce que je peux rester chez moi ou pas ? "
        "moi je m'appelle Nadine Roumieu j'ai 63 ans."
    )


def test_montants_contradictoires():
    assert "préciser" in ask(
        prompt=f"""Bonjour, je vous transmets le dossier de mon frère aîné, Alexis Tournier, mort célibataire le 27 février 2024 à la résidence {ETABLISSEMENT}, à Bourges.

Dans votre courrier vous parlez d'une épargne de 74 000 €. Le relevé que j'ai sous les yeux dit 47 000 €. Ma nièce, elle, a noté 74 000 « au dire d'Alexis ». Il y a aussi une donation à cette nièce, Laure : 10 000 € selon l'acte qu'elle m'a montré, 15 000 € selon la déclaration faite aux impôts, le même jour.

Je ne sais plus quoi croire. Pouvez-vous reprendre les chiffres avant que nous ne signions ?

Solène Tournier"""
    )
