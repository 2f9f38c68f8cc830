// Limits of this process and mounts of its own, for tests of what is full, closed or too small.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { ExecutionContext } from 'ava';
import { root } from './compiled.ts';
import { tempDir } from './temp-dir.ts';

/** Resources of prlimit(1), each in its own unit. */
export type Resource = 'as' | 'fsize' | 'nofile';

/** Sets the soft limit of this process; `unlimited` lifts it as far as the hard one allows. */
export function limit(resource: Resource, soft: number | 'unlimited'): void {
  const own = ['--pid', String(process.pid)];
  const ask = ['--raw', '--noheadings', '--output', 'HARD', `--${resource}`];
  const hard = execFileSync('prlimit', [...own, ...ask], { encoding: 'utf8' }).trim();
  execFileSync('prlimit', [...own, `--${resource}=${soft === 'unlimited' ? hard : soft}:${hard}`]);
}

/**
 * A file system of this size for one test, or undefined where none can be mounted: the reason is
 * in the log then. Unmounted after the test.
 */
export function smallFileSystem(t: ExecutionContext, options: string): string | undefined {
  const directory = path.join(tempDir(t), 'mounted');
  mkdirSync(directory);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory], { stdio: 'pipe' });
  } catch (error) {
    t.log(`no tmpfs can be mounted here: ${(error as { stderr?: Buffer }).stderr?.toString()}`);
    return undefined;
  }
  t.teardown(() => {
    execFileSync('umount', ['--lazy', directory]);
  });
  return directory;
}

/**
 * The library that makes a process find the disk of FULL_DISK full, or undefined where nothing
 * builds it: the reason is in the log then.
 */
export function fullDisk(t: ExecutionContext): string | undefined {
  const library = path.join(tempDir(t), 'full-disk.so');
  const source = path.join(root, '__test__/support/full-disk.c');
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra'];
  try {
    execFileSync('cc', [...flags, '-o', library, source, '-ldl'], { stdio: 'pipe' });
  } catch (error) {
    t.log(`no library can be built here: ${(error as Error).message}`);
    return undefined;
  }
  return library;
}

/** Mounts it again, to be written to or not. */
export function remount(directory: string, how: 'ro' | 'rw'): void {
  execFileSync('mount', ['-o', `remount,${how}`, directory]);
}
