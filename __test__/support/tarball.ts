// The package as users get it: packed, and installed where there is neither a compiler nor this
// project.
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { root } from './compiled.ts';

const { buildDist } = (await import(path.join(root, 'scripts/dist.mjs'))) as {
  buildDist: (checkout: string) => void;
};

/** What building it would take. */
export const TOOLS: readonly string[] = [
  ...['cargo', 'rustc', 'cc', 'gcc', 'c++', 'g++', 'clang', 'ld', 'make', 'node-gyp'],
  ...['python', 'python3'],
];

/** Not of the project, or made anew where it is packed. */
const NOT_COPIED = new Set([
  ...['.git', 'build', 'coverage', 'dist', 'node_modules', 'prebuilds', 'target'],
]);

/** A child that hangs is killed after this time: no test asserts less. */
const HANG_MS = 120_000;

/** A tarball and the names in it, without the leading `package/`. */
export interface Tarball {
  readonly file: string;
  readonly names: readonly string[];
}

/** An empty folder that the package is installed in. */
export interface Installed {
  readonly folder: string;
  /** Variables of programs there: their PATH holds an empty directory and nothing else. */
  readonly env: NodeJS.ProcessEnv;
}

/** How a program of a user ended, and which addons it had loaded. */
export interface Used {
  readonly said: string;
  readonly addons: readonly string[];
  readonly code: number | null;
  readonly stderr: string;
}

/** npm's own script: found now, and started later where the PATH is empty. */
function npmScript(): string {
  const { npm_execpath: given, PATH = '' } = process.env;
  if (given?.endsWith('npm-cli.js') === true) return given;
  const links = PATH.split(path.delimiter).map((directory) => path.join(directory, 'npm'));
  const link = links.find((name) => existsSync(name));
  if (link === undefined) throw new Error('there is no npm');
  return realpathSync(link);
}

/** The addon that this process would load, in `prebuilds/`. */
export function thisPrebuild(): string {
  const report = process.report.getReport() as { header: object };
  const libc = 'glibcVersionRuntime' in report.header ? 'glibc' : 'musl';
  const tag = process.platform === 'linux' ? `.${libc}` : '';
  return `${process.platform}-${process.arch}/node.napi${tag}.node`;
}

/** The variables of this process without what npm and we ourselves were told by some of them. */
function plainEnv(): NodeJS.ProcessEnv {
  const told =
    /^(?:npm_(?!config_(?:cache|cafile|registry|https?_proxy))|TIDEMARK_|PREBUILD|NODE_)/i;
  const env = Object.entries(process.env).filter(
    ([name]) => !told.test(name) || name === 'NODE_EXTRA_CA_CERTS',
  );
  return Object.fromEntries(env);
}

function succeed(command: string, args: readonly string[], cwd: string, env = plainEnv()): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${status ?? '?'}: ${stdout}${stderr}`);
}

/**
 * Packs a copy of the project in a new directory, with the addon that the tests load. Beside what
 * is published lies what may lie in a checkout and must not be.
 */
export function pack(directory: string): Tarball {
  const copy = path.join(directory, 'project');
  mkdirSync(copy, { recursive: true });
  for (const name of readdirSync(root)) {
    if (NOT_COPIED.has(name)) continue;
    const filter = (source: string): boolean => !NOT_COPIED.has(path.basename(source));
    cpSync(path.join(root, name), path.join(copy, name), { recursive: true, filter });
  }
  cpSync(path.join(root, 'prebuilds'), path.join(copy, 'prebuilds'), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
  mkdirSync(path.join(copy, 'build/Release'), { recursive: true });
  writeFileSync(path.join(copy, 'build/Release/stray.node'), 'not an addon');
  writeFileSync(path.join(copy, 'binding.gyp'), '{}');
  buildDist(copy);
  const args = ['pack', '--json', '--ignore-scripts', `--pack-destination=${directory}`];
  const [packed] = JSON.parse(succeed(process.execPath, [npmScript(), ...args], copy)) as [
    { filename: string; files: { path: string }[] },
  ];
  return {
    file: path.join(directory, packed.filename),
    names: packed.files.map(({ path: name }) => name).sort(),
  };
}

/** Runs npm in a new, empty folder, with this PATH. */
function npmInstall(directory: string, PATH: string, args: readonly string[]): Installed {
  const folder = mkdtempSync(path.join(directory, 'app-'));
  const env = { ...plainEnv(), PATH };
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', `--prefix=${folder}`];
  succeed(process.execPath, [npmScript(), 'install', ...quiet, ...args], folder, env);
  return { folder, env };
}

/** Installs a tarball into a new, empty folder, without tools and without scripts. */
export function install(tarball: Tarball, directory: string): Installed {
  const empty = path.join(directory, 'no-tools');
  mkdirSync(empty, { recursive: true });
  return npmInstall(directory, empty, ['--ignore-scripts', tarball.file]);
}

/** What an installation with scripts called of what lay on its PATH. */
export interface Watched extends Installed {
  readonly called: readonly string[];
}

/**
 * Installs a tarball as users do, with scripts, where each tool is one that only notes its name.
 * Beside it a package is installed that compiles: it has called `gcc`, or nothing was noted.
 */
export function installWatched(tarball: Tarball, directory: string): Watched {
  const tools = path.join(directory, 'watched-tools');
  const notes = path.join(tools, 'called');
  mkdirSync(tools);
  writeFileSync(notes, '');
  symlinkSync('/bin/sh', path.join(tools, 'sh'));
  for (const tool of TOOLS) {
    const script = `#!/bin/sh\necho ${tool} >> '${notes}'\n`;
    writeFileSync(path.join(tools, tool), script, { mode: 0o755 });
  }
  const compiles = path.join(directory, 'compiles');
  mkdirSync(compiles);
  const manifest = { name: 'compiles', version: '1.0.0', scripts: { install: 'gcc compiles.c' } };
  writeFileSync(path.join(compiles, 'package.json'), JSON.stringify(manifest));
  succeed(process.execPath, [npmScript(), 'pack', `--pack-destination=${directory}`], compiles);
  const scripts = ['--no-ignore-scripts', '--dangerously-allow-all-scripts'];
  const packages = [tarball.file, path.join(directory, 'compiles-1.0.0.tgz')];
  const installed = npmInstall(directory, tools, [...scripts, ...packages]);
  return { ...installed, called: readFileSync(notes, 'utf8').split('\n').filter(Boolean) };
}

/** The tools that a program there could start. */
export function toolsAt({ env }: Installed): string[] {
  const directories = (env['PATH'] ?? '').split(path.delimiter);
  return TOOLS.filter((tool) =>
    directories.some((directory) => existsSync(path.join(directory, tool))),
  );
}

/** As strict as a user may be. */
const USERS_OPTIONS = {
  ...{ module: 'nodenext', target: 'es2022', strict: true, skipLibCheck: false, types: ['node'] },
  ...{ exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
  ...{ noEmitOnError: true, outDir: 'js', rootDir: '.' },
};

/** The types of Node that a user may have: the oldest, and the newest, whose events are others. */
const TYPES_OF_NODE = ['types-node-newest', '@types/node'];

/**
 * Compiles the programs of `__test__/consumer` there, against the installed types. The types of
 * Node are the only others: a declaration that extends its EventEmitter cannot do without.
 */
export function compileConsumers({ folder, env }: Installed): void {
  const types = path.join(folder, 'node_modules/@types/node');
  mkdirSync(path.dirname(types));
  for (const [from, to] of [
    ['use.ts', 'use.mts'],
    ['use.ts', 'use.cts'],
    ['workers.ts', 'workers.mts'],
  ] as const) {
    const source = readFileSync(path.join(root, '__test__/consumer', from), 'utf8');
    writeFileSync(path.join(folder, to), source.replace("'../../index.ts'", "'tidemark'"));
  }
  const config = { compilerOptions: USERS_OPTIONS, include: ['*.mts', '*.cts'] };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  for (const name of TYPES_OF_NODE) {
    rmSync(types, { force: true });
    symlinkSync(path.join(root, 'node_modules', name), types);
    succeed(process.execPath, [tsc, '-p', 'tsconfig.json'], folder, env);
  }
}

/**
 * Runs a program there. What it has loaded is read from outside once it is done, from what the
 * kernel knows about its memory.
 */
export async function use(
  { folder, env }: Installed,
  [program, ...args]: readonly [string, ...string[]],
): Promise<Used> {
  const child = spawn(program, args, { cwd: folder, env, stdio: ['pipe', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), HANG_MS);
  let [said, addons]: [string, string[]] = ['nothing', []];
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('done ')) return;
    said = line.slice('done '.length);
    const maps = readFileSync(`/proc/${child.pid ?? 'self'}/maps`, 'utf8');
    addons = [...new Set(maps.match(/\/\S.*\.node(?: \(deleted\))?$/gm))];
    child.stdin.end();
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { said, addons, code, stderr };
  } finally {
    clearTimeout(timer);
  }
}
