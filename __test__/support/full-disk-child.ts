// Writes into a directory whose disk is full, and says how that was refused.
import path from 'node:path';
import process from 'node:process';
import { isTidemarkError, writeFileAtomic } from '../../index.ts';

const [, , directory = ''] = process.argv;
try {
  await writeFileAtomic(path.join(directory, 'file'), 'x');
  process.stdout.write('it was written');
} catch (error) {
  process.stdout.write(isTidemarkError(error) ? `${error.code} ${error.errno}` : String(error));
}
