/*
 * The command line with all that its commands ask for: in a release one file (build.ts). What serves a host or the fleet
 * for weeks is started without it.
 */
export { main } from './main.ts';
