#!/usr/bin/env node
import { launch } from './launch.ts';

void launch(['controller', ...process.argv.slice(2)]);
