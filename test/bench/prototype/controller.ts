import { Server, ServerCredentials, type ServerDuplexStream, type ServerWritableStream } from '@grpc/grpc-js';
import { readSettings } from './settings.ts';
import { attach, converse, run, type Asked, type Order, type Report, type Said } from './wire.ts';

type Link = ServerDuplexStream<Report, Order>;

const welcome: Order = { id: 0, command: '' };

/** By name, in the order of their names. */
let agents: { readonly name: string; readonly link: Link }[] = [];
const tasks = new Map<number, (report: Exclude<Report, { name: string }>) => void>();
let newest = 0;

function serveAgent(link: Link): void {
  link.on('error', () => {});
  link.on('data', (report: Report) => {
    if ('id' in report) {
      tasks.get(report.id)?.(report);
      return;
    }
    agents = [...agents, { name: report.name, link }].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    link.write(welcome);
  });
}

function serveUser(stream: ServerWritableStream<Asked, Said>): void {
  ask(stream.request, stream, () => stream.end());
}

function serveTalk(stream: ServerDuplexStream<Asked, Said>): void {
  stream.on('error', () => {});
  stream.on('data', (asked: Asked) => ask(asked, stream, () => undefined));
}

function ask({ hosts, command }: Asked, user: { write(said: Said): unknown }, onEnd: () => void): void {
  const asked = agents.slice(0, hosts);
  let missing = asked.length;
  for (const { name: host, link } of asked) {
    const id = ++newest;
    tasks.set(id, (report) => {
      user.write({ ...report, host });
      if (!('exitCode' in report)) return;
      tasks.delete(id);
      if (--missing === 0) onEnd();
    });
    link.write({ id, command });
  }
}

const { address, identities } = readSettings();
const [own] = identities;
if (own === undefined) throw new Error('it has no certificate');
const { caCertificate, privateKey, certificate } = own.identity;
const server = new Server();
server.addService({ attach, converse, run }, { attach: serveAgent, converse: serveTalk, run: serveUser });
const pair = { private_key: Buffer.from(privateKey), cert_chain: Buffer.from(certificate) };
server.bindAsync(address, ServerCredentials.createSsl(Buffer.from(caCertificate), [pair], true), (error) => {
  if (error !== null) throw error;
  process.stdout.write('listening\n');
});
