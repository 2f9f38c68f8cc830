// binding/index.d.cts: the types of the addon, as napi-rs generates them. They are committed, so
// that the facade type-checks without a compiler; this checks that they are those of the sources.
//
//   node scripts/binding-types.mjs [--write]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { SetupError, host, inPrebuilds, main, prebuild, root, say } from './lib/project.mjs';
import { ensureAddon, ensureModules } from './setup.mjs';

await main(async () => {
  ensureModules();
  await ensureAddon();
  const committed = path.join(root, 'binding/index.d.cts');
  const generatedFile = inPrebuilds(prebuild(host).types);
  if (!existsSync(generatedFile)) {
    throw new SetupError('the types of the addon come from its build, which needs Rust');
  }
  const generated = readFileSync(generatedFile, 'utf8').replaceAll(/[ \t]+$/gmu, '');
  if (existsSync(committed) && readFileSync(committed, 'utf8') === generated) return;
  if (!process.argv.includes('--write')) {
    throw new SetupError('binding/index.d.cts is out of date: run npm run build:binding');
  }
  writeFileSync(committed, generated);
  say('binding/index.d.cts written');
});
