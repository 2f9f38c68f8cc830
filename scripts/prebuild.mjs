// Builds the addon into prebuilds/<platform>-<arch>/node.napi[.<libc>].node, from where
// src/native.ts loads it: prebuildify, with napi-rs in the place of node-gyp.
//
//   npm run prebuild [-- --target TRIPLE [--use-napi-cross | -x]]
//
// Without a target it is this machine's, linked against this machine's C library.
// --use-napi-cross links against glibc 2.17 (on Linux; the toolchain comes from npm), -x links with
// zig (musl) or xwin (Windows). --dev builds the profile that the tests load.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs, promisify } from 'node:util';
import { buildStamp } from './lib/source-hash.mjs';
import { SetupError, host, inPrebuilds, isMain, main, prebuild, root } from './lib/project.mjs';
import { TARGETS } from './lib/targets.mjs';

/** The ways to link for another system, as napi-rs names them. */
const CROSS = { 'use-napi-cross': 'napi', 'cross-compile': 'zig' };

/**
 * @param {{ profile: 'dev' | 'release', triple?: string, cross?: string }} options
 */
export async function build({ profile, triple, cross }) {
  const target = triple === undefined ? host : TARGETS[triple];
  if (target === undefined) {
    throw new SetupError(`unknown target ${triple}; known are ${Object.keys(TARGETS).join(', ')}`);
  }
  const scratch = path.join(root, 'build');
  const types = path.join(scratch, 'index.d.cts');
  const stand = path.join(import.meta.dirname, 'napi-as-node-gyp.mjs');
  const options = [
    `--profile=${profile}`,
    `--types=${types}`,
    ...(triple === undefined ? [] : [`--triple=${triple}`]),
    ...(cross === undefined ? [] : [`--cross=${cross}`]),
  ];
  // prebuildify puts Node's own directory in front, and with it another compiler or Python.
  process.env['TIDEMARK_BUILD_PATH'] = process.env['PATH'];
  // Only now: what prebuildify is may have been installed a moment ago.
  const { default: prebuildify } = await import('prebuildify');
  // Taken before: what is edited while the compiler runs may not be in what it builds.
  const built = buildStamp(profile);
  // prebuildify starts its builder through a shell, with arguments; newer Nodes warn of that.
  process.noDeprecation = true;
  rmSync(scratch, { recursive: true, force: true });
  try {
    await promisify(prebuildify)({
      cwd: root,
      out: scratch,
      cache: path.join(scratch, 'cache'),
      name: 'node.napi',
      napi: true,
      platform: target.platform,
      arch: target.arch,
      tagLibc: target.libc ?? false,
      nodeGyp: [process.execPath, stand, ...options].map((word) => `"${word}"`).join(' '),
      shell: true,
    });
    const { directory, file, stamp, types: typesFile } = prebuild(target);
    mkdirSync(inPrebuilds(directory), { recursive: true });
    rmSync(inPrebuilds(stamp), { force: true });
    // Renamed, never written over: a process that runs on the old addon has it mapped.
    renameSync(path.join(scratch, 'prebuilds', file), inPrebuilds(file));
    renameSync(types, inPrebuilds(typesFile));
    writeFileSync(inPrebuilds(stamp), built);
  } catch (error) {
    throw new SetupError('building the addon failed, see above', { cause: error });
  } finally {
    // node-gyp-build prefers build/ to prebuilds/: nothing may be left there.
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      dev: { type: 'boolean', default: false },
      target: { type: 'string' },
      'use-napi-cross': { type: 'boolean', default: false },
      'cross-compile': { type: 'boolean', short: 'x', default: false },
    },
  });
  await main(async () => {
    const ways = Object.entries(CROSS).filter(([flag]) => values[/** @type {'dev'} */ (flag)]);
    if (ways.length > 1) throw new SetupError('--use-napi-cross and -x exclude each other');
    if (ways.length > 0 && values.target === undefined) {
      throw new SetupError('cross-compiling needs a target: --target TRIPLE');
    }
    // Only here: setup.mjs imports this file while it waits for what it does itself.
    const { ensureModules } = await import('./setup.mjs');
    ensureModules();
    await build({
      profile: values.dev ? 'dev' : 'release',
      ...(values.target === undefined ? {} : { triple: values.target }),
      ...(ways[0] === undefined ? {} : { cross: ways[0][1] }),
    });
  });
}
