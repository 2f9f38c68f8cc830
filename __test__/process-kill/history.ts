// What every writer was about to do and what it heard, in one order.
//
// Writers report to one pipe with one write per line, so the order of the lines is an order in
// time for all of them together:
//
//   try  WRITER OP put KEY SEQUENCE [KEY SEQUENCE ...]    about to put, all or nothing
//   try  WRITER OP delete KEY
//   ok   WRITER OP ANSWER [SEQUENCE ID]    applied, superseded, deleted, absent, done
//   err  WRITER OP WHAT
//   died WRITER                            said by the observer, once it is reaped
//
// An operation lasts from its `try` to its answer, or to the death of its writer if it has none.

/** A put of one key, or a delete of one. */
export interface Attempt {
  readonly writer: string;
  readonly op: string;
  readonly key: string;
  /** Undefined for a delete. */
  readonly sequence: number | undefined;
  /** The first line at which it may have taken effect. */
  readonly start: number;
  /** The last; for ever while nothing is known. */
  end: number;
  /** What its writer heard. */
  answer: string | undefined;
}

/** A checkpoint as it was found. */
export interface Value {
  readonly sequence: number;
  readonly id: string | null;
}

/** The event id that tells who put a value. */
export const idOf = (writer: string, op: string, sequence: number): string =>
  `${writer}/${op}@${sequence}`;

function raise(highest: Map<string, number>, name: string, to: number): void {
  highest.set(name, Math.max(to, highest.get(name) ?? 0));
}

/** The lines so far, and what they tell. */
export class History {
  readonly lines: string[] = [];
  /** Everything that was tried, by key. */
  readonly attempts: Map<string, Attempt[]> = new Map();
  /** The largest sequence of each key that a put was answered for. */
  readonly acknowledged: Map<string, number> = new Map();
  /** The largest sequence that each writer tried; who has tried nothing is not in it. */
  readonly tried: Map<string, number> = new Map();
  /** Writers that are known to be dead. */
  readonly dead: Set<string> = new Set();
  /** What no writer should have to say. */
  readonly complaints: string[] = [];
  readonly #pending = new Map<string, Attempt[]>();
  readonly #byId = new Map<string, Attempt>();
  #answered = 0;

  /** Operations, and how many of them were answered. */
  get counts(): { readonly operations: number; readonly answered: number } {
    return { operations: this.#answered + this.#pending.size, answered: this.#answered };
  }

  /** Takes the next line. */
  add(line: string): void {
    const index = this.lines.push(line) - 1;
    const [verb = '', writer = '', op = '', ...rest] = line.split(' ');
    if (verb === 'try') this.#try(index, writer, op, rest);
    else if (verb === 'ok') this.#ok(index, writer, op, rest);
    else if (verb === 'died') this.#died(index, writer);
    else this.complaints.push(line);
  }

  /** Who put a value, if anybody tried to. */
  find(key: string, value: Value): Attempt | undefined {
    const found = this.#byId.get(`${key} ${value.id ?? ''}`);
    return found?.sequence === value.sequence ? found : undefined;
  }

  #try(index: number, writer: string, op: string, rest: readonly string[]): void {
    const [kind, ...pairs] = rest;
    const attempts: Attempt[] = [];
    for (let at = 0; at < pairs.length; at += kind === 'put' ? 2 : 1) {
      const key = pairs[at] ?? '';
      const sequence = kind === 'put' ? Number(pairs[at + 1]) : undefined;
      const attempt = {
        ...{ writer, op, key, sequence },
        ...{ start: index, end: Infinity, answer: undefined },
      };
      attempts.push(attempt);
      const known = this.attempts.get(key);
      if (known === undefined) this.attempts.set(key, [attempt]);
      else known.push(attempt);
      raise(this.tried, writer, sequence ?? 0);
      if (sequence !== undefined) this.#byId.set(`${key} ${idOf(writer, op, sequence)}`, attempt);
    }
    this.#pending.set(`${writer} ${op}`, attempts);
  }

  #ok(index: number, writer: string, op: string, rest: readonly string[]): void {
    const attempts = this.#pending.get(`${writer} ${op}`);
    if (attempts === undefined) {
      this.complaints.push(`an answer to nothing: ${this.lines[index] ?? ''}`);
      return;
    }
    this.#pending.delete(`${writer} ${op}`);
    this.#answered += 1;
    const [answer = '', sequence, id] = rest;
    for (const attempt of attempts) {
      attempt.end = index;
      attempt.answer = answer;
      if (attempt.sequence !== undefined) raise(this.acknowledged, attempt.key, attempt.sequence);
    }
    if (answer === 'superseded' && sequence !== undefined) {
      this.#checkCurrent(attempts[0], { sequence: Number(sequence), id: id ?? null });
    }
  }

  /** Who is told that something else stands, is told something that somebody put, and not less. */
  #checkCurrent(attempt: Attempt | undefined, current: Value): void {
    if (attempt?.sequence === undefined) return;
    const by = this.find(attempt.key, current);
    if (by === undefined || by.start > attempt.end || current.sequence < attempt.sequence) {
      const what = `${attempt.writer} ${attempt.op}, a put of ${attempt.sequence},`;
      this.complaints.push(`${what} was told of ${current.sequence} (${current.id ?? 'null'})`);
    }
  }

  #died(index: number, writer: string): void {
    this.dead.add(writer);
    for (const [name, attempts] of this.#pending) {
      if (!name.startsWith(`${writer} `)) continue;
      for (const attempt of attempts) attempt.end = Math.min(attempt.end, index);
    }
  }
}
