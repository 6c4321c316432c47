// SPDX-License-Identifier: Apache-2.0
// What the examples have no use for: a market outside, a check, a handler that fails, a timer that is forgotten.
'use strict';

const { serve, CheckResult, CheckVerdict, ExecutionReport, Order, Quote, Reason, ReportKind, Severity, Trade } = require('penstock-plugin');

class Outside {
  constructor(ctx) {
    this.ctx = ctx;
  }

  onOrder({ order_id, listing_id, qty_lots }) {
    if (qty_lots === 13n) throw new Error('thirteen lots');
    const report = ExecutionReport({ order_id, listing_id, kind: ReportKind.ACCEPTED, venue_ref: order_id });
    this.ctx.afterWritten(() => { setImmediate(() => this.ctx.fromOutside(report)); });
  }

  onQuote({ listing_id, bid_ticks }) {
    const [kept, gone] = [this.ctx.setTimer(this.ctx.nowNs + 5n, 71n), this.ctx.setTimer(this.ctx.nowNs + 6n, 72n)];
    this.ctx.forgetTimer(gone);
    this.ctx.log(Severity.WARNING, `timers ${kept} and ${gone}`);
    this.ctx.say(Trade({ listing_id, price_ticks: bid_ticks }));
  }

  checkOrder({ order_id, qty_lots }) {
    const check_id = this.ctx.instance.pluginId;
    if (qty_lots <= 10n) return CheckVerdict({ order_id, check_id, result: CheckResult.PASSED });
    return CheckVerdict({ order_id, check_id, result: CheckResult.REFUSED, reason: Reason.QTY_MAX, met: qty_lots, limit: 10n });
  }
}

serve({ id: 'outside', version: '1', kind: 'venue', hears: [Order, Quote], Handler: Outside });
