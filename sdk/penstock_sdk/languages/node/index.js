// SPDX-License-Identifier: Apache-2.0
// Serves a Penstock plugin that is written in JavaScript or TypeScript; see README.md and examples/ beside this file.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const { Engine } = require('./engine');
const records = require('./records');

const COOKIE = ['PENSTOCK_PLUGIN', 'penstock.plugin.v1'];
const MAJORS = [1];
const MESSAGE_BYTES_MAX = 64 << 20;
const TOKEN_METADATA = 'penstock-token';
const MADE_WITH = `penstock node shim 0.5.0 (node ${process.versions.node})`;

/** Numbers that count stay numbers; those that may be long come as text and are made BigInt where they are read. */
const LOAD = { longs: String, defaults: true, arrays: true, oneofs: false };

function load(file) {
  return grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, file), LOAD));
}

/** Methods of go-plugin's own service, whose messages are empty. */
const CONTROLLER = {
  Shutdown: {
    path: '/plugin.GRPCController/Shutdown', requestStream: false, responseStream: false,
    requestSerialize: () => Buffer.alloc(0), requestDeserialize: () => ({}),
    responseSerialize: () => Buffer.alloc(0), responseDeserialize: () => ({}),
  },
};

/**
 * Serves the plugin to the host that started this process, until the host ends it.
 *
 * plugin: id, version, kind, hears (schemas), configSchema (an object), embedded, faults(config), Handler (a class).
 */
function serve(plugin) {
  if (process.env[COOKIE[0]] !== COOKIE[1]) {
    console.error('this is a plugin, and no host started it; name it in plugins.toml, or try it with penstock conform');
    process.exit(1);
  }
  const token = process.env.PENSTOCK_TOKEN || '';
  delete process.env.PENSTOCK_TOKEN;
  if (process.env.PLUGIN_CLIENT_CERT) {
    console.error('the host asks for TLS (PLUGIN_CLIENT_CERT), which this plugin does not serve on a Unix socket; set tls = false');
    process.exit(1);
  }
  const engine = new Engine(plugin);
  const server = new grpc.Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX, 'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  });
  const folder = fs.mkdtempSync(path.join(process.env.PLUGIN_UNIX_SOCKET_DIR || os.tmpdir(), 'plugin-'));  // 0700
  const end = (status) => {
    fs.rmSync(folder, { recursive: true, force: true });
    process.exit(status);
  };
  const stop = () => {
    setTimeout(() => end(0), 500).unref();  // streams that are still open would hold it up for ever
    server.tryShutdown(() => end(0));
  };
  server.addService(load('plugin.proto').penstock.plugin.v1.Plugin.service, methods(engine, token, stop));
  server.addService(load('health.proto').grpc.health.v1.Health.service, {
    Check: (call, reply) => reply(null, { status: 'SERVING' }),
  });
  server.addService(CONTROLLER, { Shutdown: (call, reply) => { reply(null, {}); stop(); } });
  const parent = process.ppid;
  setInterval(() => process.ppid === parent || end(1), 1000).unref();
  process.on('SIGTERM', () => end(0));
  const offered = (process.env.PLUGIN_PROTOCOL_VERSIONS || '').split(',').map(Number);
  const major = MAJORS.filter((each) => offered.includes(each)).pop() || MAJORS[MAJORS.length - 1];
  const socket = path.join(folder, 's');
  server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
    process.stdout.write(`1|${major}|unix|${socket}|grpc|\n`);
  });
}

/** Returns the service: each call checks the token, and takes its turn after all that came before. */
function methods(engine, token, stop) {
  const wanted = Buffer.from(token);
  const allowed = (call) => {
    if (!token) return true;
    return call.metadata.get(TOKEN_METADATA).some((met) => {
      const bytes = Buffer.from(met);
      return bytes.length === wanted.length && crypto.timingSafeEqual(bytes, wanted);
    });
  };
  const refusal = {
    code: grpc.status.UNAUTHENTICATED, details: `call without the plugin's token, wanted metadata ${TOKEN_METADATA}`,
  };
  const unary = (task) => (call, reply) => {
    if (!allowed(call)) return reply(refusal);
    return engine.run(() => task(call.request)).then(
      (answer) => reply(null, answer),
      (error) => reply({ code: grpc.status.FAILED_PRECONDITION, details: String(error.message) }));
  };
  const stream = (lane) => (call) => {
    if (allowed(call)) converse(engine, lane, call);
    else call.emit('error', refusal);
  };
  const incarnation = crypto.randomBytes(16).toString('hex');
  return {
    Describe: unary((request) => describe(engine.plugin, request, incarnation)),
    Configure: unary((request) => ({ faults: engine.configure(request) })),
    Start: unary((request) => engine.start(request)),
    Drain: unary((request) => engine.drain(request)),
    Stop: (call, reply) => {
      if (!allowed(call)) return reply(refusal);
      reply(null, {});
      return stop();
    },
    Snapshot: unary(() => engine.snapshot()),
    Restore: unary((request) => engine.restore(request)),
    Events: stream(engine.events),
    Orders: stream(engine.orders),
  };
}

function describe(plugin, request, incarnation) {
  if (request.majors.length && !request.majors.some((each) => MAJORS.includes(each))) {
    throw new Error(`host ${request.hostVersion} speaks majors ${request.majors} of penstock.plugin, this plugin ${MAJORS}`);
  }
  return {
    id: plugin.id, version: plugin.version, kind: plugin.kind, contractMin: plugin.contractMin || 1,
    contractMax: plugin.contractMax || 1, embedded: Boolean(plugin.embedded),
    deterministic: Boolean(plugin.deterministic), madeWith: MADE_WITH, incarnation,
    hears: plugin.hears.map(({ id, version, name }) => ({ schemaId: id, version, name })),
    configSchema: plugin.configSchema ? JSON.stringify(plugin.configSchema) : '',
    capabilities: plugin.hears.includes(records.Reconcile) ? ['reconcile', 'snapshot'] : ['snapshot'],
  };
}

/** Speaks one stream until either side ends it. */
function converse(engine, lane, call) {
  const fail = (error) => {
    if (lane.call === call) lane.end();
    call.emit('error', { code: grpc.status.INVALID_ARGUMENT, details: String(error.message) });
  };
  try {
    lane.begin(call);
  } catch (error) {
    fail(error);
    return;
  }
  call.on('data', (batch) => {
    if (lane.call !== call) return;
    for (const name of ['number', 'acked', 'creditEvents', 'creditBytes', 'step', 'answers']) batch[name] = Number(batch[name]);
    try {
      const fresh = lane.take(batch);
      lane.flush();
      if (fresh && batch.answers > 0 && lane.answered(batch)) lane.done(batch.number);
      else if (fresh) engine.run(() => engine.batch(lane, batch));
      else if (batch.number === 0 && engine.context && batch.writtenSeq !== '0') {
        engine.run(async () => {
          await engine.written(BigInt(batch.writtenSeq));
          engine.send(lane, 0, false);
        });
      }
    } catch (error) {
      fail(error);
    }
  });
  const end = () => {
    if (lane.call === call) lane.end();
  };
  call.on('end', () => {
    end();
    call.end();
  });
  call.on('cancelled', end);
  call.on('error', end);
}

module.exports = { serve, ...records };
