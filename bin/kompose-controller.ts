#!/usr/bin/env node
import { launch } from './launch.ts';

await launch(['controller', ...process.argv.slice(2)]);
