// Makes an image with a file open in it, says so, and waits for its end.
//   image-child.ts DIRECTORY BYTES [throw]
import { openSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { makeImage } from '../../bench/lib/image.ts';

const [, , directory = '', bytes = '', ending] = process.argv;
const image = makeImage(directory, Number(bytes));
openSync(path.join(image.directory, 'open'), 'wx');
if (ending === 'throw') throw new Error('as a bench that went wrong');
// The channel keeps it alive until somebody ends it.
process.on('message', () => undefined);
process.send?.(image.directory);
