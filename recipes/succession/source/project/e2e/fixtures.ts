import { test as base, type Locator, type Page } from '@playwright/test';

class Chat {
  readonly reponse: Locator;

  constructor(private readonly page: Page) {
    this.reponse = page.getByTestId('reponse');
  }

  async fillPrompt({ enonce }: { enonce: string }): Promise<void> {
    await this.page.getByTestId('prompt').fill(enonce);
    await this.page.getByRole('button', { name: 'Envoyer' }).click();
  }
}

export const test = base.extend<{ chat: Chat }>({
  chat: async ({ page }, use) => {
    await page.goto('/');
    await use(new Chat(page));
  },
});
export { expect } from '@playwright/test';
