/*
 * The scripts of an import, for psql (11 or newer) on a database of the server that is neither the old nor the new
 * one. What they work on comes as psql variables: `target` the database asked for, `scratch` the new one, `old` what
 * the old one is called until it is dropped, `marker` the comment by which ours are known. All quoting is done by psql
 * (`:'name'`, `:"name"`) and by the server (format's %I and %L); `\gexec` runs the statements that a query gives.
 */

/**
 * Databases that an import into `target` which was killed left behind: by name and comment. One without a comment
 * was left between its CREATE and its COMMENT, if nobody uses it and its import has no session any more: another one,
 * into whatever database, may stand between the two just now.
 */
const leftovers = String.raw`pg_database AS d
WHERE d.datname ~ '^kompose_import_[0-9a-z]{26}(_old)?$'
  AND (shobj_description(d.oid, 'pg_database') = :'marker'
    OR shobj_description(d.oid, 'pg_database') IS NULL
      AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datid = d.oid
        OR a.application_name = 'kompose_' || substr(d.datname, 16, 26)))`;

/** A database with sessions cannot be dropped; DROP waits five seconds for those that are ending. */
const removeLeftovers = String.raw`
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', t.datname) FROM pg_database AS t
WHERE t.datname = :'target' AND NOT t.datallowconn AND EXISTS (SELECT FROM ${leftovers}) \gexec
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
WHERE a.datid IN (SELECT d.oid FROM ${leftovers});
SELECT format('DROP DATABASE %I', d.datname) FROM ${leftovers} \gexec
`;

/** Slots are not part of a dump, and a database with some cannot be dropped. */
const refuseSlots = String.raw`
SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', message)) FROM (
  SELECT 'the database has logical replication slots, which an import would lose: '
    || string_agg(slot_name, ', ') AS message
  FROM pg_replication_slots WHERE database = :'target'
) AS slots WHERE message IS NOT NULL \gexec
`;

/**
 * Columns that only some versions of PostgreSQL have are read by way of JSON. Without an old database the server's
 * defaults hold.
 */
const create = String.raw`
SELECT format('CREATE DATABASE %I TEMPLATE template0', :'scratch') || coalesce((
  SELECT format(' OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L',
      pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
    || CASE j ->> 'datlocprovider'
      WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(j ->> 'datlocale', j ->> 'daticulocale'))
      WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', j ->> 'datlocale')
      ELSE '' END
    || coalesce(' ICU_RULES ' || quote_literal(j ->> 'daticurules'), '')
    || CASE WHEN s.spcname = 'pg_default' THEN '' ELSE format(' TABLESPACE %I', s.spcname) END
  FROM pg_database AS d JOIN pg_tablespace AS s ON s.oid = d.dattablespace, to_jsonb(d) AS j
  WHERE d.datname = :'target'
), '') \gexec
COMMENT ON DATABASE :"scratch" IS :'marker';
`;

/** Privileges that are as they are by default are not listed (datacl is null); a revoked default is one not granted. */
const copyPrivileges = String.raw`
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', :'scratch', pg_get_userbyid(datdba))
FROM pg_database WHERE datname = :'target' AND datacl IS NOT NULL \gexec
SELECT format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, :'scratch',
  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
  CASE WHEN is_grantable AND grantee <> datdba THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_database, aclexplode(datacl) WHERE datname = :'target' \gexec
`;

/**
 * ALTER DATABASE SET and ALTER ROLE IN DATABASE SET. Settings that are lists of names are stored with their names
 * quoted and have to be given one by one, as pg_dump does it (variable_is_guc_list_quote in its dumputils.c).
 */
const copySettings = String.raw`
SELECT CASE setrole WHEN 0 THEN format('ALTER DATABASE %I', :'scratch')
    ELSE format('ALTER ROLE %I IN DATABASE %I', pg_get_userbyid(setrole), :'scratch') END
  || format(' SET %s TO %s',
    (SELECT string_agg(quote_ident(part), '.') FROM unnest(string_to_array(name, '.')) AS part),
    CASE WHEN lower(name) IN ('local_preload_libraries', 'search_path', 'session_preload_libraries',
        'shared_preload_libraries', 'temp_tablespaces', 'unix_socket_directories')
      THEN (SELECT coalesce(string_agg(quote_literal(coalesce(replace(m[1], '""', '"'), lower(m[2]))), ', '), '''''')
        FROM regexp_matches(value, '"((?:[^"]|"")*)"|([^\s,"]+)', 'g') AS m)
      ELSE quote_literal(value) END)
FROM pg_db_role_setting JOIN pg_database AS d ON d.oid = setdatabase, unnest(setconfig) AS setting,
  split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value
WHERE d.datname = :'target' \gexec
`;

/** Makes `scratch`, empty, like `target` in all but its name; removes what earlier imports left. */
export const prepareScript = [
  String.raw`SET client_min_messages = warning;
\set ON_ERROR_STOP 0`,
  removeLeftovers,
  String.raw`\set ON_ERROR_STOP 1`,
  refuseSlots,
  create,
  copyPrivileges,
  copySettings,
].join('\n');

/**
 * Waits five seconds at most until no session is left in either database. RENAME and DROP wait as well, but look only
 * ten times a second.
 */
const awaitEnded = String.raw`
SELECT format('DO %L', format('BEGIN FOR attempt IN 1..1000 LOOP PERFORM pg_stat_clear_snapshot(), pg_sleep(0.005);
  EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname IN (%L, %L)); END LOOP; END',
  :'target', :'scratch')) \gexec
`;

/** What both ways of replacing the old database begin with: nobody gets in, and those inside are ended. */
const closeOld = String.raw`
SET client_min_messages = warning;
SET lock_timeout = '10s';
SELECT EXISTS (SELECT FROM pg_database WHERE datname = :'target') AS has_old \gset
SELECT oid AS new FROM pg_database WHERE datname = :'scratch' \gset
SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', :'scratch', datconnlimit)
FROM pg_database WHERE datname = :'target' AND datconnlimit >= 0 \gexec
SELECT coalesce((SELECT datistemplate FROM pg_database WHERE datname = :'target'), false) AS is_template \gset
SELECT format('COMMENT ON DATABASE %I IS %L', :'target',
  (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :'target')) AS comment \gset
\if :has_old
ALTER DATABASE :"target" ALLOW_CONNECTIONS false;
\endif
-- From here on an error must not end the script: the old database would stay closed.
\set ON_ERROR_STOP 0
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname IN (:'target', :'scratch') AND pid <> pg_backend_pid();
${awaitEnded}`;

const keepTemplate = String.raw`
\if :is_template
ALTER DATABASE :"target" IS_TEMPLATE true;
\endif
`;

/**
 * Puts `scratch` in the place of `target` and prints `swapped`, or leaves all as it is; then drops the old one and
 * prints `dropped`. A RENAME waits five seconds for ending sessions.
 */
export const swapScript = String.raw`${closeOld}
BEGIN;
\if :has_old
ALTER DATABASE :"target" RENAME TO :"old";
\endif
ALTER DATABASE :"scratch" RENAME TO :"target";
:comment;
\if :has_old
COMMENT ON DATABASE :"old" IS :'marker';
\endif
COMMIT;
SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = :'target' AND oid = :new) AS failed \gset
\if :failed
\if :has_old
ALTER DATABASE :"target" ALLOW_CONNECTIONS true;
\endif
\set ON_ERROR_STOP 1
DO 'BEGIN RAISE EXCEPTION ''the databases could not be swapped''; END';
\endif
\echo swapped
${keepTemplate}
\if :has_old
\if :is_template
ALTER DATABASE :"old" IS_TEMPLATE false;
\endif
DROP DATABASE :"old";
SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = :'old') AS dropped \gset
\if :dropped
\echo dropped
\endif
\else
\echo dropped
\endif
`;

/** Drops `target` and puts `scratch`, which is empty, in its place. */
export const recreateScript = String.raw`${closeOld}
\if :has_old
\if :is_template
ALTER DATABASE :"target" IS_TEMPLATE false;
\endif
DROP DATABASE :"target";
\endif
SELECT EXISTS (SELECT FROM pg_database WHERE datname = :'target') AS failed \gset
\if :failed
ALTER DATABASE :"target" ALLOW_CONNECTIONS true;
${keepTemplate}
\set ON_ERROR_STOP 1
DO 'BEGIN RAISE EXCEPTION ''the old database could not be dropped''; END';
\endif
\set ON_ERROR_STOP 1
ALTER DATABASE :"scratch" RENAME TO :"target";
:comment;
${keepTemplate}
`;

/**
 * Drops the `old` one of a swap that came about. Drops `scratch`, or prints `gone` if it is there no more; ends with an
 * error if it stays. With `closed` the import had begun to swap, and it was the one who closed `target`: it is opened again.
 */
export const undoScript = String.raw`
SET client_min_messages = warning;
SET lock_timeout = '10s';
\set ON_ERROR_STOP 0
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_database
WHERE datname = :'target' AND :'closed' AND NOT datallowconn \gexec
SELECT format('DROP DATABASE %I', datname) FROM pg_database
WHERE datname = :'old' AND EXISTS (SELECT FROM pg_database WHERE datname = :'target') \gexec
SELECT EXISTS (SELECT FROM pg_database WHERE datname = :'scratch') AS is_there \gset
\if :is_there
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :'scratch';
\set ON_ERROR_STOP 1
DROP DATABASE :"scratch";
\else
\echo gone
\endif
`;

/**
 * For the scratch database itself, after a restore that failed, maybe on a full disk: DROP DATABASE waits for a
 * checkpoint, which there is no room for. DROP TABLE needs none, and gives back the room.
 */
export const emptyScript = String.raw`
SET client_min_messages = warning;
SET lock_timeout = '10s';
\set ON_ERROR_STOP 0
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = :'scratch' AND pid <> pg_backend_pid();
SELECT format('DROP %s IF EXISTS %s CASCADE', CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
  oid::regclass)
FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace NOT IN ('pg_catalog'::regnamespace,
  'information_schema'::regnamespace) AND relnamespace::regnamespace::text !~ '^pg_' \gexec
`;

/** Ends the sessions of this task's tools: those of a tool that was killed may still work for it. */
export const endSessionsScript = String.raw`
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = :'mark' AND pid <> pg_backend_pid();
`;
