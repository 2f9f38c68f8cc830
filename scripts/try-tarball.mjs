// Installs a tarball into an empty folder, as a user does, and stores something with it: by import
// and by require. What is loaded must lie in that folder.
//
//   node scripts/try-tarball.mjs FILE
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { spawnSync } from 'node:child_process';
import { SetupError, main } from './lib/project.mjs';

const BODY = `
  const assert = require('node:assert');
  const store = await tidemark.JsonFileStore.open('state.json');
  const key = tidemark.ResumeKey.named('orders');
  await store.put(key, { lastCommittedSequence: 42n });
  await store.close();
  const again = await tidemark.JsonFileStore.open('state.json');
  assert.strictEqual((await again.get(key)).lastCommittedSequence, 42n);
  await again.close();
  const wal = await tidemark.Wal.open('log');
  const lsn = await wal.append(Buffer.from('first'));
  assert.strictEqual(Buffer.from((await wal.read(lsn)).data).toString(), 'first');
  await wal.purge({ before: lsn + 1n });
  await wal.close();
  const loaded = process.report.getReport().sharedObjects.filter((name) => /\\.node$/.test(name));
  console.log(JSON.stringify(loaded));
`;
const FORMS = {
  'import.mjs': `
import { createRequire } from 'node:module';
import * as tidemark from 'tidemark';
const require = createRequire(import.meta.url);
${BODY}`,
  'require.cjs': `
const tidemark = require('tidemark');
(async () => {${BODY}})();`,
};

/**
 * @param {string} directory
 * @param {string} command
 * @param {string[]} args
 */
function output(directory, command, args) {
  const shell = process.platform === 'win32' && command === 'npm';
  const options = { cwd: directory, encoding: /** @type {const} */ ('utf8'), shell };
  const { status, stdout, stderr } = spawnSync(command, args, options);
  if (status !== 0) throw new SetupError(`${command} ${args.join(' ')}:\n${stdout}${stderr}`);
  return stdout;
}

await main(() => {
  const [given] = process.argv.slice(2);
  if (given === undefined) throw new SetupError('which tarball?');
  const directory = realpathSync.native(mkdtempSync(path.join(os.tmpdir(), 'tidemark-tarball-')));
  try {
    writeFileSync(path.join(directory, 'package.json'), '{ "private": true }\n');
    const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
    output(directory, 'npm', [...install, path.resolve(given)]);
    for (const [name, source] of Object.entries(FORMS)) {
      writeFileSync(path.join(directory, name), source);
      const lines = output(directory, process.execPath, [name]).trim().split('\n');
      /** @type {string[]} */
      const loaded = JSON.parse(lines.at(-1) ?? '[]');
      const inside = loaded.filter((file) =>
        realpathSync.native(file).startsWith(directory + path.sep),
      );
      if (loaded.length === 0 || inside.length !== loaded.length) {
        throw new SetupError(`${name} loaded ${loaded.join(', ') || 'no addon'}`);
      }
      process.stdout.write(`${name} on Node ${process.versions.node}: ${inside.join(', ')}\n`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
});
