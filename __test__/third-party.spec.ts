// What others wrote is named where the package goes: in the notices that their licences ask for,
// and in the list of what a release is made of. What is in the addon, the addon itself is asked.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { root } from './support/compiled.ts';
import { thisPrebuild } from './support/tarball.ts';

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: { expression: string }[];
  readonly hashes?: { alg: string; content: string }[];
}
interface Document {
  readonly specVersion: string;
  readonly serialNumber: string;
  readonly metadata: { timestamp: string; component: Component };
  readonly components: Component[];
  readonly dependencies: { ref: string; dependsOn: string[] }[];
}
const from = async <T>(script: string): Promise<T> =>
  (await import(path.join(root, 'scripts', script))) as T;
const licences = await from<{
  choices: (expression: string) => string[][];
  elect: (name: string, expression: string | null) => string[];
  textsOf: (
    of: { name: string; directory: string; repository: string | null },
    elected: string[],
  ) => string[];
}>('lib/licences.mjs');
const { rust, sbom } = await from<{
  rust: (prebuilds?: string) => Component;
  sbom: () => Document;
}>('sbom.mjs');

const { prebuild } = await from<{
  prebuild: (of: object) => { file: string };
}>('lib/project.mjs');
const targets = await from<{ TARGETS: Record<string, object> }>('lib/targets.mjs');

const directory = mkdtempSync(path.join(os.tmpdir(), 'tidemark-third-party-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

const addon = readFileSync(path.join(root, 'prebuilds', thisPrebuild())).toString('latin1');
const notices = readFileSync(path.join(root, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
const [, standardLibrary = ''] = notices.split(/^-{78}$/m);
const document = sbom();

/** Packages whose sources the addon names where it panics, as `name version`. */
const inAddon = (where: RegExp): string[] => [
  ...new Set([...addon.matchAll(where)].map(([, name, version]) => `${name} ${version}`)),
];
const crates = inAddon(/\/registry\/src\/[^/]+\/([\w-]+?)-(\d+\.\d+\.\d+[\w.+-]*)\//g);

test('every crate that the addon names is in the notices and in the list of components', (t) => {
  // A release names fewer: its symbols are gone, what may panic is left.
  t.true(crates.length > 5 && crates.some((crate) => crate.startsWith('napi ')), crates.join(', '));
  const listed = document.components.map(({ name, version }) => `${name} ${version}`);
  for (const crate of crates) {
    t.true(notices.includes(`\n  ${crate} (`), `${crate} is not in THIRD-PARTY-NOTICES.txt`);
    t.true(listed.includes(crate), `${crate} is not in the list of components`);
  }
});

test("every crate of Rust's standard library that the addon names is in its notice", (t) => {
  const theirs = inAddon(/\/rust\/deps\/([\w-]+?)-(\d+\.\d+\.\d+[\w.+-]*)\//g);
  t.true(theirs.length > 0);
  for (const crate of theirs) {
    const [name = ''] = crate.split(' ');
    t.regex(standardLibrary, new RegExp(`\\b${name}\\b`), `${crate}: STANDARD_LIBRARY of notices`);
  }
});

test('the notices and the list of components name the same packages', (t) => {
  const noticed = [...notices.matchAll(/^ {2}(\S+) (\d\S*) \(/gm)].map((line) => line.slice(1, 3));
  const listed = document.components.map(({ name, version }) => `${name} ${version}`);
  t.deepEqual(
    noticed.map((one) => one.join(' ')).sort(),
    listed.filter((one) => !one.startsWith('rust-std ')).sort(),
  );
  t.true(listed.some((one) => one.startsWith('node-gyp-build ')));
});

test('each component has a name, a version, a place, a licence and a checksum', (t) => {
  t.is(document.specVersion, '1.5');
  t.regex(document.serialNumber, /^urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  t.false(Number.isNaN(Date.parse(document.metadata.timestamp)));
  for (const one of [document.metadata.component, ...document.components]) {
    t.is(one['bom-ref'], one.purl);
    t.regex(one.purl, /^pkg:(?:cargo|npm|github)\/[\w./-]+@\d+\.\d+\.\d+[\w.%-]*$/);
    t.true(one.purl.endsWith(`@${encodeURIComponent(one.version)}`), one.purl);
    t.true(one.name === 'rust-std' || one.purl.includes(`/${one.name}@`), one.purl);
    for (const { expression } of one.licenses) t.true(licences.choices(expression).length > 0);
    t.true(one.licenses.length > 0 && !one.licenses.some((it) => it.expression.includes('/')));
  }
  const lock = readFileSync(path.join(root, 'Cargo.lock'), 'utf8');
  for (const { purl, name, hashes = [] } of document.components) {
    if (name === 'rust-std') continue;
    const [digest] = hashes;
    if (purl.startsWith('pkg:cargo/')) {
      t.true(lock.includes(`"${digest?.content ?? 'none'}"`), purl);
    } else t.regex(digest?.content ?? '', /^[0-9a-f]{128}$/, purl);
  }
});

test('who uses whom leads from the package to every component, and to nothing else', (t) => {
  const edges = new Map(document.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  t.is(edges.size, document.dependencies.length);
  const reached = new Set<string>();
  const follow = (ref: string): void => {
    if (reached.has(ref)) return;
    reached.add(ref);
    for (const next of edges.get(ref) ?? []) follow(next);
  };
  const self = document.metadata.component.purl;
  follow(self);
  const known = [self, ...document.components.map(({ purl }) => purl)];
  t.deepEqual([...reached].sort(), known.toSorted());
  t.deepEqual([...edges.keys()].sort(), known.toSorted());
});

test('an addon that another Rust has built is not described as if this one had', (t) => {
  t.notThrows(() => rust());
  writeFileSync(path.join(directory, 'old.node'), `\0/rustc/${'0'.repeat(40)}/library/core/src\0`);
  t.throws(() => rust(directory), { message: /old\.node was built with the Rust of 0{40}/ });
});

test('of the addons of a release each says which Rust has built it', (t) => {
  const prebuilds = path.join(directory, 'prebuilds');
  const files = Object.values(targets.TARGETS).map((of) => prebuild(of).file);
  const known = /\/rustc\/[0-9a-f]{40}\//.exec(addon)?.[0] ?? 'none';
  for (const file of files) {
    mkdirSync(path.dirname(path.join(prebuilds, file)), { recursive: true });
    writeFileSync(path.join(prebuilds, file), `\0${known}library/core/src\0`);
  }
  t.notThrows(() => rust(prebuilds));
  writeFileSync(path.join(prebuilds, files[0] ?? ''), 'nothing');
  t.throws(() => rust(prebuilds), { message: /glibc\.node does not say which Rust/ });
  // What Windows has between directories.
  writeFileSync(path.join(prebuilds, files[0] ?? ''), `/rustc/${'0'.repeat(40)}\\library`);
  t.throws(() => rust(prebuilds), { message: /was built with the Rust of 0{40}/ });
});

test('of a choice of licences the one with the shortest duties is taken, if it is allowed', (t) => {
  for (const [expression, elected] of [
    ['MIT OR Apache-2.0', ['MIT']],
    ['Apache-2.0/MIT', ['MIT']],
    ['Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT', ['MIT']],
    ['Apache-2.0 OR BSL-1.0', ['Apache-2.0']],
    ['(MIT OR Apache-2.0) AND Unicode-3.0', ['MIT', 'Unicode-3.0']],
    ['GPL-3.0-only OR (ISC AND (MPL-2.0 OR Zlib))', ['ISC', 'Zlib']],
  ] as const) {
    t.deepEqual(licences.elect('one', expression), [...elected], expression);
  }
  for (const expression of ['GPL-3.0-only', 'MIT AND MPL-2.0', 'Apache-2.0 WITH other', null]) {
    t.throws(() => licences.elect('one', expression), { message: /one is under .*not among/ });
  }
  for (const expression of ['', 'MIT OR', '(MIT', 'MIT Apache-2.0', 'AND MIT', 'MIT)']) {
    t.throws(() => licences.elect('one', expression), { message: /not understood/ }, expression);
  }
});

test('a package without the text of its licence fails, and a notice goes with it', (t) => {
  const of = { name: 'one', directory, repository: 'https://example.org/one' };
  writeFileSync(
    path.join(directory, 'LICENSE-APACHE'),
    'Apache License\nVersion 2.0, January 2004',
  );
  t.throws(() => licences.textsOf(of, ['MIT']), {
    message: /^one brings no text of its licence MIT$/,
  });
  const mit = 'Permission is hereby granted, free of charge, to any\nperson obtaining a copy';
  writeFileSync(path.join(directory, 'LICENSE-MIT'), mit);
  writeFileSync(path.join(directory, 'COPYRIGHT'), 'by one');
  t.deepEqual(licences.textsOf(of, ['MIT']), ['by one', mit]);
});
