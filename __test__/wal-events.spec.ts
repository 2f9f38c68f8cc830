// What a log tells of a medium that is slow, seen through the addon: a real sync is held up by
// strace, as a device that stalls would do it. Where the core emits it is shown by
// crates/core/tests/wal/accounting.rs.
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { ended, start } from './support/child.ts';
import { canTrace } from './support/strace.ts';

/** What a slow sync is held up for; one is told from a second on. */
const DELAY_MS = 1300;
/** `statfs` of a tmpfs, where no sync takes long by itself. */
const TMPFS = 0x01021994;

/** A directory on a medium that is quick, whatever else runs on this machine. */
function quickPlace(): string {
  const parents = ['/dev/shm', os.tmpdir()];
  const isQuick = (parent: string): boolean => {
    try {
      return statfsSync(parent).type === TMPFS;
    } catch {
      return false;
    }
  };
  return mkdtempSync(path.join(parents.find(isQuick) ?? os.tmpdir(), 'tidemark-slow-'));
}

test('slowSync: told once with its duration, and not for a quick one', async (t) => {
  if (!canTrace(t)) return;
  const place = quickPlace();
  t.teardown(() => {
    rmSync(place, { recursive: true, force: true });
  });
  // Counted in each thread: the second one of the thread that commits.
  const inject = `inject=fdatasync:delay_exit=${DELAY_MS * 1000}:when=2`;
  const strace = ['strace', '-f', '-qq', '-e', 'trace=fdatasync', '-e', inject] as const;
  const under = [...strace, '-o', path.join(place, 'trace')] as const;
  const child = start(t, 'slow-sync-child.ts', [path.join(place, 'log')], { under });
  const { code, stdout, stderr } = await ended(child);
  t.is(code, 0, stderr);
  const found = JSON.parse(stdout) as {
    told: number[];
    counts: number[];
    syncs: number;
    syncUs: { count: number; max: number };
  };
  t.deepEqual(found.counts, [0, 1, 1], stdout);
  t.is(found.told.length, 1, 'once, also after the close');
  t.true((found.told[0] ?? 0) >= DELAY_MS, stdout);
  t.is(found.syncs, 3);
  t.is(found.syncUs.count, 3);
  // To two digits.
  t.true(found.syncUs.max >= DELAY_MS * 990, stdout);
});
