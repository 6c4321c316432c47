// SPDX-License-Identifier: Apache-2.0
// All that a handler has of the world: time, names, timers, and a way to say something.
'use strict';

const { eachFrame, readRecords, writeFrame } = require('./codec');
const records = require('./records');

const REPLY = 4;

class Context {
  constructor(engine, instance) {
    this.engine = engine;
    /** Who the plugin is in this run: name, pluginId, bookId …, runSeed (a BigInt), simulated, folders. */
    this.instance = instance;
    /** The run's time, ns UTC, a BigInt. */
    this.nowNs = 0n;
    /** The number of the event at hand, a BigInt. */
    this.seq = 0n;
    this.root = 0n;
    this.hearing = false;
    this.outside = false;
    this.lane = engine.events;
    this.listings = new Map();
    this.contracts = new Map();
    this.zones = new Map();
    this.timers = new Map();
    this.lastTimer = 0;
    this.intents = 0n;
    this.effects = [];
    this.names = new Map();
    this.clear();
  }

  clear() {
    const said = { frames: [], orders: [], faults: [], timers: [], timersForgotten: [], log: [] };
    const before = this.said;
    this.said = said;
    return before;
  }

  /** Tells the kernel of these records, in this order. */
  say(...said) {
    if (this.hearing) return;
    for (const record of said) {
      this.learn(record);
      const frame = writeFrame(record, {
        origin: REPLY, at_ns: this.nowNs, cause_seq: this.outside ? records.ABSENT : this.seq,
        correlation_seq: this.root, producer: this.instance.pluginId,
      });
      const { topic } = record.schema;
      const apart = !this.instance.simulated && (topic.startsWith('order.') || topic.startsWith('risk.'));
      (apart ? this.said.orders : this.said.frames).push(frame);
    }
  }

  /** Returns (a promise of) the id of a name; one that is new gets one. The same name has it in every session. */
  async id(kind, name) {
    const known = this.names.get(`${kind} ${name}`);
    if (known !== undefined) return known;
    const answer = await this.engine.ask(kind, name);
    this.learnFrames(answer.frames);
    const id = this.names.get(`${kind} ${name}`);
    if (id === undefined) throw new Error(`the host gave no id for ${name} of kind ${kind}`);
    return id;
  }

  learn(record) {
    const { schema } = record;
    if (schema === records.Interned) this.names.set(`${record.kind} ${record.name}`, record.id);
    else if (schema === records.ListingDefinition) this.listings.set(record.listing_id, record);
    else if (schema === records.ContractDefinition) this.contracts.set(record.contract_id, record);
    else if (schema === records.ZoneDefinition) this.zones.set(record.zone_id, record);
  }

  learnFrames(frames) {
    for (const [header, body] of eachFrame(frames)) readRecords(header, body).forEach((each) => this.learn(each));
  }

  /** Returns all that is known as frames, for a snapshot. */
  knownFrames() {
    const names = [...this.names].map(([key, id]) => {
      const at = key.indexOf(' ');
      return records.Interned({ kind: Number(key.slice(0, at)), id, name: key.slice(at + 1) });
    });
    const known = [...names, ...this.zones.values(), ...this.contracts.values(), ...this.listings.values()];
    return Buffer.concat(known.map((each) => writeFrame(each)));
  }

  /** Asks for a Timer event at dueNs that bears tag; returns its timer_id. */
  setTimer(dueNs, tag = 0n) {
    this.lastTimer += 1;
    const timer = { timerId: this.lastTimer, dueNs: BigInt(dueNs), tag: BigInt(tag) };
    this.timers.set(timer.timerId, timer);
    if (!this.hearing) this.said.timers.push(timer);
    return timer.timerId;
  }

  /** Takes a timer back; one that has fired is no error. */
  forgetTimer(timerId) {
    if (this.timers.delete(timerId) && !this.hearing) this.said.timersForgotten.push(timerId);
  }

  /** Writes a line for people; severity is one of records.Severity. */
  log(severity, text, fields) {
    if (!this.hearing) this.said.log.push({ severity, text, fieldsJson: fields ? JSON.stringify(fields) : '' });
  }

  /** Calls run once the event at hand is in the journal: the place to send to a market outside. */
  afterWritten(run) {
    if (!this.hearing) this.effects.push([this.seq, run]);
  }

  /** Tells the kernel of what came by itself, as a market's answers; under a simulated clock nothing does. */
  fromOutside(...said) {
    this.engine.fromOutside(said);
  }

  /** Returns the wish for a limit order in the name of this instance; more overrides fields. */
  intent(listingId, side, priceTicks, qtyLots, more) {
    this.intents += 1n;
    return records.OrderIntent({
      listing_id: listingId, side, price_ticks: BigInt(priceTicks), qty_lots: BigInt(qtyLots), intent_id: this.intents,
      ...this.identity(), ...more,
    });
  }

  /** Returns the wish to cancel an order. */
  cancel(orderId, listingId) {
    return records.OrderIntent({
      listing_id: listingId, action: records.IntentAction.CANCEL, order_id: orderId, ...this.identity(),
    });
  }

  identity() {
    const who = this.instance;
    return {
      strategy_id: who.pluginId, book_id: who.bookId, algo_id: who.algoId, algo_version: who.algoVersion,
      trader_id: who.traderId, account_id: who.accountId,
    };
  }
}

module.exports = { Context };
