// docs/errors.md, TIDEMARK_ADDON_NOT_FOUND: one clear error where there is no addon for the
// platform, and the right addon where something misleads the search for it. Each test loads a copy
// of the package, in a process of its own.
import { spawn } from 'node:child_process';
import { cpSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { describe, shipped, thisPlatform } from '../src/targets.ts';
import { ended } from './support/child.ts';
import { compiled, root } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';

const here = thisPlatform();
const prebuild = path.join(
  `prebuilds/${here.platform}-${here.arch}`,
  ['node.napi', here.libc, 'node'].filter(Boolean).join('.'),
);

/** A package of its own: the compiled facade, the loader of addons, and the addon. */
function copyOfPackage(t: ExecutionContext): string {
  const directory = path.join(tempDir(t), 'node_modules/tidemark');
  const addon = path.join(directory, prebuild);
  mkdirSync(path.dirname(addon), { recursive: true });
  linkOrCopy(path.join(root, prebuild), addon);
  cpSync(path.join(root, 'package.json'), path.join(directory, 'package.json'));
  cpSync(path.join(compiled('index.ts'), '../src'), path.join(directory, 'src'), {
    recursive: true,
  });
  cpSync(compiled('index.ts'), path.join(directory, 'index.js'));
  const loader = 'node_modules/node-gyp-build';
  symlinkSync(path.join(root, loader), path.join(directory, '../node-gyp-build'));
  return directory;
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    cpSync(from, to); // another file system
  }
}

interface Loaded {
  /** What the error said, or that there was none. */
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  readonly cause?: string;
  /** The addons in the memory of the process, relative to the package. */
  readonly addons: readonly string[];
}

const PROGRAM = `
  import { readFileSync, realpathSync } from 'node:fs';
  import path from 'node:path';
  const [directory] = process.argv.slice(1);
  let found = { code: 'loaded', message: '' };
  try {
    await import(path.join(directory, 'index.js'));
  } catch ({ code, message, path, cause }) {
    found = { code, message, path, cause: cause?.code ?? String(cause) };
  }
  const maps = readFileSync('/proc/self/maps', 'utf8').match(/\\/\\S.*\\.node$/gm) ?? [];
  const addons = [...new Set(maps)].map((name) => path.relative(realpathSync(directory), name));
  console.log(JSON.stringify({ ...found, addons }));
`;

/** Loads the package in a process that is told something else about itself, or by its variables. */
async function load(
  directory: string,
  { before = '', env = {} }: { before?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Loaded> {
  const args = ['--input-type=module', '--eval', before + PROGRAM, directory];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { stdout, stderr, code } = await ended(child);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Loaded;
}

/** Requires an error that says which platform it is, what there is, and what to do. */
function clearError(t: ExecutionContext, found: Loaded, platform: string): void {
  t.is(found.code, 'TIDEMARK_ADDON_NOT_FOUND', found.message);
  t.true(found.message.includes(platform), found.message);
  for (const name of shipped) t.true(found.message.includes(name), found.message);
  const build =
    /git clone https:.*`npm run prebuild && npm run build:dist && npm pack`.*Rust 1\.89/;
  if (/^(?:linux|darwin|win32)-/.test(platform)) t.regex(found.message, build);
  else t.regex(found.message, /there is no code for this system\.$/);
  t.deepEqual(found.addons, []);
}

const told = (property: string, value: string): string =>
  `Object.defineProperty(process, '${property}', { value: '${value}' });`;

test('without an addon the error names the platform, what is shipped, how to build', async (t) => {
  for (const [platform, libc] of [
    ['linux', ` (${here.libc ?? 'musl'})`],
    ['darwin', ''],
    ['win32', ''],
    ['sunos', ''],
  ] as const) {
    const before = told('platform', platform) + told('arch', 'riscv64');
    const found = await load(copyOfPackage(t), { before });
    const name = `${platform}-riscv64${libc}`;
    clearError(t, found, name);
    t.true(found.message.startsWith(`there is no native addon for ${name}. Shipped are `));
    t.is(found.cause, 'MODULE_NOT_FOUND');
  }
});

test('an addon that was left out is missed by its name', async (t) => {
  const directory = copyOfPackage(t);
  rmSync(path.join(directory, prebuild));
  const found = await load(directory);
  clearError(t, found, describe(here));
  t.true(found.message.includes(`is missing: ${path.join(directory, prebuild)} is not there`));
  t.is(found.path, path.join(directory, prebuild));
  t.is(found.cause, 'MODULE_NOT_FOUND');
});

test('an addon that the system refuses is named, with the reason of the system', async (t) => {
  const directory = copyOfPackage(t);
  rmSync(path.join(directory, prebuild));
  writeFileSync(path.join(directory, prebuild), 'not an addon');
  const found = await load(directory);
  clearError(t, found, describe(here));
  t.regex(found.message, /does not load: .*(?:too short|invalid ELF|ERR_DLOPEN|file)/);
  t.is(found.path, path.join(directory, prebuild));
  t.is(found.cause, 'ERR_DLOPEN_FAILED');
});

const glibc = here.libc === 'glibc' ? test : test.skip; // a process of glibc passes for one of musl

/** As musl reports itself: without a version of glibc. */
const MUSL = `
  const report = process.report.getReport.bind(process.report);
  process.report.getReport = () => {
    const { header: { glibcVersionRuntime, ...header }, ...rest } = report();
    return { header, ...rest };
  };
`;

glibc('under musl that is not of Alpine the addon for glibc is not loaded', async (t) => {
  const found = await load(copyOfPackage(t), { before: MUSL });
  clearError(t, found, `${here.platform}-${here.arch} (musl)`);
});

glibc('under musl the addon for musl is loaded, with the one for glibc beside it', async (t) => {
  const directory = copyOfPackage(t);
  const musl = prebuild.replace('glibc', 'musl');
  linkOrCopy(path.join(directory, prebuild), path.join(directory, musl));
  rmSync(path.join(directory, prebuild));
  writeFileSync(path.join(directory, prebuild), 'for glibc');
  const { code, addons } = await load(directory, { before: MUSL });
  t.is(code, 'loaded');
  t.deepEqual(addons, [musl]);
});

for (const env of [{ LIBC: 'musl' }, { npm_config_arch: 'ia32' }, { npm_config_platform: 'aix' }]) {
  const [[name, value] = []] = Object.entries(env);
  test(`a variable that is meant for others does not mislead: ${name}=${value}`, async (t) => {
    const found = await load(copyOfPackage(t), { env });
    t.is(found.code, 'loaded', found.message);
    t.deepEqual(found.addons, [prebuild]);
  });
}

test('what lies in build/Release is not loaded in the place of the prebuild', async (t) => {
  const directory = copyOfPackage(t);
  for (const name of ['Release', 'Debug']) {
    mkdirSync(path.join(directory, 'build', name), { recursive: true });
    writeFileSync(path.join(directory, 'build', name, 'stray.node'), 'not an addon');
  }
  const found = await load(directory);
  t.is(found.code, 'loaded', found.message);
  t.deepEqual(found.addons, [prebuild]);
});

test('TIDEMARK_PREBUILD names another directory with prebuilds', async (t) => {
  const [moved, directory] = [tempDir(t), copyOfPackage(t)];
  cpSync(path.join(directory, 'prebuilds'), path.join(moved, 'prebuilds'), { recursive: true });
  rmSync(path.join(directory, 'prebuilds'), { recursive: true });
  const found = await load(directory, { env: { TIDEMARK_PREBUILD: moved } });
  t.is(found.code, 'loaded', found.message);
  t.deepEqual(found.addons, [path.relative(directory, path.join(moved, prebuild))]);
});

// It would look for the one for glibc, because no file says that this is Alpine.
glibc('TIDEMARK_PREBUILD counts under musl that is not of Alpine', async (t) => {
  const [moved, directory] = [tempDir(t), copyOfPackage(t)];
  const musl = prebuild.replace('glibc', 'musl');
  mkdirSync(path.join(moved, path.dirname(musl)), { recursive: true });
  cpSync(path.join(directory, prebuild), path.join(moved, musl));
  const found = await load(directory, { before: MUSL, env: { TIDEMARK_PREBUILD: moved } });
  t.is(found.code, 'loaded', found.message);
  t.deepEqual(found.addons, [path.relative(directory, path.join(moved, musl))]);
});
