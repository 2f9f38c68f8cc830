// What scripts/verify-prebuilds.mjs says of a file.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { ExecutionContext } from 'ava';
import { root } from './compiled.ts';
import { tempDir } from './temp-dir.ts';

/** A target, and where its prebuild is kept. */
export interface Where {
  readonly target: string;
  readonly file: string;
}

export function verify(args: readonly string[]): { status: number | null; stdout: string } {
  const script = path.join(root, 'scripts/verify-prebuilds.mjs');
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
}

/** What is said of a file that is put where the prebuild of a target belongs. */
export function verdict(t: ExecutionContext, content: Buffer, { target, file }: Where): string {
  const directory = tempDir(t);
  mkdirSync(path.join(directory, path.dirname(file)), { recursive: true });
  writeFileSync(path.join(directory, file), content);
  const { status, stdout } = verify(['--directory', directory, '--target', target]);
  // A fault is a line that begins with the target, and the exit code says the same.
  t.is(status, stdout.split('\n').some((line) => line.startsWith(`${target}: `)) ? 1 : 0, stdout);
  return stdout;
}
