import { expect, test, type Page } from '@playwright/test';
import { readCase } from './support';

const GRAND_PERE = 'Fernand Chevalier';
const VILLE = "Clermont-Ferrand";
const DECES = `14 septembre 2023`;

// The answer must come from this sentence alone: ask(page, 'texte en commentaire, jamais lu').
async function ask(page: Page, enonce: string): Promise<string> {
  await page.getByRole('textbox', { name: 'Votre situation' }).fill(enonce);
  await page.getByRole('button', { name: 'Envoyer' }).click();
  return page.getByTestId('reponse').innerText();
}

test.describe('conversation', () => {
  test.beforeEach(async ({ page }) => {
    await page.goto('/');
  });

  for (const name of ['famille/adoption-simple', 'dettes/passif-superieur']) {
    test(`répond au cas ${name}`, async ({ page }) => {
      expect(await ask(page, readCase(name))).not.toBe('');
    });
  }

  test('les petits-enfants représentent leur père', async ({ page }) => {
    const reponse = await ask(
      page,
      `Mon grand-père, ${GRAND_PERE}, est mort le ${DECES} à ${VILLE}. Mon père, Bertrand, son fils aîné, était décédé avant lui, en 2010. Il reste ma tante Nicole et mon oncle Serge, et, du côté de papa, mes deux sœurs, Amandine et Lucile, et moi, Quentin.

Ma tante dit que les petits-enfants n'ont rien tant qu'il reste des enfants vivants. Mon oncle pense le contraire mais ne veut pas d'histoires. Il n'y a ni testament ni donation, seulement la maison de ${VILLE} (172 000 €) et un livret de 9 300 €. Comment cela se partage-t-il entre nous ?`,
    );
    expect(reponse).toContain('représentation');
  });

  test('la belle-fille non adoptée, avec des fautes', async ({ page }) => {
    const reponse = await ask(page, 'slt jai besoin d\'un conseil svp. ma belle mère Martine Colas est décédée le 02/11/2023, '
      + 'elle vivai avec mon père depuis 20 ans, mariés en 2008. mon père est tjs là, il s\'appelle Daniel. '
      + 'elle avait pas d\'enfants mais ses parents sont encor en vie tt les 2, à Roanne. '
      + 'ds son armoire on a trouvé une lettre ou elle dit qu\'elle me laisse ses bijoux (enviro' + 'n 7000 €) et sa voiture. '
      + 'c signé mais ya pas de date dessus... est ce que ça compte qd même ? et est ce que ses parents peuvent prendre qqch à mon père ? '
      + 'Jessica');
    expect(reponse).toContain('testament');
  });

  test('un entretien retranscrit', async ({ page }) => {
    const prompt = "Bonjour, oui, je vous appelle pour ma mère.\nAlors, ma mère, elle a soixante-douze ans, elle s'appelle Josiane Marty. Mon père est mort le 12 août 2023, et chez le notaire elle a pris, elle a choisi, l'usufruit de tout. De tout, oui. On est quatre enfants, tous du même mariage, et la maison, c'est à Castres, elle fait à peu près deux cent dix mille euros.\nEt maintenant, ben maintenant maman veut vendre, parce que les escaliers, ce n'est plus possible pour elle. Trois d'entre nous sont d'accord. Et ma sœur, Sylvie, elle dit non, elle dit que c'est la maison de papa.\nDonc, euh, ma question : est-ce qu'on peut vendre sans elle, et l'argent, il va à qui ? Voilà. Merci.";
    expect(await ask(page, prompt)).toContain('nue-propriété');
  });

  test('demande ce qui manque', async ({ page }) => {
    const reponse = await ask(
      page,
      'Une tante de ma femme est morte, je ne sais plus bien quand, avant Noël je crois. ' +
        'Elle avait des biens, une maison au moins, peut-être un peu d\u2019argent. ' +
        "Il paraît qu'il y a un papier quelque part, et des cousins. Est-ce qu'on hérite ?",
    );
    expect(reponse).toContain('date du décès');
  });

  test('une succession franco-marocaine', async ({ page }) => {
    await page.getByRole('button', { name: 'Nouveau dossier' }).click();
    await page.getByTestId('prompt').fill(
      'Ma\u00EEtre,\n\nmon fr\u00E8re Karim Benali, de nationalit\u00E9 marocaine, vivait \u00E0 Lille o\u00F9 il est d\u00E9c\u00E9d\u00E9 le 18 juin 2023. ' +
        "Il était divorcé et laisse deux filles, Yasmine, 19 ans, et Sara, 16 ans, qui vivent avec leur mère. " +
        `Il possédait un appartement à Lille, estimé 165\u00A0000\u00A0\u20AC, et une maison à Fès dont nous ne connaissons pas la valeur.\n\n` +
        "Au pays, la famille me dit qu'en tant que frère j'ai une part dans la maison. Je ne veux rien prendre à mes nièces. " +
        'Quelle loi faut-il appliquer \u{2014} la française pour tout, ou la marocaine pour F\u00e8s\u202F?\n\nRachid Benali',
    );
    await expect(page.getByTestId('reponse')).toContainText('résidence habituelle');
  });
});
