import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The text of a case folder, for the specs that run all of them. */
export function readCase(name: string): string {
  return readFileSync(join(__dirname, '..', 'cases', name, 'ENONCE.md'), 'utf-8').trim();
}
