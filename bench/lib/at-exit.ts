// What has to be undone whatever happens: at the end, after an error, and on a signal.
import os from 'node:os';
import process from 'node:process';

const pending: (() => void)[] = [];
const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/** The last that was done is the first that is undone. */
function undoAll(): void {
  for (let undo = pending.pop(); undo !== undefined; undo = pending.pop()) {
    try {
      undo();
    } catch (error) {
      // What was done before it has to be undone all the same.
      process.stderr.write(`tidemark: not cleaned up: ${String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

/**
 * Has something undone when this process ends, however it ends but by SIGKILL. It has to work
 * without waiting. What is returned undoes it now, once.
 */
export function atExit(undo: () => void): () => void {
  if (pending.length === 0 && !process.listeners('exit').includes(undoAll)) {
    process.on('exit', undoAll);
    for (const signal of SIGNALS) {
      process.on(signal, () => process.exit(128 + os.constants.signals[signal]));
    }
  }
  pending.push(undo);
  return () => {
    const at = pending.indexOf(undo);
    if (at === -1) return;
    pending.splice(at, 1);
    undo();
  };
}
