// SPDX-License-Identifier: Apache-2.0
// One stream of batches: numbers, acknowledgement and credit of both directions, and what waits to be sent.
'use strict';

const { countRecords } = require('./codec');

const CREDIT_EVENTS = 65536;
const CREDIT_BYTES = 16 << 20;
const ACK_BATCHES = 256;

class Lane {
  constructor() {
    this.call = null;
    this.waiting = [];
  }

  /** Starts a stream afresh; what waits to be sent is kept. */
  begin(call) {
    if (this.call) throw new Error('a second stream of this kind met, wanted one at a time');
    Object.assign(this, { call, asked: new Map(), hand: [], sent: 0, sentEvents: 0, sentBytes: 0 });
    Object.assign(this, { mayEvents: 0, mayBytes: 0, taken: 0, handled: 0, gotEvents: 0, gotBytes: 0 });
    Object.assign(this, { handledEvents: 0, handledBytes: 0, grantedEvents: 0, grantedBytes: 0, told: -1 });
    this.flush();
  }

  /** Closes the stream; whoever waits for an answer gets none. */
  end() {
    this.call = null;
    for (const { reject } of this.asked.values()) reject(new Error('the stream ended before the host gave ids'));
    this.asked = new Map();
  }

  /** Notes a batch of the host's and returns whether it is to be handled now: once, and in order. */
  take(batch) {
    const { number } = batch;
    if (batch.acked > this.sent) throw new Error(`batch acknowledges ${batch.acked}, wanted at most ${this.sent}: no more was sent`);
    this.mayEvents = Math.max(this.mayEvents, batch.creditEvents);
    this.mayBytes = Math.max(this.mayBytes, batch.creditBytes);
    if (number <= this.taken) {
      if (number === 0 && batch.frames.length) throw new Error('batch 0 holds frames, wanted a number');
      return false;
    }
    if (number !== this.taken + 1) {
      throw new Error(`batch ${number} met, wanted ${this.taken + 1}: what lies between has not come`);
    }
    const events = countRecords(batch.frames);
    const bytes = batch.frames.length;
    if (this.gotEvents + events > this.grantedEvents || this.gotBytes + bytes > this.grantedBytes) {
      throw new Error(
        `batch ${number} met ${events} records in ${bytes} bytes, wanted at most ${this.grantedEvents - this.gotEvents} ` +
        `in ${this.grantedBytes - this.gotBytes}: no more credit was granted`);
    }
    this.taken = number;
    this.gotEvents += events;
    this.gotBytes += bytes;
    this.hand.push({ number, events, bytes, done: false });
    return true;
  }

  /** Notes that a batch was handled; acknowledged is what has been handled without a gap. */
  done(number) {
    const found = this.hand.find((each) => each.number === number);
    if (found) found.done = true;
    while (this.hand.length && this.hand[0].done) {
      const { number: handled, events, bytes } = this.hand.shift();
      this.handled = handled;
      this.handledEvents += events;
      this.handledBytes += bytes;
    }
    this.flush();
  }

  /** Hands a batch to the handler that asked for it; returns whether there is one. */
  answered(batch) {
    const asker = this.asked.get(batch.answers);
    if (!asker) return false;
    this.asked.delete(batch.answers);
    asker.resolve(batch);
    return true;
  }

  /** Queues a batch: it is numbered and sent once the host has room for it. */
  put(batch, asker) {
    this.waiting.push({ batch, asker, events: batch.frames ? countRecords(batch.frames) : 0 });
    this.flush();
  }

  /** Sends all that there is room for, and tells the host what it is owed. */
  flush() {
    while (this.call && this.waiting.length) {
      const { batch, asker, events } = this.waiting[0];
      const bytes = batch.frames ? batch.frames.length : 0;
      if (bytes && (this.sentEvents + events > this.mayEvents || this.sentBytes + bytes > this.mayBytes)) break;
      this.waiting.shift();
      this.sent += 1;
      this.sentEvents += events;
      this.sentBytes += bytes;
      if (asker) this.asked.set(this.sent, asker);
      this.call.write(this.tell({ ...batch, number: this.sent }));
    }
    if (this.call && this.owed()) this.call.write(this.tell({}));
  }

  owed() {
    const usedEvents = this.handledEvents + CREDIT_EVENTS - this.grantedEvents;
    const usedBytes = this.handledBytes + CREDIT_BYTES - this.grantedBytes;
    return this.told < 0 || 2 * usedEvents >= CREDIT_EVENTS || 2 * usedBytes >= CREDIT_BYTES ||
      this.handled - this.told >= ACK_BATCHES || (this.handled > this.told && this.hand.length === 0);
  }

  tell(batch) {
    this.grantedEvents = this.handledEvents + CREDIT_EVENTS;
    this.grantedBytes = this.handledBytes + CREDIT_BYTES;
    this.told = this.handled;
    return { ...batch, acked: this.handled, creditEvents: this.grantedEvents, creditBytes: this.grantedBytes };
  }
}

module.exports = { Lane };
