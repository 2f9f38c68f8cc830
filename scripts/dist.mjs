// dist/: the facade as it is published, JavaScript and declarations.
//
// The sources name the types of the addon by an entry of package.json's `imports`, which TypeScript
// does not know in its oldest mode of resolution. The declarations name the file.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { SetupError, isMain, main, root, run, tool } from './lib/project.mjs';
import { ensureModules } from './setup.mjs';

const IMPORT = "'#binding'";
const FILE = 'binding/index.cjs';

/**
 * Compiles dist/ anew, of a checkout whose modules are there.
 * @param {string} [checkout]
 */
export function buildDist(checkout = root) {
  const dist = path.join(checkout, 'dist');
  rmSync(dist, { recursive: true, force: true });
  if (!run(...tool('typescript', ['--project', path.join(checkout, 'tsconfig.build.json')]))) {
    throw new SetupError('the facade does not compile, see above');
  }
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.d.ts')) continue;
    const file = path.join(dist, name);
    const text = readFileSync(file, 'utf8');
    const to = path.relative(path.dirname(file), path.join(checkout, FILE)).replaceAll('\\', '/');
    const named = text.replaceAll(IMPORT, `'${to}'`);
    if (named !== text) writeFileSync(file, named);
  }
}

if (isMain(import.meta.url)) {
  await main(() => {
    ensureModules();
    buildDist();
    process.stdout.write('dist/ written\n');
  });
}
