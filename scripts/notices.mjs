// THIRD-PARTY-NOTICES.txt: the notices of what others wrote and the package contains or needs.
// Their licences ask for them where the program is passed on, and an addon is: it is published.
//
//   node scripts/notices.mjs [--write]
//
// Without --write it fails if the file is not what cargo and the crates say. A licence that is not
// allowed fails in both.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { idOf, linkedCrates } from './lib/crates.mjs';
import { elect, textsOf } from './lib/licences.mjs';
import { SetupError, isMain, main, readJson, root, say } from './lib/project.mjs';
import { ensureModules } from './setup.mjs';

const FILE = 'THIRD-PARTY-NOTICES.txt';
const RULE = `\n${'-'.repeat(78)}\n\n`;

/** @typedef {{ name: string, version: string, license: string | null, elected: string[] }} Entry */
/** @typedef {Entry & { texts: string[] }} Notice */

/**
 * What every Rust program contains, from the compiler's own list of it (share/doc/rust in a
 * toolchain) and from what an addon says where it panics. Its texts are those of the crates, which
 * is checked.
 */
const STANDARD_LIBRARY = {
  licences: ['Apache-2.0', 'MIT', 'Unicode-3.0'],
  said: `The Rust standard library (https://www.rust-lang.org)
  Copyright (c) The Rust Project Developers (see https://thanks.rust-lang.org)
  Apache-2.0 OR MIT, taken under Apache-2.0; with it, under the same choice,
  backtrace (Copyright (c) 2014 Alex Crichton), std::sync::mpmc (Copyright (c)
  2019 The Crossbeam Project Developers) and the crates addr2line, adler2, cfg-if,
  gimli, hashbrown, libc, miniz_oxide, object and rustc-demangle.
  Its crate memchr: Copyright (c) 2015 Andrew Gallant, taken under MIT.
  Its tables of characters: Copyright (c) 1991-2024 Unicode, Inc., Unicode-3.0.
  Its compiler_builtins: MIT for what came from musl (Copyright (c) 2005-2020 Rich
  Felker, et al.), Apache-2.0 WITH LLVM-exception for what came from LLVM.
`,
};

/** The packages that npm installs with this one. */
function npmPackages() {
  return Object.keys(readJson('package.json').dependencies).map((name) => {
    const directory = path.join(root, 'node_modules', name);
    const { version, license } = readJson(`node_modules/${name}/package.json`);
    return { name, version, license, directory, repository: null };
  });
}

/** @returns {Notice[]} */
function notices() {
  ensureModules();
  // Those without a checksum are ours: LICENSE is theirs.
  const crates = linkedCrates().filter(({ checksum }) => checksum !== undefined);
  return [...crates, ...npmPackages()].map((one) => {
    const elected = elect(idOf(one), one.license);
    const texts = textsOf(one, elected).map((text) => text.replaceAll('\r\n', '\n').trim());
    return { name: one.name, version: one.version, license: one.license, elected, texts };
  });
}

/** @param {Entry} entry */
function line({ name, version, license, elected }) {
  const taken = elected.join(' and ');
  return `  ${name} ${version} (${license}${license === taken ? '' : `, taken under ${taken}`})\n`;
}

/**
 * The whole file. Texts that are the same to the letter are there once.
 * @param {Notice[]} all
 */
function render(all) {
  /** @type {Map<string, Entry[]>} */
  const byTexts = new Map();
  for (const { texts, ...entry } of all) {
    const text = texts.join('\n\n');
    byTexts.set(text, [...(byTexts.get(text) ?? []), entry]);
  }
  const elected = new Set(all.flatMap((one) => one.elected));
  const missing = STANDARD_LIBRARY.licences.find((licence) => !elected.has(licence));
  if (missing !== undefined) {
    throw new SetupError(
      `no crate brings the text of ${missing}, and the standard library needs it`,
    );
  }
  const head =
    'Tidemark is under the Apache License 2.0 (LICENSE). Its addon contains the Rust standard\n' +
    'library and the crates below, and node-gyp-build loads it. Where there is a choice of\n' +
    'licences, the one that they are taken under is said.\n\n' +
    'Written by `npm run notices` from what cargo links and the files that the packages bring.\n';
  const groups = [...byTexts].map(
    ([text, entries]) => `${entries.map((entry) => line(entry)).join('')}\n${text}\n`,
  );
  return [head, STANDARD_LIBRARY.said, ...groups].join(RULE);
}

/** @param {boolean} write */
export function checkNotices(write) {
  const text = render(notices());
  const file = path.join(root, FILE);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  if (!write) throw new SetupError(`${FILE} is out of date: run npm run notices`);
  writeFileSync(file, text);
  say(`${FILE} written`);
}

if (isMain(import.meta.url)) await main(() => checkNotices(process.argv.includes('--write')));
