// A worker thread that writes one file again and again.
import { workerData } from 'node:worker_threads';
import { writeFileAtomic } from '../../index.ts';

const { file, contents } = workerData as { file: string; contents: readonly string[] };
for (const content of contents) await writeFileAtomic(file, content);
