import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';

/** A directory for one test, removed after it; its real path. */
export function tempDir(t: ExecutionContext): string {
  const directory = mkdtempSync(path.join(realpathSync(os.tmpdir()), 'tidemark-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
