// The package that is published works on every runtime that it promises: packed, installed
// without scripts, with neither Rust nor a compiler at hand. The addon is the optimised one, linked
// as a release is.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { root } from '../__test__/support/compiled.ts';
import { compileConsumers, install, pack, toolsAt, use } from '../__test__/support/tarball.ts';

const PREBUILD = 'linux-x64/node.napi.glibc.node';

const directory = mkdtempSync(path.join(realpathSync(os.tmpdir()), 'tidemark-runtimes-'));
const tarball = pack(directory);
const installed = install(tarball, directory);
compileConsumers(installed);

test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

const inRuntimes = (name: string): string => path.join(import.meta.dirname, 'node_modules', name);
const versionOf = (name: string): string => {
  const manifest = readFileSync(path.join(inRuntimes(name), 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
};

/** What a program of `__test__/consumer` must say, and the only addon that it may load. */
async function works(
  t: ExecutionContext,
  program: readonly [string, ...string[]],
  expected: string,
): Promise<void> {
  const { said, addons, code, stderr } = await use(installed, program);
  t.deepEqual([said, code], [expected, 0], stderr);
  const addon = path.join(installed.folder, 'node_modules/tidemark/prebuilds', PREBUILD);
  t.deepEqual(addons, [addon], 'the addon that it loaded is not the one that was installed');
}

const USED = '42 order@42, 1: paid: order 1, TIDEMARK_INVALID_ARGUMENT';

test('the prebuild of this machine passes as one of a release', (t) => {
  const target = '--target=x86_64-unknown-linux-gnu';
  const args = [path.join(root, 'scripts/verify-prebuilds.mjs'), target];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.is(status, 0, stdout + stderr);
  t.log(stdout.trim());
  t.true(tarball.names.includes(`prebuilds/${PREBUILD}`));
});

test('where the package is installed there is nothing to build it with', (t) => {
  t.deepEqual(toolsAt(installed), []);
});

for (const major of [20, 22, 24, 26]) {
  const name = `node-${major}`;
  const node = path.join(inRuntimes(name), 'bin/node');
  test.serial(`Node ${versionOf(name)}: import, require and 8 worker threads`, async (t) => {
    await works(t, [node, 'js/use.mjs', `import-${major}`], USED);
    await works(t, [node, 'js/use.cjs', `require-${major}`], USED);
    const folder = `workers-${major}`;
    await works(t, [node, 'js/workers.mjs', folder], '8 numbers, 8 checkpoints');
  });
}

const BUN = '@oven/bun-linux-x64-baseline';
test.serial(`Bun ${versionOf(BUN)}: import, put, get, append, close`, async (t) => {
  await works(t, [path.join(inRuntimes(BUN), 'bin/bun'), 'js/use.mjs', 'bun'], USED);
});

const DENO = '@deno/linux-x64-glibc';
const RIGHTS = ['--allow-ffi', '--allow-read', '--allow-write', '--allow-env', '--allow-sys'];
test.serial(`Deno ${versionOf(DENO)}: import, put, get, append, close`, async (t) => {
  const deno = path.join(inRuntimes(DENO), 'deno');
  const call = ['run', '--no-prompt', '--cached-only', ...RIGHTS, 'js/use.mjs', 'deno'];
  await works(t, [deno, ...call], USED);
});
