// Modes and some limits mean nothing to root: a spec about them gives its privileges up before it
// does anything. Where an ordinary user could not even reach this project it stays root, and what
// only an ordinary user can show is left out, with the reason in the log.
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type { ExecutionContext } from 'ava';
import { root } from './compiled.ts';

const NOBODY = 65_534;

type Run = (t: ExecutionContext) => Promise<void> | void;

/**
 * Makes this process, which runs one spec alone, an ordinary user's, unless it is that already.
 * Returns why it is still root, if it is.
 */
export function becomeUnprivileged(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    tryToReach();
    process.setgroups?.([NOBODY]);
    process.setgid?.(NOBODY);
    process.setuid?.(NOBODY);
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return (
      `not tested: root cannot become user ${NOBODY} here (${why}). Run it as an ordinary user, ` +
      `or let everybody read ${root} and write to ${os.tmpdir()} and search what they lie in.`
    );
  }
}

/** Declares tests that mean something only to an ordinary user. */
export function unlessRoot(
  stillRoot: string | undefined,
  declare: (title: string, run: Run) => void,
): (title: string, run: Run) => void {
  return (title, run) => {
    declare(title, (t) => {
      if (stillRoot === undefined) return run(t);
      t.log(stillRoot);
      t.pass();
    });
  };
}

/** Reads and writes for a moment what a spec needs, as the user that it would be. */
function tryToReach(): void {
  // Asked first: of a process with two users Node leaves the environment unread.
  const temporary = path.join(os.tmpdir(), 'tidemark-');
  process.seteuid?.(NOBODY);
  try {
    for (const folder of ['', 'node_modules', 'prebuilds', 'src', '__test__/support']) {
      readdirSync(path.join(root, folder));
    }
    rmdirSync(mkdtempSync(temporary));
  } finally {
    process.seteuid?.(0);
  }
}
