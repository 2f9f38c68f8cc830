// Child processes, bounded in time and killed with their test.
import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import type { ExecutionContext } from 'ava';
import { compiled } from './compiled.ts';

/** How a child ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A child that hangs is killed after this time: no test asserts less. `SLOWDOWN=n` makes it n times
 * as long, for builds that are so much slower.
 */
const HANG_MS = 60_000;
const SLOWDOWN = Number(process.env['SLOWDOWN'] ?? 1);

/** Waits for a child to end. */
export async function ended(child: ChildProcess, hangMs: number = HANG_MS): Promise<Ended> {
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)];
  const timer = setTimeout(() => child.kill('SIGKILL'), hangMs * SLOWDOWN);
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>(
      (resolve, reject) => {
        child.once('error', reject);
        child.once('close', (code, signal) => {
          resolve([code, signal]);
        });
      },
    );
    return { code, signal, stdout: stdout(), stderr: stderr() };
  } finally {
    clearTimeout(timer);
  }
}

function text(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: string[] = [];
  stream?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  return () => chunks.join('');
}

/** How to start a child. */
export interface Start {
  /** With a channel for messages. */
  readonly ipc?: boolean;
  /** A program that runs it, and its arguments. */
  readonly under?: readonly [string, ...string[]];
  /** A script of another directory, in the place of a support file. */
  readonly script?: string;
  /** Options for Node. */
  readonly node?: readonly string[];
}

/** Starts a support file as a process of its own; killed when the test is over. */
export function start(
  t: ExecutionContext,
  file: string,
  args: readonly string[],
  { ipc = false, under, node = [], script }: Start = {},
): ChildProcess {
  const call = [...node, script ?? compiled(`__test__/support/${file}`), ...args];
  const [program, before] =
    under === undefined
      ? [process.execPath, []]
      : [under[0], [...under.slice(1), process.execPath]];
  const child = spawn(program, [...before, ...call], {
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
    serialization: 'advanced',
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}
