#!/usr/bin/env node
import { launch } from './launch.ts';

void launch(process.argv.slice(2));
