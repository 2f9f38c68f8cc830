// A user's program, in a folder of its own that has nothing but the installed package: run as a
// module and, compiled from this same text, as CommonJS. It says what it found, and stays until its
// input ends, so that it can be seen which addon it has loaded.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import process from 'node:process';
import {
  type Checkpoint,
  type CheckpointStore,
  JsonFileStore,
  type PutResult,
  ResumeKey,
  Wal,
  isTidemarkError,
} from '../../index.ts';

async function checkpoint(name: string): Promise<Checkpoint | undefined> {
  const key: ResumeKey = ResumeKey.named('orders');
  const store: CheckpointStore = await JsonFileStore.open(`${name}.json`);
  store.on('regressed', ({ key: whose, from }) => {
    throw new Error(`${whose.hex} was ${from.lastCommittedSequence}`);
  });
  const put: PutResult = await store.put(key, {
    lastCommittedSequence: 42n,
    lastEventId: 'order@42',
  });
  if (!put.applied) throw new Error('the first put did not apply');
  await store.close();
  const again = await JsonFileStore.open(`${name}.json`);
  const found = await again.get(key, { fresh: true });
  await again.close();
  return found;
}

async function record(name: string): Promise<string> {
  const wal = await Wal.open(`${name}-log`);
  const lsn: bigint = await wal.append(Buffer.from('paid: order 1'));
  const { data } = await wal.read(lsn);
  await wal.close();
  return `${lsn}: ${Buffer.from(data).toString()}`;
}

async function refusal(): Promise<string> {
  try {
    await JsonFileStore.open('');
    return 'nothing';
  } catch (error) {
    return isTidemarkError(error) ? error.code : String(error);
  }
}

async function main(): Promise<void> {
  const [name = ''] = process.argv.slice(2);
  const found = await checkpoint(name);
  const said = [
    `${found?.lastCommittedSequence ?? 'nothing'} ${found?.lastEventId ?? ''}`,
    await record(name),
    await refusal(),
  ];
  process.stdout.write(`done ${said.join(', ')}\n`);
  await once(process.stdin.resume(), 'end');
}

void main();
