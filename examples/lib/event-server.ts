// Serves the lines of a file as Server-Sent Events, and hears what was done with them.
import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, pipeline } from 'node:stream';
import { text } from 'node:stream/consumers';

/** What the server tells whoever runs it. */
export interface EventListener {
  /** A consumer asks for everything after an id. */
  resumed(consumer: string, after: number): void;
  /** A consumer has dealt with an event. */
  handled(consumer: string, id: number, data: string): void;
}

/** A server on the loopback interface. */
export class EventServer {
  readonly #lines: readonly string[];
  readonly #listener: EventListener;
  readonly #server: Server;

  constructor(lines: readonly string[], listener: EventListener) {
    this.#lines = lines;
    this.#listener = listener;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        // A consumer that was killed took its connection with it.
        response.destroy(error instanceof Error ? error : undefined);
      });
    });
  }

  /** Listens on a free port; resolves to the base URL. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, action, consumer = '', id = ''] = (request.url ?? '').split('/');
    if (action === 'events') {
      const after = Number(request.headers['last-event-id'] ?? 0);
      this.#listener.resumed(consumer, after);
      this.#stream(after, response);
    } else {
      const data = await text(request);
      this.#listener.handled(consumer, Number(id), data);
      response.writeHead(200).end();
    }
  }

  #stream(after: number, response: ServerResponse): void {
    // 204 is how an event stream tells its client not to come again.
    if (after >= this.#lines.length) {
      response.writeHead(204).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const rest = this.#lines.slice(after).map((line, index) => {
      return `id: ${after + index + 1}\ndata: ${line}\n\n`;
    });
    pipeline(Readable.from(rest), response, () => undefined);
  }
}
