// Reads Server-Sent Events and resumes where it stopped, also after SIGKILL.
//   node resume-consumer.ts NAME BASE_URL STATE_FILE    Node 22.18 or newer; before: npx tsx
import process from 'node:process';
import { JsonFileStore, ResumeKey } from '../index.ts';

const [name = '', baseUrl = '', stateFile = ''] = process.argv.slice(2);
const store = await JsonFileStore.open(stateFile);
const key = ResumeKey.derive({ baseUrl, eventType: 'line', filter: { consumer: name } });

for (;;) {
  const checkpoint = await store.get(key);
  const response = await fetch(`${baseUrl}/events/${name}`, {
    headers: { 'Last-Event-ID': String(checkpoint?.lastCommittedSequence ?? 0n) },
  });
  if (response.status === 204 || response.body === null) break; // the server has no more
  for await (const { id, data } of serverSentEvents(response.body)) {
    await handle(id, data);
    await store.put(key, { lastCommittedSequence: BigInt(id), lastEventId: `line@${id}` });
  }
}
await store.close();

/** The work: done at least once for every event, because the checkpoint follows it. */
async function handle(id: string, data: string): Promise<void> {
  const done = await fetch(`${baseUrl}/handled/${name}/${id}`, { method: 'POST', body: data });
  if (!done.ok) throw new Error(`event ${id} was not taken: ${done.status}`);
}

async function* serverSentEvents(body: ReadableStream<Uint8Array>) {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    const events = (text + decoder.decode(chunk, { stream: true })).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const [, id = '', data = ''] = /^id: (\d+)\ndata: (.*)$/s.exec(event) ?? [];
      yield { id, data };
    }
  }
}
