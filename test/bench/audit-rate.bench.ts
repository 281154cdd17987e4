import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { record, type AuditEntry } from '../../controller/audit/audit.ts';
import { Store } from '../../controller/store/store.ts';
import { markdownTable } from './document.ts';
import { measureInTurn, type Bench, type Samples } from './measure.ts';

const atOnce = [1, 10, 100, 1_000];
const batches = { 1: 500, 10: 100, 100: 40, 1_000: 10 } as const;
const rounds = 7;

/** As a task leaves one. */
const entry: AuditEntry = {
  type: 'action.finished',
  actor: { name: 'ada', role: 'operator', certificate: '5e'.repeat(32) },
  clientAddress: '192.0.2.17',
  run: '01JDRUN0000000000000000000',
  task: '01JDTASK000000000000000000',
  host: 'host-00017',
  stack: 'sexy',
  command: 'up',
  args: ['-d', '--remove-orphans'],
  action: { name: 'docker compose up', exitCode: 0, durationMs: 1234, outputSha256: 'ab'.repeat(32) },
  outcome: 'succeeded',
  agentVersion: '0.1.0',
};

interface Rate {
  readonly atOnce: number;
  readonly sqlite: Samples;
  readonly kompose: Samples;
  readonly records: number;
  readonly ratio: number;
}

/** Chained audit records that are on the disk, and rows of the same size that node:sqlite commits in such groups by itself. */
export const bench: Bench<readonly Rate[]> = {
  about:
    'durable audit records, so many asked for at once, and node:sqlite alone with as many rows a transaction',
  async run(report) {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-bench-'));
    const store = await Store.open(join(folder, 'kompose.db'));
    const bare = new BareTable(join(folder, 'bare.db'));
    try {
      const rates: Rate[] = [];
      for (const count of atOnce) {
        const rate = await measure(store, bare, count);
        const each = ({ medianMs }: Samples): string => perSecond(rate.records, medianMs);
        report(
          `${String(count).padStart(5)} at once: node:sqlite ${each(rate.sqlite)}/s, kompose ${each(rate.kompose)}/s, ratio ${rate.ratio.toFixed(2)}`,
        );
        rates.push(rate);
      }
      return rates;
    } finally {
      bare.close();
      await store.close();
      await rm(folder, { recursive: true });
    }
  },
  inDocs: (rates) => {
    const rows = rates.map(({ atOnce: count, records, sqlite, kompose, ratio }) => {
      const spread = ({ medianMs, minMs, maxMs }: Samples): string =>
        `${perSecond(records, medianMs)} (${perSecond(records, maxMs)}–${perSecond(records, minMs)})`;
      return [count.toLocaleString('en'), spread(sqlite), spread(kompose), ratio.toFixed(2)];
    });
    const head = ['at once', 'node:sqlite, records/s', 'kompose, records/s', 'ratio'];
    return `Median (least to most); both in WAL mode with \`synchronous=FULL\`.\n\n${markdownTable([head, ...rows])}`;
  },
  targets: (rates) =>
    rates.map(({ atOnce: count, ratio }) => ({
      what: `durable audit records, ${count.toLocaleString('en')} at once: rate, of node:sqlite's own`,
      limit: 'at least 0.5',
      measured: ratio.toFixed(3),
      isMet: ratio >= 0.5,
    })),
};

async function measure(store: Store, bare: BareTable, count: number): Promise<Rate> {
  const groups = batches[count as keyof typeof batches];
  const one = (): Promise<void> => store.write((transaction) => record(transaction, Date.now(), entry));
  const kompose = async (): Promise<void> => {
    for (let group = 0; group < groups; group++) await Promise.all(Array.from({ length: count }, one));
  };
  const sqlite = async (): Promise<void> => {
    for (let group = 0; group < groups; group++) bare.commit(count);
  };
  const samples = await measureInTurn(rounds, { sqlite, kompose });
  const { sqlite: theirs, kompose: ours } = samples;
  if (theirs === undefined || ours === undefined) throw new Error('both were measured');
  const ratio = theirs.medianMs / ours.medianMs;
  return { atOnce: count, sqlite: theirs, kompose: ours, records: groups * count, ratio };
}

/** The least that SQLite needs to keep as many rows of that size. */
class BareTable {
  readonly #database: DatabaseSync;
  readonly #text = JSON.stringify({ ...entry, time: new Date().toISOString(), previous: '0'.repeat(64) });
  #seq = 0;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
    this.#database.exec(
      'create table audit (seq integer primary key, record text not null, hash text not null)',
    );
  }

  commit(rows: number): void {
    const insert = this.#database.prepare('insert into audit (seq, record, hash) values (?, ?, ?)');
    this.#database.exec('begin immediate');
    for (let row = 0; row < rows; row++) insert.run(++this.#seq, this.#text, '0'.repeat(64));
    this.#database.exec('commit');
  }

  close(): void {
    this.#database.close();
  }
}

function perSecond(records: number, ms: number): string {
  return Math.round((records / ms) * 1000).toLocaleString('en');
}
