// Puts under strace. Writes marks to descriptor 2, so that they are in the trace.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { JsonFileStore, ResumeKey } from '../../index.ts';

const [, , count = '1', file = ''] = process.argv;
const mark = (text: string): void => void writeSync(2, `mark:${text}\n`);

const store = await JsonFileStore.open(file);
// The first write makes the lock file: what is traced is a write like any other.
await store.put(ResumeKey.named('first'), { lastCommittedSequence: 1n });
mark('begin');
const puts = Array.from({ length: Number(count) }, (_, index) =>
  store.put(ResumeKey.named(`key ${index}`), { lastCommittedSequence: index }),
);
await Promise.all(puts);
mark('end');
await store.close();
