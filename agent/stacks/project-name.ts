/**
 * The project name that compose makes of a folder's name: lower case, only `[a-z0-9_-]`, not beginning with `-`
 * or `_`. Empty if nothing is left; compose then asks for a name (`name:` in the file, or COMPOSE_PROJECT_NAME).
 */
export function normaliseProjectName(folder: string): string {
  return folder
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
}
