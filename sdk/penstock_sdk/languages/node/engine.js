// SPDX-License-Identifier: Apache-2.0
// Runs one plugin: its handlers one after the other, in the order in which batches and calls came.
'use strict';

const { eachFrame, readRecords, readMsgpack, writeMsgpack } = require('./codec');
const { Context } = require('./context');
const { Lane } = require('./flow');
const records = require('./records');

const STATE_FORMAT = 1n;

class Engine {
  constructor(plugin) {
    this.plugin = plugin;
    this.events = new Lane();
    this.orders = new Lane();
    this.state = 'new';
    this.last = Promise.resolve();
  }

  /** Does something after all that came before; returns a promise of what it returns. */
  run(task) {
    const done = this.last.then(task);
    this.last = done.catch(() => undefined);
    return done;
  }

  want(call, ...states) {
    if (!states.includes(this.state)) {
      throw new Error(`${call} met a plugin that is ${this.state}, wanted ${states.join(' or ')}`);
    }
  }

  configure(request) {
    if (!request.validateOnly) this.want('Configure', 'new', 'configured');
    const [config, faults] = this.readConfig(request.configJson);
    if (faults.length || request.validateOnly) return faults;
    const instance = request.instance || { name: '', pluginId: 0, runSeed: '0', seed: '0' };
    instance.runSeed = BigInt(instance.runSeed);
    instance.seed = BigInt(instance.seed);
    this.context = new Context(this, instance);
    this.handler = new this.plugin.Handler(this.context, config);
    this.state = 'configured';
    return [];
  }

  readConfig(text) {
    let given;
    try {
      given = text ? JSON.parse(text) : {};
    } catch (error) {
      return [null, [`config: met no JSON (${error.message}), wanted an object`]];
    }
    if (given === null || typeof given !== 'object' || Array.isArray(given)) {
      return [null, [`config: met ${text}, wanted an object`]];
    }
    const rules = (this.plugin.configSchema || {}).properties || {};
    const config = {};
    for (const [key, rule] of Object.entries(rules)) config[key] = rule.default;
    const faults = [];
    for (const [key, value] of Object.entries(given)) {
      if (!(key in rules)) {
        const known = Object.keys(rules).join(', ');
        faults.push(`${key}: met a key that is unknown, wanted ${known ? 'one of ' + known : 'no config'}`);
      } else {
        config[key] = value;
        faults.push(...faultsOf(key, value, rules[key]));
      }
    }
    if (!faults.length && this.plugin.faults) faults.push(...this.plugin.faults(config));
    return [config, faults];
  }

  async start(request) {
    const goesOn = request.resumed && request.seq === '0';  // where it was: of no event, and it says so to nobody
    this.want('Start', 'configured', ...(goesOn ? ['started'] : []));
    const { context } = this;
    const timers = [...context.timers.values()];
    this.state = 'started';
    context.lane = this.events;
    context.learnFrames(request.known);
    context.nowNs = BigInt(request.nowNs);
    if (!goesOn) context.seq = context.root = BigInt(request.seq);
    if (this.handler.onStart && !goesOn) {
      await this.guarded(request.resumed ? 'on_resume' : 'on_start', () => this.handler.onStart(request.resumed));
    }
    return { said: this.saidAll(), timers };
  }

  async drain(request) {
    this.want('Drain', 'started');
    this.context.nowNs = BigInt(request.nowNs);
    this.context.seq = BigInt(request.seq);
    this.state = 'drained';
    if (this.handler.onStop) await this.guarded('on_stop', () => this.handler.onStop());
    return { said: this.saidAll() };
  }

  /** Returns all that the handler said, for a reply: the lanes come together. */
  saidAll() {
    const said = this.context.clear();
    return { ...said, orders: undefined, frames: Buffer.concat([...said.frames, ...said.orders]) };
  }

  /** Handles one batch of the host's. */
  async batch(lane, batch) {
    const { context } = this;
    try {
      if (!context) return;
      context.lane = lane;
      if (!(this.state === 'started' || (this.state === 'configured' && batch.hearing))) {
        this.send(lane, batch.step, batch.take > 0);  // a step is answered in any state
        return;
      }
      context.hearing = batch.hearing;
      const now = BigInt(batch.nowNs);
      if (now > 0n) context.nowNs = now;
      if (batch.check) await this.check(batch);
      else await this.frames(batch.frames);
      await this.written(BigInt(batch.writtenSeq));
      context.hearing = false;
      this.send(lane, batch.step, batch.take > 0);
    } finally {
      lane.done(batch.number);
    }
  }

  async frames(frames) {
    const { context } = this;
    try {
      for (const [header, body] of eachFrame(frames)) {
        let seq = header.seq;
        for (const record of readRecords(header, body)) {
          context.seq = seq++;
          context.root = header.correlation_seq;
          if (header.at_ns > 0n) context.nowNs = header.at_ns;
          await this.hear(record);
        }
      }
    } catch (error) {
      this.fault('frames', error);
    }
  }

  async hear(record) {
    if (record.schema === records.Timer) this.context.timers.delete(record.timer_id);
    this.context.learn(record);
    const name = 'on' + record.schema.name;
    if (this.handler[name]) await this.guarded(snake(name), () => this.handler[name](record));
  }

  async check(batch) {
    try {
      if (!this.handler.checkOrder) throw new Error('met an order to check, wanted a handler with checkOrder');
      for (const [header, body] of eachFrame(batch.frames)) {
        if (header.schema_id !== records.Order.id) throw new Error(`schema ${header.schema_id} met, wanted an Order`);
        this.context.seq = header.seq;
        this.context.root = header.correlation_seq;
        this.context.say(await this.handler.checkOrder(records.Order.read(body)));
      }
    } catch (error) {
      this.fault('check_order', error);
    }
  }

  async guarded(name, run) {
    try {
      await run();
    } catch (error) {
      this.fault(name, error);
    }
  }

  fault(handler, error) {
    if (this.context.hearing) return;
    const { said } = this.context;
    said.faults.push({ handler, error: String((error && error.stack) || error), afterFrames: said.frames.length });
  }

  /** Does what waited for the journal. */
  async written(seq) {
    const waiting = this.context.effects;
    this.context.effects = waiting.filter(([at]) => at > seq);
    for (const [at, run] of waiting) if (at <= seq) await this.guarded('effect', run);
  }

  /** Queues what was said: with a step all of it as its answer, else orders on their own lane. */
  send(lane, step, takenAll) {
    const said = this.context.clear();
    const more = { ...said, orders: undefined, effectsWaiting: this.context.effects.length, takenAll };
    if (this.context.outside) more.fromOutside = true;
    if (step > 0) {
      lane.put({ ...more, answers: step, frames: Buffer.concat([...said.frames, ...said.orders]) });
      return;
    }
    const fromOutside = this.context.outside;
    if (said.orders.length) this.orders.put({ frames: Buffer.concat(said.orders), fromOutside });
    const lists = [said.frames, said.faults, said.timers, said.timersForgotten, said.log];
    if (takenAll || more.effectsWaiting || lists.some((each) => each.length)) {
      this.events.put({ ...more, frames: Buffer.concat(said.frames) });
    }
  }

  ask(kind, name) {
    return new Promise((resolve, reject) => {
      this.context.lane.put({ asks: [{ kind, name }] }, { resolve, reject });
    });
  }

  fromOutside(said) {
    if (this.context.instance.simulated) {
      throw new Error('fromOutside met a simulated clock, wanted a wall clock: answer in a handler or by a timer');
    }
    this.run(() => {
      if (this.state !== 'started') return;
      this.context.outside = true;
      this.context.say(...said);
      this.send(this.events, 0, false);
      this.context.outside = false;
    });
  }

  snapshot() {
    this.want('Snapshot', 'configured', 'started', 'drained');
    const { context, handler } = this;
    const own = handler.snapshot ? handler.snapshot() : null;
    const timers = [...context.timers.values()].map(({ timerId, dueNs, tag }) => [timerId, dueNs, tag]);
    const state = writeMsgpack({
      format: STATE_FORMAT, handler: own, intents: context.intents, known: new Uint8Array(context.knownFrames()),
      last_timer: context.lastTimer, timers,
    });
    return { state: Buffer.from(state), lastSeq: context.seq.toString() };
  }

  restore(request) {
    this.want('Restore', 'configured');
    try {
      const { context, handler } = this;
      const state = readMsgpack(request.state);
      if (state.format !== STATE_FORMAT) throw new Error(`state of format ${state.format} met, wanted ${STATE_FORMAT}`);
      context.learnFrames(state.known);
      context.intents = state.intents;
      context.lastTimer = Number(state.last_timer);
      for (const [timerId, dueNs, tag] of state.timers) {
        context.timers.set(Number(timerId), { timerId: Number(timerId), dueNs, tag });
      }
      if (handler.restore) handler.restore(state.handler);
      context.seq = BigInt(request.lastSeq);
      return {};
    } catch (error) {
      return { error: String(error.message) };
    }
  }
}

/** Returns what is wrong with one value by its JSON Schema: type, minimum, maximum, enum. */
function faultsOf(key, value, rule) {
  const types = {
    integer: Number.isSafeInteger, number: Number.isFinite, string: (v) => typeof v === 'string',
    boolean: (v) => typeof v === 'boolean', array: Array.isArray,
  };
  const shown = JSON.stringify(value);
  if (rule.type in types && !types[rule.type](value)) return [`${key}: met ${shown}, wanted a value of type ${rule.type}`];
  if (rule.minimum !== undefined && value < rule.minimum) return [`${key}: met ${shown}, wanted ${rule.minimum} or more`];
  if (rule.maximum !== undefined && value > rule.maximum) return [`${key}: met ${shown}, wanted ${rule.maximum} or less`];
  if (rule.enum && !rule.enum.includes(value)) return [`${key}: met ${shown}, wanted one of ${rule.enum.join(', ')}`];
  return [];
}

function snake(name) {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

module.exports = { Engine };
