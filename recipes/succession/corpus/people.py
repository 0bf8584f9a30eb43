"""Invented people: French first names by sex and generation, surnames, communes, companies."""

import random

WOMEN = {
    1900: "Simone Odette Yvonne Germaine Paulette Huguette Lucienne Marcelle Andrée Renée Suzanne Raymonde".split(),
    1935: (
        "Monique Colette Josiane Michèle Françoise Nicole Jacqueline Annie Ghislaine Bernadette Mireille Danielle "
        "Marie-Thérèse Chantal Solange Évelyne Arlette Geneviève Liliane Marie-Claude"
    ).split(),
    1955: (
        "Catherine Sylvie Véronique Brigitte Isabelle Nathalie Pascale Corinne Florence Anne-Marie Béatrice Agnès "
        "Valérie Hélène Marie-Laure Sandrine Laurence Fatima Rachida Élisabeth"
    ).split(),
    1975: (
        "Céline Aurélie Émilie Stéphanie Delphine Karine Virginie Élodie Séverine Audrey Mélanie Laëtitia Nadia Samira "
        "Gaëlle Marion Anaïs Cécile Amandine Claire"
    ).split(),
    1992: (
        "Léa Manon Chloé Inès Jade Clémence Zoé Lucie Margaux Océane Yasmine Apolline Capucine Romane Noémie Maëlys "
        "Soline Louise"
    ).split(),
}
MEN = {
    1900: "Marcel René Lucien Fernand Roger Raymond Gaston Émile Maurice Albert Léon Edmond".split(),
    1935: (
        "Jean-Pierre Michel Gérard Bernard André Jean-Claude Guy Robert Daniel Yves Serge Roland Gilbert "
        "Henri Jean-Louis Armand Georges Étienne Jean-Marie"
    ).split(),
    1955: (
        "Philippe Alain Patrick Christian Thierry Pascal Bruno Didier Éric Laurent Hervé Jean-Luc Olivier Gilles "
        "Denis Marc François-Xavier Rachid Karim Benoît"
    ).split(),
    1975: (
        "Nicolas Sébastien Julien Cédric Guillaume Frédéric Stéphane Mathieu Jérôme Damien Ludovic Grégory Mehdi "
        "Arnaud Yann Fabien Vincent Loïc Raphaël Samir"
    ).split(),
    1992: (
        "Hugo Théo Maxime Enzo Antonin Bastien Quentin Lucas Gabin Noé Timothée Adam Ilyès Victor Corentin Tristan "
        "Malo Baptiste"
    ).split(),
}
SURNAMES = (
    "Marchand Lefèvre Garnier Chevalier Perrin Morel Fontaine Roussel Blanchard Guérin Mercier Dupuis Caron Renaud "
    "Lacroix Aubert Delmas Vasseur Brunet Charpentier Leclercq Poirier Gauthier Barbier Rivière Maillard Pélissier "
    "Besson Carpentier Lemaître Fabre Navarro Teixeira Benali Kowalski Nguyen Diallo Ferreira Haddad Costa Legoff "
    "Kermarrec Schmitt Muller Etcheverry Ollivier Tessier Bouvier Joubert Cordier Prévost Sauvage Langlois Hamel "
    "Coulon Vidal Pasquier Meunier Rocher Lambert Jacquet Bonnard Thévenet Grandjean Mallet Courtois Verdier "
    "Chauvin Lacombe Fournel Rambert Esposito Cardoso Boucher Delattre Noirot Savary Desbois Puget"
).split()
COMMUNES = (
    "Angers Tours Limoges Pau Vannes Quimper Annecy Valence Nîmes Albi Rodez Périgueux Bayonne Dieppe Saumur Chartres "
    "Colmar Épinal Mâcon Vichy Aurillac Cahors Auch Niort Cholet Laval Fougères Lorient Morlaix Évreux Beauvais Arras "
    "Douai Sedan Troyes Auxerre Nevers Bourges Montluçon Roanne Vienne Gap Hyères Fréjus Sète Béziers Perpignan "
    "Villefranche-sur-Saône Bourg-en-Bresse Saint-Malo Aix-les-Bains"
).split()
COURTS = "Angers Tours Limoges Pau Vannes Quimper Annecy Valence Nîmes Rodez Périgueux Bayonne Chartres Colmar".split()
INSURERS = (
    "Prévoyance du Val",
    "Mutuelle des Trois Rives",
    "Épargne Horizon",
    "Assurances du Ponant",
    "Générations Vie",
    "Tutélaire des Alpes",
    "Union des Épargnants",
)
BANKS = ("Banque du Lac", "Crédit des Provinces", "Caisse du Centre", "Banque des Métiers", "Crédit Atlantique")
CREDITORS = ("Crédit des Provinces", "Banque du Lac", "Caisse du Centre", "Financière Duval")
ASSOCIATIONS = ("Les Amis du Vieux Port", "Refuge des Quatre Vents", "Fondation Clairval", "Secours des Aînés")
FIRMS = ("Menuiserie", "Transports", "Garage", "Boulangerie", "Domaine", "Imprimerie", "Plomberie", "Serres")
FARMS = ("Gaec du Vallon", "Gaec des Trois Chênes", "Earl de la Source", "Gaec de la Haute Combe")
LANDLORDS = ("SCI des Tilleuls", "SCI du Moulin", "SCI Les Arcades", "SCI de la Gare")
ACTIVITIES = {
    "Menuiserie": "menuiserie",
    "Transports": "transport routier",
    "Garage": "réparation automobile",
    "Boulangerie": "boulangerie",
    "Domaine": "viticulture",
    "Imprimerie": "imprimerie",
    "Plomberie": "plomberie et chauffage",
    "Serres": "horticulture",
}
PROFESSIONS = {
    "f": ("institutrice", "infirmière", "commerçante", "agricultrice", "comptable", "secrétaire", "pharmacienne"),
    "m": ("instituteur", "cheminot", "commerçant", "agriculteur", "comptable", "artisan maçon", "ingénieur"),
}
_SEX = {name: sex for sex, names in (("f", WOMEN), ("m", MEN)) for pool in names.values() for name in pool}


def sex_of(name: str) -> str | None:
    """ "f" or "m", by the first name of "Prénom Nom"; None where it is none of ours."""
    return _SEX.get(name.split(" ")[0])


class People:
    """Draws names: no first name twice, so that a first name alone says who is meant."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.taken: set[str] = set()

    def surname(self) -> str:
        free = [name for name in SURNAMES if name not in self.taken]
        return self._take(self.rng.choice(free))

    def name(self, sex: str | None = None, born: int = 1960, surname: str | None = None) -> str:
        """A full name; without a surname, one that nobody has yet."""
        sex = sex or self.rng.choice("fm")
        pools = WOMEN if sex == "f" else MEN
        pool = pools[max((year for year in pools if year <= born), default=1900)]
        free = [name for name in pool if name not in self.taken] or sorted(
            name for names in pools.values() for name in names if name not in self.taken
        )
        return f"{self._take(self.rng.choice(free))} {surname or self.surname()}"

    def _take(self, name: str) -> str:
        self.taken.add(name)
        return name
