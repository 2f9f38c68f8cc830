// The published package holds what is needed and nothing else, runs nothing when it is
// installed, and works where there is neither a compiler nor Rust.
import { existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { root } from './support/compiled.ts';
import {
  type Installed,
  type Tarball,
  compileConsumers,
  TOOLS,
  install,
  installWatched,
  pack,
  thisPrebuild,
  toolsAt,
  use,
} from './support/tarball.ts';

const directory = mkdtempSync(path.join(realpathSync(os.tmpdir()), 'tidemark-package-'));
const tarball: Tarball = pack(directory);
const installed: Installed = install(tarball, directory);
compileConsumers(installed);

test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

const inPackage = (name: string): string =>
  path.join(installed.folder, 'node_modules/tidemark', name);
const manifest = JSON.parse(readFileSync(inPackage('package.json'), 'utf8')) as {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
};

/** Everything that is published, but the documents and the prebuilds: one name for each source. */
const SOURCES = readdirSync(path.join(root, 'src'))
  .filter((name) => !name.endsWith('.d.ts'))
  .map((name) => `src/${name.replace(/\.ts$/, '')}`);
const DOCUMENTS = [
  ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`),
  ...readdirSync(path.join(root, 'docs/format')).map((name) => `docs/format/${name}`),
].filter((name) => name.endsWith('.md'));

/** What tsc makes of one source. */
const compiledNames = (name: string): string[] =>
  ['.d.ts', '.d.ts.map', '.js', '.js.map'].map((end) => `dist/${name}${end}`);

test('the tarball holds these files and no other', (t) => {
  const expected = [
    ...['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'THIRD-PARTY-NOTICES.txt'],
    ...['UPGRADING.md', 'package.json'],
    ...['binding/index.d.cts', 'index.ts', 'src/node-gyp-build.d.ts'],
    ...SOURCES.map((name) => `${name}.ts`),
    ...['index', ...SOURCES].flatMap(compiledNames),
    ...DOCUMENTS,
  ];
  const isPrebuild = (name: string): boolean => name.startsWith('prebuilds/');
  const prebuilds = tarball.names.filter(isPrebuild);
  const rest = tarball.names.filter((name) => !isPrebuild(name));
  t.deepEqual(rest, expected.sort());
  // In a checkout there are those that were built in it; a release has them all.
  for (const name of prebuilds) {
    t.regex(name, /^prebuilds\/(?:darwin|linux|win32)-(?:arm64|x64)\/node\.napi(?:\.\w+)?\.node$/);
  }
  t.true(prebuilds.includes(`prebuilds/${thisPrebuild()}`));
});

test('installing it runs nothing and compiles nothing', (t) => {
  const run = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare'];
  t.deepEqual(
    run.filter((name) => Object.hasOwn(manifest.scripts, name)),
    [],
  );
  t.is((manifest as { gypfile?: boolean }).gypfile, false);
  t.false(existsSync(inPackage('binding.gyp')));
  t.deepEqual(Object.keys(manifest.dependencies), ['node-gyp-build']);
  t.deepEqual(toolsAt(installed), [], 'a tool that would build it is on the PATH');
  // Also where npm runs what there is, and would find the tools.
  const watched = installWatched(tarball, directory);
  t.deepEqual(toolsAt(watched), TOOLS);
  t.true(existsSync(path.join(watched.folder, 'node_modules/tidemark/package.json')));
  t.deepEqual(watched.called, ['gcc'], 'what another package called, which compiles, and no more');
});

test('nobody publishes a checkout that lacks an addon, or has one of a development build', (t) => {
  const [command, ...args] = (manifest.scripts['prepublishOnly'] ?? '').split(' ');
  t.deepEqual([command, args], ['node', ['scripts/verify-prebuilds.mjs']], 'all that are shipped');
});

test('every map leads to a source that is published, and every source has its maps', (t) => {
  const maps = tarball.names.filter((name) => name.endsWith('.map'));
  t.true(maps.length > 0);
  for (const name of maps) {
    const map = JSON.parse(readFileSync(inPackage(name), 'utf8')) as { sources: string[] };
    t.is(map.sources.length, 1, name);
    for (const source of map.sources) {
      t.true(existsSync(path.join(path.dirname(inPackage(name)), source)), `${name}: ${source}`);
    }
  }
});

test('links in its documents lead to files of the repository, as npm shows them', (t) => {
  for (const name of tarball.names.filter((file) => file.endsWith('.md'))) {
    const text = readFileSync(inPackage(name), 'utf8').replaceAll(/```.*?```/gs, '');
    for (const [, link = ''] of text.matchAll(/\]\(([^)#\s]+)/g)) {
      if (/^https?:/.test(link)) continue;
      const target = path.join(path.dirname(name), link);
      t.true(existsSync(path.join(root, target)), `${name}: ${link}`);
    }
  }
});

for (const [how, file] of [
  ['import', 'js/use.mjs'],
  ['require', 'js/use.cjs'],
] as const) {
  test(`the installed package works by ${how}, with the addon that it brought`, async (t) => {
    const { said, addons, code, stderr } = await use(installed, [process.execPath, file, how]);
    t.deepEqual(
      [said, code],
      ['42 order@42, 1: paid: order 1, TIDEMARK_INVALID_ARGUMENT', 0],
      stderr,
    );
    t.deepEqual(addons, [inPackage(`prebuilds/${thisPrebuild()}`)]);
  });
}

test('the installed package works in 8 worker threads at once', async (t) => {
  const call = [process.execPath, 'js/workers.mjs'] as const;
  const { said, addons, code, stderr } = await use(installed, call);
  t.deepEqual([said, code], ['8 numbers, 8 checkpoints', 0], stderr);
  t.deepEqual(addons, [inPackage(`prebuilds/${thisPrebuild()}`)]);
});
