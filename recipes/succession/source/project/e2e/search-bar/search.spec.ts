import { expect, test } from '@playwright/test';
import { scenarios } from './scenarios';

for (const { nom, saisie, attendu } of scenarios) {
  test(`recherche : ${nom}`, async ({ page }) => {
    await page.goto('/recherche');
    await page.getByRole('searchbox').fill(saisie);
    await expect(page.getByTestId('resultat').first()).toContainText(attendu);
  });
}

test('le texte d’un cas se retrouve tel quel', async ({ page }) => {
  const saisie =
    "Ma tante Solange Maréchal vient de mourir, le 9 janvier 2024. Elle ne s'est jamais mariée, n'a pas eu d'enfant, " +
    'et ses parents sont morts depuis longtemps. Elle avait deux frères : mon père Lucien, mort en 2017, et mon oncle Raymond, ' +
    "toujours en vie. Lucien a laissé deux enfants, ma sœur Agathe et moi. Pas de testament retrouvé. Est-ce que mon oncle prend tout, " +
    'ou est-ce que ma sœur et moi venons à la place de papa ? Il y aurait surtout un compte-titres d\'environ 85 000 euros et un petit studio à Dijon.';
  await page.goto('/recherche');
  await page.getByRole('searchbox').fill(saisie);
  await expect(page.getByTestId('resultat').first()).toContainText('représentation');
});
