import { sql, type RawBuilder } from 'kysely';

/** Types of records that are looked up by themselves; there are few of each. */
type IndexedType = 'audit.contradicted' | 'hook.kept';

/** The number and the type stand first in a record, and what others have a word in stands behind these. */
const headLength = 64;

/**
 * Whether a row of the audit is of this type, as its indexes have it: the planner takes an index for the same words only.
 * SQLite asks it of each new record, for each index, and `record ->> 'type'` would take all its JSON apart.
 */
export function isOfType(type: IndexedType): RawBuilder<boolean> {
  return sql<boolean>`instr(substr(record, 1, ${sql.lit(headLength)}), ${sql.lit(`"type":"${type}"`)}) > 0`;
}
