// SPDX-License-Identifier: Apache-2.0
// A venue in JavaScript: lists every contract that is announced, quotes both sides around a seeded random walk, and
// fills what crosses. The market place is in here, so a restart restores it.
'use strict';

const {
  serve, ABSENT, ContractDefinition, ExecutionReport, IdKind, IntentAction, Liquidity, ListingDefinition, Order, OrderKind,
  OrderState, Quote, Reason, Reconcile, Reconciled, ReportKind, Side, Timer, Trade, Tradability,
} = require('penstock-plugin');

const MINUTE_NS = 60_000_000_000n;
const QUARTER_NS = 15n * MINUTE_NS;
const TICKS_MAX = 999_900n;

const configSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    spread_ticks: { type: 'integer', minimum: 1, default: 20 },
    lots_shown: { type: 'integer', minimum: 1, default: 50 },
    every_s: { type: 'integer', minimum: 1, default: 30 },
  },
};

/** Returns a number in -20 … 20 that follows from the run's seed, the listing and the count of its moves. */
function step(seed, listingId, moves) {
  let x = (seed ^ (BigInt(listingId) << 32n) ^ moves) & 0xffff_ffff_ffff_ffffn;
  x = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffff_ffff_ffff_ffffn;
  x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & 0xffff_ffff_ffff_ffffn;
  return ((x ^ (x >> 31n)) % 41n) - 20n;
}

class Venue {
  constructor(ctx, config) {
    this.ctx = ctx;
    this.everyNs = BigInt(config.every_s) * 1_000_000_000n;
    this.spreadTicks = BigInt(config.spread_ticks);
    this.lotsShown = BigInt(config.lots_shown);
    /** By listing: { midTicks, moves, closesNs, resting }; resting is a Map of orders by their id. */
    this.books = new Map();
    this.trades = 0n;
  }

  async onStart(resumed) {
    if (resumed) return;
    this.ctx.setTimer(this.ctx.nowNs + this.everyNs);
    for (const contract of this.ctx.contracts.values()) await this.onContractDefinition(contract);
  }

  async onContractDefinition(contract) {
    const { ctx } = this;
    const closesNs = contract.delivery_start_ns - 5n * MINUTE_NS;
    const name = `${ctx.instance.name} ${contract.name}`;
    const id = await ctx.id(IdKind.LISTING, name);
    if (closesNs <= ctx.nowNs) return;
    if (!this.books.has(id)) this.books.set(id, { midTicks: 5_000n, moves: 0n, closesNs, resting: new Map() });
    if (ctx.listings.has(id)) return;  // announced before, as in a session before this one
    const quarters = (contract.delivery_end_ns - contract.delivery_start_ns) / QUARTER_NS;
    ctx.say(ListingDefinition({
      listing_id: id, contract_id: contract.contract_id, venue_id: ctx.instance.pluginId, name, tick_micro: 10_000n,
      lot_kw: 100, price_min_ticks: -TICKS_MAX, price_max_ticks: TICKS_MAX, opens_ns: ctx.nowNs, gate_closure_ns: closesNs,
      cash_micro_per_lot_tick: 250n * quarters,  // 10,000 per MWh × 0.1 MW × a quarter of an hour = 250
      interval_start_ns: contract.delivery_start_ns, interval_ns: QUARTER_NS, interval_count: Number(quarters),
    }), this.quote(id));
  }

  onTimer(timer) {
    this.ctx.setTimer(timer.due_ns + this.everyNs);
    for (const id of [...this.books.keys()].sort((a, b) => a - b)) {
      const book = this.books.get(id);
      if (this.ctx.nowNs >= book.closesNs) {
        this.close(id, book);
        continue;
      }
      book.moves += 1n;
      book.midTicks += step(this.ctx.instance.runSeed, id, book.moves);
      this.ctx.say(this.quote(id));
      for (const order of [...book.resting.values()]) this.match(book, order);
    }
  }

  quote(id) {
    const { midTicks } = this.books.get(id);
    return Quote({
      listing_id: id, tradability: Tradability.TRADABLE, bid_ticks: midTicks - this.spreadTicks / 2n,
      bid_lots: this.lotsShown, ask_ticks: midTicks + (this.spreadTicks + 1n) / 2n, ask_lots: this.lotsShown,
    });
  }

  onOrder(order) {
    const book = this.books.get(order.listing_id);
    if (order.action === IntentAction.NEW) {
      if (book && book.resting.has(order.order_id)) return;  // the same order again: it stands already
      if (order.state === OrderState.IN_DOUBT) {  // routed before a crash: it is not here, and is never sent again
        this.report(order, ReportKind.CANCELLED, Reason.UNSOLICITED);
        return;
      }
      const refusal = this.refusal(book, order);
      if (refusal !== Reason.NONE) {
        this.report(order, ReportKind.REJECTED, refusal);
        return;
      }
      this.report(order, ReportKind.ACCEPTED, Reason.NONE);
      book.resting.set(order.order_id, order);
      if (!this.match(book, order) && order.kind !== OrderKind.LIMIT) {
        book.resting.delete(order.order_id);
        this.report(order, ReportKind.CANCELLED, Reason.NO_LIQUIDITY);
      }
    } else if (order.action === IntentAction.AMEND) {
      this.report(order, ReportKind.CANCEL_REJECTED, Reason.NOT_ALLOWED);
    } else if (order.action === IntentAction.CANCEL) {
      const known = book !== undefined && book.resting.delete(order.order_id);
      if (known) this.report(order, ReportKind.CANCELLED, Reason.NONE);
      else this.report(order, ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER);
    }
  }

  refusal(book, order) {
    const { price_ticks: price, kind } = order;
    if (!book || this.ctx.nowNs >= book.closesNs) return Reason.GATE_CLOSED;
    if (![Side.BUY, Side.SELL].includes(order.side) || order.qty_lots < 1n) return Reason.MALFORMED;
    if (![OrderKind.LIMIT, OrderKind.IOC, OrderKind.MARKET].includes(kind)) return Reason.NOT_OFFERED;
    if ((price === ABSENT) !== (kind === OrderKind.MARKET)) return Reason.MALFORMED;
    return price !== ABSENT && (price > TICKS_MAX || price < -TICKS_MAX) ? Reason.PRICE_BOUNDS : Reason.NONE;
  }

  /** Fills an order whole where it crosses the quote, at the quote's price; a larger one than is shown rests. */
  match(book, order) {
    const { bid_ticks: bid, ask_ticks: ask } = this.quote(order.listing_id);
    const buys = order.side === Side.BUY;
    const crosses = order.price_ticks === ABSENT || (buys ? order.price_ticks >= ask : order.price_ticks <= bid);
    if (!crosses || order.qty_lots > this.lotsShown) return false;
    book.resting.delete(order.order_id);
    this.trades += 1n;
    const price = buys ? ask : bid;
    this.ctx.say(
      ExecutionReport({
        order_id: order.order_id, listing_id: order.listing_id, kind: ReportKind.FILL, side: order.side,
        liquidity: Liquidity.TAKER, last_ticks: price, last_lots: order.qty_lots, trade_id: this.trades,
      }),
      Trade({ listing_id: order.listing_id, price_ticks: price, qty_lots: order.qty_lots, trade_id: this.trades }));
    return true;
  }

  report(order, kind, reason) {
    const stands = kind === ReportKind.ACCEPTED ? { leaves_lots: order.qty_lots, venue_ref: order.order_id } : {};
    this.ctx.say(ExecutionReport({
      order_id: order.order_id, listing_id: order.listing_id, side: order.side, kind, reason, ...stands,
    }));
  }

  close(id, book) {
    for (const order of book.resting.values()) this.report(order, ReportKind.EXPIRED, Reason.GATE_CLOSED);
    this.books.delete(id);
  }

  onReconcile(asked) {
    if (asked.venue_id !== this.ctx.instance.pluginId) return;
    // What the books do not hold has ended.
    const gone = asked.orders.filter(([id]) => ![...this.books.values()].some((book) => book.resting.has(id)));
    for (const [id] of gone) this.report(Order({ order_id: id }), ReportKind.CANCELLED, Reason.UNSOLICITED);
    const confirmed = asked.orders.length - gone.length;
    this.ctx.say(Reconciled({ venue_id: asked.venue_id, epoch: asked.epoch, confirmed, corrected: gone.length }));
  }

  snapshot() {
    const books = [...this.books].map(([id, book]) => [
      id, book.midTicks, book.moves, book.closesNs, [...book.resting.values()].map((order) => Order.write(order)),
    ]);
    return { books, trades: this.trades };
  }

  restore(state) {
    this.trades = state.trades;
    for (const [id, midTicks, moves, closesNs, orders] of state.books) {
      const resting = new Map(orders.map((body) => Order.read(body)).map((order) => [order.order_id, order]));
      this.books.set(Number(id), { midTicks, moves, closesNs, resting });
    }
  }
}

serve({
  id: 'node_venue', version: '0.5.0', kind: 'venue', embedded: true, deterministic: true, configSchema,
  Handler: Venue,
  hears: [Order, ContractDefinition, Timer, Reconcile],
});
