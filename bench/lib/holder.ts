// Holds a lock until it is killed.
//   holder.ts FILE
import process from 'node:process';
import { FileLock } from './published.ts';

const [, , file = ''] = process.argv;
const lock = await FileLock.acquire(file);
process.send?.('locked');
// Kept alive by its channel, and the lock with it.
process.on('disconnect', () => {
  lock.release();
  process.exit();
});
