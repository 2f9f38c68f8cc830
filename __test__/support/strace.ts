// Child processes under strace, which .ci/run installs.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { ExecutionContext } from 'ava';
import { ended, start } from './child.ts';
import { tempDir } from './temp-dir.ts';

/** What a child marks in its trace, by writing it to descriptor 2. */
const MARK = /mark:(\w+)/;

/** Whether strace can run here; says why not, which CI does not let pass. */
export function canTrace(t: ExecutionContext): boolean {
  const probe = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], { encoding: 'utf8' });
  if (probe.status === 0) return true;
  const reason = `strace cannot run here: ${probe.error?.message ?? probe.stderr}`;
  t.log(reason);
  t.is(process.env['CI'], undefined, `${reason}; .ci/run installs it`);
  return false;
}

/**
 * The calls of a child between its marks `begin` and `end`, a line each, in the order in which they
 * began; undefined, with the reason told, where there is no strace.
 */
export async function traced(
  t: ExecutionContext,
  calls: string,
  file: string,
  args: readonly string[],
): Promise<string[] | undefined> {
  if (!canTrace(t)) return undefined;
  const output = path.join(tempDir(t), 'trace');
  const strace = ['strace', '-f', '-y', '-s', '256', '-o', output, '-e', `trace=${calls}`] as const;
  const { code, stderr } = await ended(start(t, file, args, { under: strace }));
  t.is(code, 0, stderr);
  return between(readFileSync(output, 'utf8'));
}

function between(trace: string): string[] {
  const lines: string[] = [];
  let within = false;
  for (const line of trace.split('\n')) {
    const text = line.replace(/^\d+\s+/, '');
    const mark = MARK.exec(text)?.[1];
    if (mark !== undefined) within = mark === 'begin';
    // What another thread interrupted goes on in a line of its own, which has no name.
    else if (within && text.search(/^\w+\(/) === 0) lines.push(text);
  }
  return lines;
}
