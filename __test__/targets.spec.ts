// One table of the platforms that a release has an addon for (scripts/lib/targets.mjs), and those
// who have to say the same.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { describe, shipped, thisPlatform } from '../src/targets.ts';
import { root } from './support/compiled.ts';

interface Target {
  readonly platform: string;
  readonly arch: string;
  readonly libc: 'glibc' | 'musl' | undefined;
}

const read = (name: string): string => readFileSync(path.join(root, name), 'utf8');
const table = (await import(path.join(root, 'scripts/lib/targets.mjs'))) as {
  TARGETS: Record<string, Target>;
  SHIPPED: string[];
  GLIBC_FLOOR: string;
  MACOS_FLOOR: string;
  describe: (target: Target) => string;
};
const triples = Object.keys(table.TARGETS).sort();
const TRIPLE = /\b(?:x86_64|aarch64|i686|armv7)-[a-z]+-[a-z]+(?:-[a-z]+)?\b/g;

test('package.json names the targets that a release waits for', (t) => {
  const { napi } = JSON.parse(read('package.json')) as { napi: { targets: string[] } };
  t.deepEqual([...napi.targets].sort(), [...table.SHIPPED].sort());
});

test('the loader says that these platforms are shipped', (t) => {
  const targets = table.SHIPPED.flatMap((triple) => table.TARGETS[triple] ?? []);
  t.deepEqual(shipped, targets.map(table.describe));
  t.deepEqual(shipped, targets.map(describe));
  t.is(new Set(shipped).size, shipped.length);
});

test('what workflows and documents name is in the table, and the matrix has all', (t) => {
  const workflows = readdirSync(path.join(root, '.github/workflows'));
  const documents = ['README.md', 'CONTRIBUTING.md', 'docs/errors.md'];
  for (const name of [...documents, ...workflows.map((file) => `.github/workflows/${file}`)]) {
    const named = [...new Set(read(name).match(TRIPLE))].sort();
    t.deepEqual(
      named.filter((triple) => !triples.includes(triple)),
      [],
      name,
    );
  }
  if (existsSync(path.join(root, '.github/workflows/prebuild.yml'))) {
    const named = [...new Set(read('.github/workflows/prebuild.yml').match(TRIPLE))];
    t.deepEqual(named.sort(), triples);
  }
});

test('the C library is that of the process, whatever files lie about', (t) => {
  const { platform, arch, libc } = thisPlatform();
  t.deepEqual([platform, arch], [process.platform, process.arch]);
  t.is(libc !== undefined, process.platform === 'linux');
});

const SYSTEMS: Record<string, string> = { Linux: 'linux', macOS: 'darwin', Windows: 'win32' };

interface Support {
  readonly system: string;
  readonly binary: string;
  readonly triples: readonly string[];
}

/** The rows of a document's table of systems, each with the targets that it speaks of. */
function supported(document: string): Support[] {
  const [, section = ''] = document.split(/^## Support$/m);
  const rows = [...section.matchAll(/^\| (\w+ [^|]*) \| ([^|]+) \| [^|]+ \|$/gm)];
  return rows.flatMap(([, system = '', binary = '']) => {
    const platform = SYSTEMS[/^\w+/.exec(system)?.[0] ?? ''];
    if (platform === undefined) return [];
    const names = (word: string): boolean => new RegExp(`\\b${word}\\b`).test(system);
    const triples = Object.entries(table.TARGETS).flatMap(([triple, { arch, libc, ...target }]) => {
      const isMeant = target.platform === platform && names(arch);
      return isMeant && (libc === undefined || names(libc)) ? [triple] : [];
    });
    return [{ system, binary, triples }];
  });
}

test('the README names each target in one row, and says of each whether it is shipped', (t) => {
  const rows = supported(read('README.md'));
  t.deepEqual(rows.flatMap((row) => row.triples).sort(), triples);
  for (const { system, binary, triples } of rows) {
    t.not(triples.length, 0, `nobody can tell which targets ${system} are`);
    for (const triple of triples) {
      const isShipped = table.SHIPPED.includes(triple);
      t.regex(
        binary,
        isShipped ? /^(?:yes|by the release workflow)$/ : /^no$/,
        `${triple}: ${system}`,
      );
    }
  }
});

test('the README says which systems are too old', (t) => {
  for (const { system, triples } of supported(read('README.md'))) {
    const [triple = ''] = triples;
    if (triple.endsWith('-gnu')) t.true(system.includes(`glibc ${table.GLIBC_FLOOR} or newer`));
    const macOS = table.MACOS_FLOOR.replace(/\.0$/, '');
    if (triple.endsWith('-darwin')) t.true(system.includes(`macOS ${macOS} or newer`), system);
  }
});
