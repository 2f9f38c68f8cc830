// The scripts, as `npm start` and `npm test` begin with them on a fresh clone.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';

const directory = path.join(import.meta.dirname, '../scripts');
const scripts = readdirSync(directory).filter((name) => name.endsWith('.mjs'));
const read = (name: string): string => readFileSync(path.join(directory, name), 'utf8');

/** The scripts beside it that a script names in this way. */
const named = (name: string, how: RegExp): string[] =>
  [...read(name).matchAll(how)].flatMap(([, found]) => found ?? []);

const STATICALLY = /^(?:import|export)\b[^;]*?\bfrom '\.\/([\w-]+\.mjs)'/gm;
const WHILE_IT_RUNS = /\bawait import\('\.\/([\w-]+\.mjs)'\)/g;

/** All that a script needs before it begins. */
function needed(name: string, known = new Set<string>()): Set<string> {
  for (const other of named(name, STATICALLY)) {
    if (known.has(other)) continue;
    known.add(other);
    needed(other, known);
  }
  return known;
}

// Node gives up with code 13: each would wait for the other. Found in set-up on a fresh clone.
test('what a script imports while it runs does not need that script to begin', (t) => {
  const awaited = scripts.flatMap((name) =>
    named(name, WHILE_IT_RUNS).map((other) => [name, other] as const),
  );
  t.true(awaited.some(([name, other]) => name === 'setup.mjs' && other === 'prebuild.mjs'));
  for (const [name, other] of awaited) t.false(needed(other).has(name), `${other} needs ${name}`);
});
