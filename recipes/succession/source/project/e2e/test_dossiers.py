# ruff: noqa: E501
from client import ask


class TestDossiers:
    enonce_pacs = (
        "Nous étions pacsées, Camille Noël et moi, Aïcha Diallo, depuis le 8 mars 2017, à Rennes, sous le régime de "
        "l'indivision. Camille est morte le 5 janvier 2024. Elle m'avait désignée légataire universelle, par testament "
        "olographe du 2 février 2022 ; elle n'avait pas d'enfant. Son père, Hervé Noël, est toujours là, sa mère non.\n"
        "\n"
        "Nous avions acheté ensemble l'appartement, 268 000 €, avec un prêt dont il reste 121 000 € ; l'assurance en couvre "
        "la moitié, celle de Camille. Hervé, qui ne m'a jamais acceptée, parle de réserve et de « droit de retour » sur les "
        "40 000 € qu'il avait donnés à sa fille en 2017 pour l'apport. Peut-il les reprendre ?"
    )

    def test_pacs(self):
        assert "droit de retour" in ask(self.enonce_pacs)

    def test_aide_sociale(self):
        enonce = """g une question sur ma gd-mère, Paulette Gros, DCD le 14/12/2023 à 91 ans en maison de retraite a Epinal.
le dpt réclame 52 300 € d'aide sociale à la succession. elle avait qu'une petite maison, ds les 78 000 € d'apres le notaire. ma mère (sa fille unique, Ginette) est morte en 2018 dc c'est moi et mon frère Ludovic les héritiers.
est ce qu'ils peuvent tt prendre ? et est ce qu'on doit payer de notre poche si la maison suffit pas ? merci d'avance. Steven
"""
        assert "récupération" in ask(enonce)

    def test_le_beau_pere_veut_adopter(self):
        assert "adoption" in ask(
            "Une voisine m'a raconté l'histoire suivante et me demande mon avis, que je serais bien en peine de donner. "
            "Son beau-père, Roland Gaillard, l'a élevée depuis ses trois ans ; il avait engagé une adoption simple en 2022, "
            "et puis il est mort, le 31 mars 2023, avant le jugement. Il a deux enfants d'un premier mariage, Éric et Patrice, "
            "et avait épousé sa mère à elle, Josette, en 1992. "
            "Les deux fils veulent vendre la maison de Mende, où Josette habite toujours, et disent que la voisine, "
            "Karine, « n'est pas de la famille ». "
            "De combien est la maison, je l'ignore. Josette peut-elle rester, et Karine a-t-elle la moindre chance ?"
        )

    def test_un_projet_de_pacte(self):
        assert "aucun décès" in ask(
            "Consultation : les deux associés d'une SAS de transport (MM. Ferrand et Belkacem, 50 % chacun, trente-deux salariés) "
            "veulent savoir ce qui arriverait si l'un d'eux disparaissait. Ils envisagent un pacte Dutreil et une clause d'agrément. "
            "La société vaut deux millions d'euros environ. Les deux sont mariés en communauté et pères de famille, "
            "et se portent bien."
        )
