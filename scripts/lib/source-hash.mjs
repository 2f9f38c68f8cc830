// What an addon was built from, so that nothing is built twice.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readJson, root } from './project.mjs';

const CRATES = ['crates/core', 'crates/node', 'crates/storage'];
const FILES = [
  '.cargo/config.toml',
  'Cargo.lock',
  'Cargo.toml',
  'binding/header.d.cts',
  'rust-toolchain.toml',
  'scripts/prebuild.mjs',
  'scripts/napi-as-node-gyp.mjs',
];
const NOT_BUILT = new Set(['benches', 'examples', 'tests']);

/**
 * @param {string} directory
 * @param {string[]} found
 */
function collect(directory, found) {
  for (const entry of readdirSync(path.join(root, directory), { withFileTypes: true })) {
    const name = `${directory}/${entry.name}`;
    if (!entry.isDirectory()) found.push(name);
    else if (!NOT_BUILT.has(entry.name)) collect(name, found);
  }
  return found;
}

function sourceHash() {
  const hash = createHash('sha256').update(JSON.stringify(readJson('package.json').napi));
  const sources = CRATES.flatMap((crate) => collect(crate, []));
  for (const name of [...FILES, ...sources].toSorted()) {
    const file = path.join(root, name);
    if (!existsSync(file)) continue;
    const content = readFileSync(file);
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/**
 * Says of an addon which build it is: two with the same stamp are the same.
 * @param {'dev' | 'release'} profile
 */
export const buildStamp = (profile) => JSON.stringify({ profile, sources: sourceHash() });
