// Follows a log and tells when it had each entry, by the clock that all processes share.
//   follower.ts DIRECTORY VISIBILITY
import process from 'node:process';
import { Wal } from '../../index.ts';

const [, , directory = '', visibility = ''] = process.argv;
if (visibility !== 'durable' && visibility !== 'written') {
  throw new Error('a visibility is missing');
}
const wal = await Wal.open(directory, { readOnly: true });
process.on('disconnect', () => process.exit());
process.send?.(null);
for await (const entries of wal.iterate({ follow: true, visibility })) {
  const now = process.hrtime.bigint();
  for (const { lsn } of entries) process.send?.([String(lsn), String(now)]);
}
