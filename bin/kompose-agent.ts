#!/usr/bin/env node
import { launch } from './launch.ts';

void launch(['agent', ...process.argv.slice(2)]);
