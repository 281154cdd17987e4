import type { DumpFormat } from '../../common/database-command.ts';

/** A database of a stack, and with whose tools it is reached. */
export interface Database {
  readonly name: string;
  readonly user: string;
  readonly at: DatabasePlace;
}

export type DatabasePlace =
  /** With the tools inside the service's container, over its local socket. */
  | {
      readonly kind: 'container';
      readonly service: string;
      /** How compose is called on this host. */
      readonly compose: readonly [string, ...string[]];
      /** The service's own POSTGRES_PASSWORD, for when there is no DB_PASSWORD. */
      readonly password: string | undefined;
    }
  /** With this host's tools, over TCP. */
  | { readonly kind: 'host'; readonly host: string; readonly port: string };

interface StepOfDatabase {
  readonly step: 'action';
  /** What a user knows the step by. */
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly database: Database;
  /** Marks the processes and sessions of this task; fit for a name in SQL. */
  readonly mark: string;
}

/** Dumps into `path`, or the next free second's. `argv` is pg_dump's. */
export interface ExportStep extends StepOfDatabase {
  readonly kind: 'export';
  readonly format: DumpFormat;
  /** Absolute. */
  readonly path: string;
}

/** Restores `file`. `argv` is that of the psql that reads it. */
export interface ImportStep extends StepOfDatabase {
  readonly kind: 'import';
  /** Absolute. */
  readonly file: string;
  readonly compression: Compression;
  /** The database that is made for it; with `inPlace` only until the old one is dropped. */
  readonly scratch: string;
  readonly inPlace: boolean;
}

/** Removes all but the newest `keep` dumps; `argv` names those that are there now. */
export interface CleanupStep extends StepOfDatabase {
  readonly kind: 'cleanup';
  readonly folder: string;
  readonly keep: number;
}

export type DatabaseStep = ExportStep | ImportStep | CleanupStep;

/** What takes the place of docker compose in the plan of a database command. */
export interface DatabaseAction {
  readonly step: DatabaseStep;
  /** What the hooks get (section 5 of the command contract): paths of dumps. */
  readonly hookArguments: Readonly<Record<'pre' | 'post' | 'fail', readonly string[]>>;
}

export type Compression = 'none' | 'gzip' | 'zstd';

export const compressionOf = { sql: 'none', 'sql.gz': 'gzip', 'sql.zst': 'zstd' } as const satisfies Record<
  DumpFormat,
  Compression
>;
