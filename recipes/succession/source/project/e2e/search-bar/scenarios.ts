/** What people type into the search bar; `attendu` is a word that the first result must have. */
const PERE = 'père';

export const scenarios = [
  { nom: 'exhérédation', saisie: `mon ${PERE} est décédé en 2021, il laisse 3 enfants et un testament qui déshérite mon frère Kevin, est-ce possible ?`, attendu: 'réserve' },
  { nom: 'obsèques', saisie: 'frais d\'obsèques 4 800 € qui paye quand le compte est bloqué ? ma mère est décédée le 8 mai 2024, nous sommes deux enfants', attendu: 'obsèques' },
  { nom: 'concubinage', saisie: "concubin décédé sans testament, maison achetée à deux moitié-moitié à Perpignan, il a deux enfants de son premier mariage, je deviens quoi ?", attendu: 'indivision' },
  { nom: 'barème', saisie: 'valeur usufruit veuve 81 ans maison 300 000 €, mon père Robert Salmon décédé le 4 janvier 2024, ma mère a pris l\u2019usufruit de tout', attendu: 'usufruit' },
  { nom: 'clause bénéficiaire', saisie: 'assurance vie 50 000 euros de mon oncle décédé en mars 2024, bénéficiaire : sa sœur Lucienne morte avant lui, où va l\'argent', attendu: 'assurance' },
  { nom: 'cautionnement', saisie: "mon ami et associé est mort, j'étais caution avec lui du prêt de notre SARL, 45 000 € restent dus, ses enfants ont renoncé à la succession, la banque peut tout me demander ?", attendu: 'caution' },
  { nom: 'hors sujet', saisie: 'rupture conventionnelle délai pour se rétracter', attendu: 'aucun résultat' },
  { nom: "petits-enfants", saisie: "ma grand-mère veut faire une donation de 20 000 € à chacun de ses 3 petits-enfants, elle a 79 ans et elle va bien, ça se rapporte à sa succession ?", attendu: "rapport" },
  { nom: "pension alimentaire", saisie: "mon ex ne paie plus la pension alimentaire depuis mars, je fais quoi", attendu: "aucun résultat" },
  { nom: "mur mitoyen", saisie: "le voisin a construit un mur sur ma limite et il veut que je paye la moitié", attendu: "aucun résultat" },
  { nom: "rachat de soulte", saisie: "soulte 42 000 € à verser à ma sœur pour garder l'appartement de Toulon, maman décédée en 2022, on est deux, partage amiable", attendu: "partage" },
];
