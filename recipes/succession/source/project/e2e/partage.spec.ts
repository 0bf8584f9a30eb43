import { test, expect } from './fixtures';

const PRIX = 540_000;
const MAISON = 'la maison de Cancale';
const APPEL = 'Bonjour Maître';
const FORMULE = `${APPEL}, je reviens vers vous au sujet de la succession de mon mari.`;

test('option du conjoint', async ({ chat }) => {
  await chat.fillPrompt({
    // a donation between spouses, with everything told
    enonce: `${FORMULE}

Georges Lacaze est décédé le 29 août 2023, à 76 ans. Nous étions mariés sous le régime légal depuis 1973 et nous avons deux enfants, Thierry et Nathalie. Le 10 mai 1995 nous nous étions fait une donation au dernier vivant, en bonne et due forme.

Notre maison d'Anglet, commune, est évaluée 460 000 €, et nous avions 88 000 € de placements, communs aussi. J'ai 74 ans et une petite retraite. Thierry me conseille l'usufruit de tout, Nathalie préférerait que je prenne un quart en propriété et le reste en usufruit. Je n'ai encore rien signé et je voudrais surtout ne pas être un poids. Quel choix me laisse la liberté de vendre un jour ?

Marie-Thérèse Lacaze`,
  });
  await expect(chat.reponse).toContainText('quotité');
});

test('licitation demandée', async ({ chat }) => {
  const enonce =
    `Delphine, j'ai bien reçu l'assignation du 11 mars 2024. Bravo. Six ans qu'on discute de ${MAISON} et tu préfères la vendre aux enchères, mise à prix 280 000 €, ` +
    "alors que l'agence en donnait 395 000. C'est aussi la maison de maman, je te rappelle. " +
    'On en a la moitié chacune. J\'y vis depuis 2019, oui, et je l\'ai entretenue\u00a0: 23 500 € de travaux, factures à l\'appui. ' +
    "Tu réclames 900 € d'indemnité par mois ? Alors je réclamerai mes travaux. Et je demanderai l'attribution au juge. Caroline";
  await chat.fillPrompt({ enonce });
  await expect(chat.reponse).toContainText('indivision');
});

test('retraits avant le décès', async ({ chat }) => {
  await chat.fillPrompt({
    enonce: 'En préparant la déclaration de succession de ma mère, Odette Rivière, décédée le 16 novembre 2023 à l\'EHPAD de Gap, ' +
      'j\'ai demandé les relevés à la banque. Entre 2021 et sa mort, 38 700 € ont été retirés au distributeur, par tranches de 500 €, alors qu\'elle ne quittait plus sa chambre. ' +
      'La seule à avoir procuration était ma sœur Ghislaine. ' +
      'Elle assure que maman lui demandait des espèces "pour les petits". ' +
      'Maman était sous tutelle depuis mars 2023, mais la tutrice n\'a rien remarqué. ' +
      'Nous sommes trois enfants : Ghislaine, Denis et moi, Françoise. ' +
      'Il reste 12 400 € sur le compte. Puis-je parler de recel, et que risque ma sœur ?',
  });
  await expect(chat.reponse).toContainText('recel');
});

test("l'exploitation continue", async ({ chat }) => {
  await chat.fillPrompt({
    enonce: `Gaec du Vallon, Aveyron. Nous étions deux associés à parts égales, Jean-Paul Cayrol et moi, Régis Bousquet. Jean-Paul est décédé le 1er mars 2024. Sa fille Marion, installée avec nous depuis 2020, veut reprendre ses parts ; son frère Mathieu, ingénieur à Paris, veut de l'argent, tout de suite. La société est évaluée à ${PRIX} €, sans les terres, que Jean-Paul possédait en propre et nous louait. Marion peut-elle demander l'attribution préférentielle, et de quoi exactement ? Moi, je veux seulement savoir avec qui je trairai les vaches au printemps.`,
  });
  await expect(chat.reponse).toContainText('attribution préférentielle');
});

test('un dossier de trois successions', async ({ chat }) => {
  await chat.fillPrompt({
    enonce: `Cher confrère,

Je vous soumets, avec l'accord de ma cliente, Mme Hélène Dumas, le dossier de la succession de son père, que votre étude a accepté de reprendre. Je vous prie d'en excuser la longueur : on s'y perd à la première lecture, et à la deuxième encore un peu.

M. Victor Dumas, né à Nîmes le 17 février 1935, est décédé à Montpellier le 4 avril 2023. Il avait été marié une première fois avec Mme Suzanne Pagès, dont il a divorcé en 1978 ; de cette union sont issus Hélène, ma cliente, née en 1962, et Robert, né en 1965, décédé en 2011 en laissant deux enfants, Arthur et Jeanne. Il s'était remarié le 30 juin 1984 avec Mme Mireille Astruc, sous le régime de la séparation de biens suivant contrat reçu la même année. Un enfant est né de cette seconde union, Florent, aujourd'hui âgé de 37 ans. Mme Astruc, âgée de 79 ans, lui survit et occupe la maison de Montpellier, qui appartenait en propre au défunt.

Du vivant de M. Dumas sont intervenus trois actes. En 1998, il a donné à ma cliente un terrain à Sommières, évalué alors 30 000 € et qui, devenu constructible, en vaut aujourd'hui 145 000, en avancement de part successorale. Le 22 mai 2007, il a donné à Florent, hors part cette fois, la nue-propriété de la maison de Montpellier, en s'en réservant l'usufruit ; la maison valait 400 000 € en pleine propriété à la date de l'acte et vaut 650 000 € au décès. Enfin, par testament olographe du 15 janvier 2018, déposé chez Me Sauvan, il a légué à son épouse l'usufruit de l'ensemble de ses biens.

À cela s'ajoute un contrat d'assurance-vie souscrit en 2010, alors qu'il avait 75 ans : 180 000 € de primes versées en une fois, un capital de 214 000 € au décès, Mme Astruc pour seule bénéficiaire. Les comptes ne présentaient plus, au jour du décès, qu'un solde de 41 600 € ; les frais d'obsèques, de 6 300 €, ont été réglés par ma cliente.

Mes questions sont les suivantes. La donation de 2007 excède-t-elle la quotité disponible, et comment l'évaluer, l'usufruit réservé s'étant éteint par le décès ? Le legs d'usufruit s'impute-t-il, et sur quoi ? Les primes versées peuvent-elles être tenues pour manifestement exagérées, sachant que la vente d'un immeuble venait de procurer au défunt l'essentiel de ses liquidités ? Arthur et Jeanne, qui viennent en représentation de leur père, souhaitent enfin savoir s'ils peuvent agir seuls en réduction, leur tante hésitant à rompre avec Florent.

Aucune action n'est engagée à ce jour. Une réunion était prévue en septembre ; Mme Astruc n'y est pas venue.

Votre bien dévoué confrère`,
  });
  await expect(chat.reponse).toContainText('réduction');
});
