// The other implementations: the original, a Rust crate, and one in Python.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Value } from '../__test__/process-kill/history.ts';
import type { Kind } from '../__test__/process-kill/round.ts';
import { root } from '../__test__/support/compiled.ts';

/** A program that speaks the protocol of the peers. */
export type Program = readonly [string, ...string[]];

/** The original: the `aviso` crate, built by `npm run interop`. */
export const AVISO: Program = [path.join(root, 'target/aviso/release/aviso-peer')];
/** Written from docs/format/state-file.md, with the standard library. */
export const PYTHON: Program = ['python3', '-I', '-B', path.join(root, 'interop/python-peer.py')];

/** What a program prints, line by line, given this input. */
export function ask([program, ...before]: Program, args: string[], input = ''): string[] {
  const { status, stdout, stderr, error } = spawnSync(program, [...before, ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args[0] ?? ''} failed: ${stderr}`);
  return stdout.split('\n').slice(0, -1);
}

function peer(name: string, program: Program, isWatched: boolean): Kind {
  return {
    name,
    isOurs: false,
    isWatched,
    isAimed: false,
    start(config, journal, environment): ChildProcess {
      const [command, ...args] = [...program, 'write', JSON.stringify(config)] as const;
      return spawn(command, args, { stdio: ['ignore', journal, 'pipe'], env: environment });
    },
    read(file, keys) {
      const lines = ask(program, ['read', file, ...keys.map(String)]);
      const entries = lines.map((line): [string, Value] => {
        const [hex = '', sequence, id = ''] = line.split(' ');
        return [hex, { sequence: Number(sequence), id: id === '' ? null : id }];
      });
      return Promise.resolve(new Map(entries));
    },
  };
}

/** The original as a writer. It makes its system calls without the C library: nobody can watch. */
export const aviso: Kind = peer('aviso', AVISO, false);
/**
 * The one in Python as a writer. That it waits for the lock or has it is seen; how it writes its
 * temporary is not, so that all its later phases count as `temporary created`.
 */
export const python: Kind = peer('python', PYTHON, true);
