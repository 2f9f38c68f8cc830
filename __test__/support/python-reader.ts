// The reader of logs in Python (interop/segment_*.py), which was written from
// docs/format/segment.md alone and shares nothing with the core.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { ended } from './child.ts';
import { root } from './compiled.ts';

/** What a log holds up to some point. */
export interface Holding {
  readonly first: number;
  readonly next: number;
  /** In hex, as the entries. */
  readonly hardState: string | null;
  readonly entries: readonly string[];
}

/** What the reader finds in a directory: without an error all of it, else the error alone. */
export interface Picture {
  readonly error: string | null;
  readonly why?: string;
  readonly closed?: boolean;
  readonly tornTail?: boolean;
  readonly provenEnd?: readonly [segment: number, offset: number];
  readonly proven?: Holding;
  readonly recovered?: Holding;
}

/** The same with the segments, where what is proven may be refused and the rest not. */
export interface Told extends Omit<Picture, 'proven' | 'recovered'> {
  readonly proven?: Holding | Refused;
  readonly recovered?: Holding | Refused;
  /** Number, size and lives of each. */
  readonly segments?: readonly (readonly [number, number, number])[];
}

/** Why not to believe a log. */
export interface Refused {
  readonly error: string;
  readonly why: string;
}

/** What the reader finds beside a living writer. */
export interface Beside {
  readonly poisoned: boolean;
  readonly durable: Holding;
  readonly written: Holding;
}

/** The lines that segment_golden.py prints. */
export async function python(args: readonly string[], input = ''): Promise<string[]> {
  const script = path.join(root, 'interop/segment_golden.py');
  // Who is not asked for lines does not read them, and may be gone before they are written.
  const stdin = input === '' ? 'ignore' : 'pipe';
  const child = spawn('python3', ['-I', '-B', script, ...args], { stdio: [stdin, 'pipe', 'pipe'] });
  child.stdin?.end(input);
  const { code, stdout, stderr } = await ended(child);
  if (code !== 0) throw new Error(`segment_golden.py ${args[0] ?? ''} failed: ${stderr}`);
  return stdout.split('\n').slice(0, -1);
}

/** What it finds in each of these directories. */
export const told = async (directories: readonly string[]): Promise<Told[]> =>
  (await python(['tell', ...directories])).map((line) => JSON.parse(line) as Told);

/** What it finds beside the writer of a directory, or null where there is none. */
export async function toldBeside(directory: string): Promise<Beside | null> {
  const [line = 'null'] = await python(['beside', directory]);
  return JSON.parse(line) as Beside | null;
}
