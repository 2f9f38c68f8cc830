// Builds the addon into prebuilds/<platform>-<arch>/, from where node-gyp-build loads it:
// prebuildify, with napi-rs in the place of node-gyp.
//
//   node scripts/build.mjs [--release] [--target <triple>] [--cross napi|zig]
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs, promisify } from 'node:util';
import prebuildify from 'prebuildify';
import { buildStamp } from './lib/source-hash.mjs';
import { SetupError, host, inPrebuilds, isMain, main, prebuild, root } from './lib/project.mjs';

/** @type {Record<string, import('./lib/project.mjs').Host>} */
const TARGETS = {
  'x86_64-unknown-linux-gnu': { platform: 'linux', arch: 'x64', libc: 'glibc' },
  'aarch64-unknown-linux-gnu': { platform: 'linux', arch: 'arm64', libc: 'glibc' },
  'x86_64-unknown-linux-musl': { platform: 'linux', arch: 'x64', libc: 'musl' },
  'aarch64-unknown-linux-musl': { platform: 'linux', arch: 'arm64', libc: 'musl' },
  'x86_64-apple-darwin': { platform: 'darwin', arch: 'x64', libc: undefined },
  'aarch64-apple-darwin': { platform: 'darwin', arch: 'arm64', libc: undefined },
  'x86_64-pc-windows-msvc': { platform: 'win32', arch: 'x64', libc: undefined },
};

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
      release: { type: 'boolean', default: false },
      target: { type: 'string' },
      cross: { type: 'string' },
    },
  });
  const profile = values.release ? 'release' : 'dev';
  await main(() =>
    build({
      profile,
      ...(values.target === undefined ? {} : { triple: values.target }),
      ...(values.cross === undefined ? {} : { cross: values.cross }),
    }),
  );
}
