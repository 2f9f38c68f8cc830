// The tables of docs/wal.md name what there is. Its blocks are run by docs-blocks.spec.ts.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { root } from './support/compiled.ts';
import { openLog } from './support/wals.ts';

/** The names in the first column of the table of docs/wal.md that is under this heading. */
function tableUnder(heading: string): string[] {
  const page = readFileSync(path.join(root, 'docs/wal.md'), 'utf8');
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const tables = section
    .split('\n## ')[0]
    ?.split(/\n\n/)
    .filter((part) => part.startsWith('| '));
  const rows = tables?.[0]?.split('\n').slice(2) ?? [];
  return rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
}

test('the guide names every metric, every event and every member of the report', async (t) => {
  const { wal, directory } = await openLog(t);
  t.deepEqual(tableUnder('Metrics').sort(), Object.keys(wal.metrics()).sort());
  await wal.close();
  const { wal: reader } = await openLog(t, { readOnly: true }, directory);
  t.deepEqual(tableUnder('After a crash'), Object.keys(reader.recovery));
  const source = readFileSync(path.join(root, 'src/wal-events.ts'), 'utf8');
  const [, events = ''] = /interface WalEvents \{(.*?)\n\}/s.exec(source) ?? [];
  const names = [...events.matchAll(/^ {2}(\w+): \[/gm)].map(([, name]) => name);
  t.deepEqual(tableUnder('Events'), names);
});
