/*
 * What talks to the fleet, loaded as one part: in a release each part that is loaded is a file to find and to link,
 * which costs a start more than the lines of it that no command asks for.
 */
export { connect } from '../connect.ts';
export { audit } from './audit.ts';
export { completion } from './completion.ts';
export { doctor } from './doctor.ts';
export { hosts } from './hosts.ts';
export { list } from './list.ts';
export { login } from './login.ts';
export { logout } from './logout.ts';
export { roles } from './roles.ts';
export { run } from './run.ts';
export { runs } from './runs.ts';
export { stacks } from './stacks.ts';
export { tokens } from './tokens.ts';
export { users } from './users.ts';
export { whoami } from './whoami.ts';
