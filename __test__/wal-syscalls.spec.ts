// What a log costs, as the kernel sees it: an append is one `pwrite` of whole blocks (SG-10), then
// one `fdatasync`, and segments are recycled. Needs strace, which .ci/run installs.
import test from 'ava';
import { traced } from './support/strace.ts';
import { newLog } from './support/wals.ts';

const CALLS =
  'openat,creat,pwrite64,pwritev,write,fallocate,ftruncate,fdatasync,fsync,sync_file_range';
/** More than fit into a block: one of them is the first in the next. */
const LONE = 40;
const [BEFORE, WITHIN] = [4, 10];
const BLOCK = 4096;

test('an append and purge loop over ten segments makes no file and writes no zeros', async (t) => {
  const directory = newLog(t);
  const args = [directory, String(BEFORE), String(WITHIN), String(LONE)];
  const lines = await traced(t, CALLS, 'traced-log-child.ts', args);
  if (lines === undefined) return;
  const own = lines.filter((line) => line.includes(directory));
  const made = own.filter((line) => /^creat|O_CREAT/.test(line));
  t.deepEqual(made, [], 'no file is made');
  const grown = own.filter((line) => /^(fallocate|ftruncate)/.test(line));
  t.deepEqual(grown, [], 'none is given blocks, or another size');
  const sizes = own.flatMap((line) => {
    const size = /^pwrite64\(.*, (\d+), \d+(?:\)| <unfinished)/s.exec(line)?.[1];
    return size === undefined ? [] : [Number(size)];
  });
  t.true(sizes.length > WITHIN * 10, `${sizes.length} writes`);
  // A record of 3,000 bytes, which a block holds one of, or a seal, a link and a record.
  t.true(Math.max(...sizes) <= 4 * BLOCK, `the largest write has ${Math.max(...sizes)} bytes`);
  const last = own.slice(-2 * LONE);
  const names = last.map((line) => /^\w+/.exec(line)?.[0]);
  const each = ['pwrite64', 'fdatasync'];
  t.deepEqual(names, Array.from({ length: LONE }, () => each).flat(), 'a lone append');
  t.deepEqual(sizes.slice(-LONE), Array<number>(LONE).fill(BLOCK), 'each writes one block');
});
