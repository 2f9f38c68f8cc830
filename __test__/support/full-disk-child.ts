// Writes into a directory whose disk is full, and says how that was refused.
import path from 'node:path';
import process from 'node:process';
import { TidemarkError, writeFileAtomic } from '../../index.ts';

const [, , directory = ''] = process.argv;
try {
  await writeFileAtomic(path.join(directory, 'file'), 'x');
  process.stdout.write('it was written');
} catch (error) {
  const ours = error instanceof TidemarkError;
  process.stdout.write(ours ? `${error.code} ${error.errno}` : String(error));
}
