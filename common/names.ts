/** What a name may look like, checked once, where it comes in. Each check returns its argument or throws `usage`. */
import { KomposeError } from './errors.ts';
import { isPrintable } from './printable.ts';
import { quoted } from './quoted.ts';

const identityName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const identityRule = 'begin with a letter or digit; then letters, digits, ".", "_", "-", 63 at most';
const labelKey = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;
const labelRule = 'begin with a letter or digit; then letters, digits, ".", "_", "-", "/", 63 at most';
const maxLabelValue = 255;
/** The longest name of a folder, in bytes, on every usual file system. */
const maxFolderBytes = 255;

export function checkHostName(name: string): string {
  return checkIdentityName('host', name);
}

export function checkUserName(name: string): string {
  return checkIdentityName('user', name);
}

/** As `checkUserName`, as a question. */
export function isUserName(name: string): boolean {
  return identityName.test(name);
}

/** Whether it has the form of a role's name. */
export function isRoleName(name: string): boolean {
  return /^[a-z][a-z0-9_-]{0,62}$/.test(name);
}

/** Of users: records also bear `agent` and the like, which are none. */
export function checkRoleName(name: string): string {
  if (!isRoleName(name)) {
    const rule = 'begin with a small letter; then small letters, digits, "_", "-", 63 at most';
    fail(`bad role name ${quoted(name)}: ${rule}`);
  }
  if (['agent', 'controller', 'local', 'hook'].includes(name))
    fail(`${name} is not a role that users can have`);
  return name;
}

/** Both names become the last part of a SPIFFE URI, whose characters these are. */
function checkIdentityName(kind: string, name: string): string {
  if (!identityName.test(name)) fail(`bad ${kind} name ${quoted(name)}: ${identityRule}`);
  return name;
}

/** `k=v`, split at the first `=`; an empty value is a value. */
export function checkLabel(text: string): [key: string, value: string] {
  const equals = text.indexOf('=');
  if (equals < 0) fail(`bad label ${quoted(text)}: it has no "="; write ${quoted(`${text}=VALUE`)}`);
  return [checkLabelKey(text.slice(0, equals)), checkLabelValue(text.slice(equals + 1))];
}

export function checkLabelKey(key: string): string {
  if (!labelKey.test(key)) fail(`bad name of a label ${quoted(key)}: ${labelRule}`);
  return key;
}

export function checkLabelValue(value: string): string {
  if (value.length > maxLabelValue || !isPrintable(value)) {
    fail(
      `bad value of a label ${quoted(value)}: use at most ${maxLabelValue} characters, none of them control`,
    );
  }
  return value;
}

/** A stack is a direct, non-hidden folder: its name cannot lead anywhere else. */
export function checkStackName(name: string): string {
  if (!isFolderName(name)) {
    fail(
      `bad stack name ${quoted(name)}: name a folder of the stacks root, without "/", control characters or a leading "."`,
    );
  }
  if (Buffer.byteLength(name) > maxFolderBytes) {
    fail(
      `bad stack name ${quoted(name)}: no folder's name has more than ${maxFolderBytes} bytes; shorten it`,
    );
  }
  return name;
}

/** Of a run or a task: a ULID, which also names files. */
export function checkId(id: string): string {
  if (!isId(id)) fail(`bad id ${quoted(id)}: it is no ULID`);
  return id;
}

/** As `checkId`, as a question. */
export function isId(id: string): boolean {
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(id);
}

/** Whether a folder of the stacks root may be a stack. */
export function isStackName(name: string): boolean {
  return isFolderName(name) && Buffer.byteLength(name) <= maxFolderBytes;
}

function isFolderName(name: string): boolean {
  return name !== '' && !name.startsWith('.') && !name.includes('/') && isPrintable(name);
}

/** `K=V` of `-e`, split at the first `=`. Errors never show the value, which may be a secret. */
export function checkEnvAssignment(text: string): [name: string, value: string] {
  const equals = text.indexOf('=');
  if (equals < 0) fail(`bad variable ${quoted(text)}: it has no "="; write -e NAME=VALUE`);
  const name = text.slice(0, equals);
  const value = text.slice(equals + 1);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    fail(`bad name of a variable ${quoted(name)}: begin with a letter or "_"; then letters, digits and "_"`);
  }
  if (value.includes('\0')) fail(`bad value of the variable ${name}: it holds a NUL character; remove it`);
  return [name, value];
}

/** The word after the pattern: of compose, or `db:*`. */
export function checkCommand(word: string): string {
  if (word === '') fail('the command is empty; write one after the pattern, such as ps');
  if (word.startsWith('-')) {
    fail(
      `bad command ${quoted(word)}: options of kompose stand before the pattern, and compose's global options cannot be given; set variables instead, such as -e COMPOSE_PROFILES=…`,
    );
  }
  if (!/^[A-Za-z][A-Za-z0-9:_-]*$/.test(word)) {
    fail(
      `bad command ${quoted(word)}: begin with a letter; then letters, digits, ":", "_", "-"; compose's global options cannot be given, use -e COMPOSE_PROFILES=…`,
    );
  }
  return word;
}

function fail(message: string): never {
  throw new KomposeError('usage', message);
}
