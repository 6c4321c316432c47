// SPDX-License-Identifier: Apache-2.0

// What the examples have no use for: a market outside, a check, a handler that fails, a timer that is forgotten.
package main

import (
	"fmt"

	"penstock"
)

type outside struct {
	ctx *penstock.Context
}

func (o *outside) On(event penstock.Record) {
	switch e := event.(type) {
	case *penstock.Order:
		if e.QtyLots == 13 {
			panic("thirteen lots")
		}
		report := penstock.NewExecutionReport()
		report.OrderID, report.ListingID, report.Kind, report.VenueRef = e.OrderID, e.ListingID, penstock.ReportKindAccepted, e.OrderID
		o.ctx.AfterWritten(func() { go o.ctx.FromOutside(&report) })
	case *penstock.Quote:
		kept, gone := o.ctx.SetTimer(o.ctx.NowNs()+5, 71), o.ctx.SetTimer(o.ctx.NowNs()+6, 72)
		o.ctx.ForgetTimer(gone)
		o.ctx.Log(penstock.SeverityWarning, fmt.Sprintf("timers %d and %d", kept, gone))
		mark := penstock.NewTrade()
		mark.ListingID, mark.PriceTicks = e.ListingID, e.BidTicks
		o.ctx.Say(&mark)
	}
}

func (o *outside) CheckOrder(order *penstock.Order) penstock.CheckVerdict {
	verdict := penstock.NewCheckVerdict()
	verdict.OrderID, verdict.CheckID, verdict.Result = order.OrderID, o.ctx.Instance.PluginId, penstock.CheckResultPassed
	if order.QtyLots > 10 {
		verdict.Result, verdict.Reason, verdict.Met, verdict.Limit = penstock.CheckResultRefused, penstock.ReasonQtyMax, order.QtyLots, 10
	}
	return verdict
}

func main() {
	penstock.Serve(penstock.Plugin{
		ID: "outside", Version: "1", Kind: "venue", Hears: []penstock.Record{&penstock.Order{}, &penstock.Quote{}},
		New: func(ctx *penstock.Context, _ []byte) penstock.Handler { return &outside{ctx} },
	})
}
