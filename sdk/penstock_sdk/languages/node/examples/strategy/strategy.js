// SPDX-License-Identifier: Apache-2.0
// A strategy in JavaScript: buys where the price has fallen below its slow average, sells where it has risen above it.
'use strict';

const {
  serve, ABSENT, ExecutionReport, Order, OrderKind, OrderState, Quote, ReportKind, Side, Tradability,
} = require('penstock-plugin');

const configSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    band_ticks: { type: 'integer', minimum: 1, default: 15 },
    lots: { type: 'integer', minimum: 1, default: 1 },
    weight: { type: 'integer', minimum: 2, default: 8 },
  },
};

class Strategy {
  constructor(ctx, config) {
    this.ctx = ctx;
    this.bandTicks = BigInt(config.band_ticks);
    this.lots = BigInt(config.lots);
    this.weight = BigInt(config.weight);
    /** Averages of bid plus ask, times 256, so that all of it is exact; by listing. */
    this.averages = new Map();
    /** Listings with an order under way: one at a time. */
    this.busy = new Set();
  }

  onQuote(quote) {
    const { listing_id: id, bid_ticks: bid, ask_ticks: ask } = quote;
    if (quote.bid_lots === 0n || quote.ask_lots === 0n || bid === ABSENT || ask === ABSENT) return;
    if (quote.tradability !== Tradability.TRADABLE) return;
    const half = (bid + ask) * 256n;
    const average = this.averages.get(id) ?? half;
    this.averages.set(id, average + (half - average) / this.weight);
    const away = (half - average) / 512n;
    if (this.busy.has(id) || (away < this.bandTicks && away > -this.bandTicks)) return;
    const [side, price] = away > 0n ? [Side.SELL, bid] : [Side.BUY, ask];
    this.busy.add(id);
    this.ctx.say(this.ctx.intent(id, side, price, this.lots, { kind: OrderKind.IOC, decision_half_ticks: bid + ask }));
  }

  onExecutionReport(report) {
    if (report.kind !== ReportKind.ACCEPTED) this.busy.delete(report.listing_id);
  }

  onOrder(order) {
    const over = order.state >= OrderState.FILLED && order.state <= OrderState.REJECTED;
    if (over || order.state === OrderState.REFUSED) this.busy.delete(order.listing_id);
  }

  snapshot() {
    return { averages: [...this.averages], busy: [...this.busy] };
  }

  restore(state) {
    this.averages = new Map(state.averages.map(([id, average]) => [Number(id), average]));
    this.busy = new Set(state.busy.map(Number));
  }
}

serve({
  id: 'node_strategy', version: '0.5.0', kind: 'strategy', deterministic: true, configSchema, Handler: Strategy,
  hears: [Quote, ExecutionReport, Order],
});
