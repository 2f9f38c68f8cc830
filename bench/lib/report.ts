// Tables, the verdicts below them, and the machine above them.
import { readFileSync, realpathSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { JsonFileStore } from './published.ts';
import { type Rounds, quantile } from './rounds.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Digits that mean something. */
export const number = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);

/** Prints a table whose first column is text. */
export function table(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const widths = head.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, column) => '-'.repeat(width - 1) + (column === 0 ? '-' : ':'));
  say(`\n## ${title}\n\n${[head, rule, ...rows].map(line).join('\n')}\n`);
}

/** The cells of latencies: p50 and p99 in milliseconds. */
export const latency = (rounds: Rounds): string[] => {
  const all = rounds.flat();
  return [quantile(all, 0.5), quantile(all, 0.99)].map(number);
};

/** Says what belongs to a table and has no row in it. */
export const note = (line: string): void => say(`- ${line}`);

/** Says whether a demand is met in this run. A figure, not a test: nothing fails. */
export function demand(what: string, is: string, met: boolean): void {
  say(`- ${what}: ${is}, ${met ? 'met' : 'NOT met'}`);
}

/** Says why something has no row. */
export const leftOut = (what: string, why: string): void => say(`left out: ${what} (${why})`);

/** Makes those of a table in a directory; for each that is not there, says why. */
export async function present<T>(
  makers: Readonly<Record<string, (directory: string) => Promise<T>>>,
  directory: string,
): Promise<T[]> {
  const found: T[] = [];
  for (const [name, make] of Object.entries(makers)) {
    try {
      found.push(await make(directory));
    } catch (error) {
      leftOut(name, String(error));
    }
  }
  return found;
}

/** The file system of a directory, by the longest mount point that it is under. */
function fileSystem(directory: string): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
  const at = `${realpathSync(directory)}/`;
  const [best] = mounts
    .map((line) => line.split(' '))
    .filter(([, point = '']) => at.startsWith(point === '/' ? '/' : `${point}/`))
    .sort(([, a = ''], [, b = '']) => b.length - a.length);
  return best?.[2] ?? 'unknown';
}

/** What the figures were taken on. */
export async function machine(directory: string): Promise<void> {
  const store = await JsonFileStore.open(`${directory}/machine.json`);
  const cpus = os.cpus();
  say('# Tidemark, measured\n');
  say(
    `- ${cpus.length} CPUs: ${cpus[0]?.model ?? 'unknown'}; load ${number(os.loadavg()[0] ?? 0)}`,
  );
  say(`- Linux ${os.release()}, ${fileSystem(directory)}, durability '${store.durability}'`);
  say(`- Node.js ${process.versions.node}`);
  await store.close();
}
