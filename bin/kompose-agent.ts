#!/usr/bin/env node
import { launch } from './launch.ts';

await launch(['agent', ...process.argv.slice(2)]);
