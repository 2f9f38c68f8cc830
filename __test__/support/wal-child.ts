// A process or a worker thread that uses a log up to a certain stage of its work. The first
// argument names the stage, the second the log's directory.
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { Wal, isTidemarkError } from '../../index.ts';
import { type Stage, Stages, say } from './stages.ts';
import { until } from './wait.ts';

/** How many appends a stage leaves un-awaited. */
export const APPENDS = 100;

/** Appends without awaiting: `<name> 0` to `<name> 99`. */
function appendAll(wal: Wal, name: string): Promise<unknown> {
  const appends = Array.from({ length: APPENDS }, (_, index) =>
    wal.append(Buffer.from(`${name} ${index}`)),
  );
  return Promise.all(appends);
}

const stages = new Stages<Wal>(import.meta.url, {
  open: (directory) => Wal.open(directory),
  changeAll: appendAll,
  close: (wal) => wal.close(),
  name: 'append',
});

/** How often each of the threads that contend for a log opens it. */
export const CONTENDED_ROUNDS = 6;

/** Opens a log once the other process has closed it. */
async function openWhenFree(directory: string): Promise<Wal> {
  let wal: Wal | undefined;
  await until(async () => {
    wal = await Wal.open(directory).catch((error: unknown) => {
      if (!isTidemarkError(error) || error.code !== 'TIDEMARK_LOCKED') throw error;
      say(error.code);
      return undefined;
    });
    return wal !== undefined;
  }, 'the log is free');
  if (wal === undefined) throw new Error('it was free');
  return wal;
}

/** What a log's user may do before it ends. */
const STAGES: Record<string, Stage> = {
  'idle log': async (directory) => {
    const wal = await Wal.open(directory);
    wal.on('poisoned', () => undefined);
    await wal.append(Buffer.from('idle'));
    const loop = wal.iterate({ follow: true });
    await loop.next();
    await loop.return();
  },
  'idle log of an hour': async (directory) => {
    const wal = await Wal.open(directory, { sync: 'interval_3600000' });
    await wal.append(Buffer.from('idle'));
  },
  'aborted follow': async (directory) => {
    const wal = await Wal.open(directory);
    const controller = new AbortController();
    const next = wal.iterate({ follow: true, signal: controller.signal }).next();
    await tick();
    controller.abort();
    await next.catch(() => undefined);
  },
  'pending follow': async (directory) => {
    const wal = await Wal.open(directory, { readOnly: true });
    void (async () => {
      for await (const entries of wal.iterate({ follow: true })) {
        const texts = entries.map(({ data }) => Buffer.from(data).toString());
        say(`read ${texts.join()}`);
        if (texts.includes('last')) break;
      }
    })();
    await tick();
    say('waiting');
  },
  hold: async (directory) => {
    const wal = await Wal.open(directory);
    void wal.iterate({ follow: true }).next();
    say('open');
  },
  'append and hold': async (directory) => {
    const wal = await Wal.open(directory);
    for (const name of ['a', 'b', 'c']) await wal.append(Buffer.from(name));
    void wal.iterate({ from: 1000, follow: true }).next();
    say('appended');
  },
  'try to open': async (directory) => {
    try {
      await Wal.open(directory);
      say('open');
    } catch (error) {
      if (!isTidemarkError(error)) throw error;
      const holder = 'holder' in error ? error.holder : undefined;
      say(`${error.code} ${String(holder)}`);
    }
  },
  'exit with a level of an hour': async (directory) => {
    void appendAll(await Wal.open(directory, { sync: 'interval_3600000' }), 'append');
    process.exit(0);
  },
  'tryAppend and appendMany, then exit': async (directory) => {
    const wal = await Wal.open(directory);
    const names = Array.from({ length: APPENDS - 1 }, (_, index) => `append ${index}`);
    void wal.appendMany(names.map((name) => Buffer.from(name)));
    void wal.tryAppend(Buffer.from(`append ${APPENDS - 1}`));
    process.exit(0);
  },
  'append in an exit handler': async (directory) => {
    const wal = await Wal.open(directory);
    process.on('exit', () => void appendAll(wal, 'append'));
    process.exit(0);
  },
  'appendSync in an exit handler': async (directory) => {
    const wal = await Wal.open(directory);
    process.on('exit', () => {
      for (let index = 0; index < APPENDS; index += 1) {
        wal.appendSync(Buffer.from(`append ${index}`));
      }
    });
    process.exit(0);
  },
  'exit beside a follow': async (directory) => {
    const wal = await Wal.open(directory);
    void wal.iterate({ from: 1000, follow: true }).next();
    await tick();
    void appendAll(wal, 'append');
    process.exit(0);
  },
  contend: (directory) => stages.inWorkers('contend in a thread', directory, 8),
  'contend in a thread': async (directory, index) => {
    for (let round = 0; round < CONTENDED_ROUNDS; round += 1) {
      const wal = await openWhenFree(directory);
      const name = `${process.pid} ${index} ${round}`;
      const { first, last } = await wal.appendMany(
        ['a', 'b'].map((end) => Buffer.from(name + end)),
      );
      say(`${first} ${last} ${name}`);
      await wal.close();
    }
  },
  collect: async (directory) => {
    const gc = globalThis.gc;
    if (gc === undefined) throw new Error('needs --expose-gc');
    const logs = await Promise.all(
      Array.from({ length: 10 }, (_, index) => stages.openAndForget(`${directory}.${index}`)),
    );
    const left = (): number => logs.filter((log) => log.deref() !== undefined).length;
    for (let round = 0; round < 1000 && left() > 0; round += 1) {
      await tick();
      gc();
    }
    say(`left: ${left()}`);
  },
};

await stages.run(STAGES);
