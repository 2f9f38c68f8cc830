// The runner of bench/wal-peer: what is in Rust runs in a process of its own, one for each subject.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { atExit } from './at-exit.ts';

const PEER = path.join(import.meta.dirname, '../../target/wal-peer/release/wal-peer');

/** A subject in a process of its own. */
export interface Peer {
  /** Gives it a job of the grammar in bench/wal-peer/src/jobs.rs: the time of each. */
  readonly ask: (job: string) => Promise<number[]>;
  /** The most memory that it had, in bytes. */
  readonly peakMemory: () => number;
  readonly close: () => Promise<void>;
}

function checkIsBuilt(): void {
  if (!existsSync(PEER)) throw new Error('the runner in Rust was not built');
}

/** Starts the runner with one subject, and waits until that is ready. */
export async function peer(...args: string[]): Promise<Peer> {
  checkIsBuilt();
  const child = spawn(PEER, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  // Its files are on a file system that is going to be unmounted.
  const kill = atExit(() => child.kill('SIGKILL'));
  // Whoever ends early is noticed by the line that does not come.
  child.stdin.on('error', () => undefined);
  await once(child, 'spawn');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<{ readonly took_us?: readonly number[] }> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`the runner of ${args.join(' ')} ended`);
    return JSON.parse(line.value) as { took_us?: number[] };
  };
  await answer();
  return {
    async ask(job) {
      child.stdin.write(`${job}\n`);
      const { took_us: took = [] } = await answer();
      return took.map((microseconds) => microseconds / 1000);
    },
    peakMemory() {
      const status = readFileSync(`/proc/${child.pid ?? 'self'}/status`, 'utf8');
      return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
    },
    async close() {
      const exit = once(child, 'exit');
      child.stdin.end();
      await exit;
      kill();
    },
  };
}

/** Has the runner make something, and waits for its end. */
export async function peerMakes(...args: string[]): Promise<void> {
  checkIsBuilt();
  const maker = spawn(PEER, args, { stdio: 'inherit' });
  const kill = atExit(() => maker.kill('SIGKILL'));
  const [code] = (await once(maker, 'exit')) as [number | null];
  kill();
  if (code !== 0) throw new Error(`the runner of ${args.join(' ')} failed`);
}
