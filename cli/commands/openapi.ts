/** `gimme openapi`: prints the HTTP interface as a master of this version serves it; asks nobody. */
import type { Command } from 'commander';
import { VERSION } from '../../shared/io/version.ts';
import { openapiOf } from '../../shared/protocol/openapi.ts';
import { example } from '../options.ts';
import { print } from '../output.ts';

export function addOpenapi(program: Command, ended: (exitCode: number) => void): void {
  const command = program.command('openapi').summary('print the OpenAPI 3.1 document of the HTTP interface');
  example(command, 'gimme openapi > gimmework.openapi.json');
  command.action(() => {
    print(JSON.stringify(openapiOf(VERSION), null, 2));
    ended(0);
  });
}
