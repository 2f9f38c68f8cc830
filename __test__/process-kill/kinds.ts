// The writer of this project, as the built addon and the facade are used.
import { spawn } from 'node:child_process';
import process from 'node:process';
import { JsonFileStore } from '../../index.ts';
import { compiled } from '../support/compiled.ts';
import type { Value } from './history.ts';
import type { Kind } from './round.ts';

const node = (extra: NodeJS.ProcessEnv): Kind => ({
  name: 'tidemark',
  isOurs: true,
  isWatched: true,
  isAimed: true,
  start: (config, journal, environment) =>
    spawn(process.execPath, [compiled('__test__/process-kill/writer.ts'), JSON.stringify(config)], {
      stdio: ['ignore', journal, 'pipe'],
      env: { ...environment, ...extra },
    }),
  async read(file) {
    const store = await JsonFileStore.open(file);
    const found = new Map<string, Value>();
    for await (const [key, { lastCommittedSequence, lastEventId }] of store.entries()) {
      found.set(key.hex, { sequence: Number(lastCommittedSequence), id: lastEventId });
    }
    await store.close();
    return found;
  },
});

/** Tidemark in Node. */
export const tidemark: Kind = node({});

/** The same with a lock that locks nothing: what the harness must find. */
export const unlocked: Kind = { ...node({ NO_LOCK: '1' }), name: 'unlocked' };
