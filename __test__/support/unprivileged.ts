// Modes mean nothing to root: a spec about them gives its privileges up before it does anything.
import process from 'node:process';

const NOBODY = 65_534;

/** Makes this process, which runs one spec alone, an ordinary user's, unless it is that already. */
export function becomeUnprivileged(): void {
  if (process.getuid?.() !== 0) return;
  process.setgroups?.([NOBODY]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}
