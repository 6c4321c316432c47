// SPDX-License-Identifier: Apache-2.0

// A venue in Go: lists every contract that is announced, quotes both sides around a seeded random walk, and fills what
// crosses. The market place is in here, so a restart restores it.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"sort"

	"penstock"
)

const (
	minuteNs  = int64(60_000_000_000)
	quarterNs = 15 * minuteNs
	ticksMax  = 999_900
)

type config struct {
	SpreadTicks int64 `json:"spread_ticks"`
	LotsShown   int64 `json:"lots_shown"`
	EveryS      int64 `json:"every_s"`
}

const configSchema = `{"type": "object", "additionalProperties": false, "properties": {
 "spread_ticks": {"type": "integer", "minimum": 1, "default": 20},
 "lots_shown": {"type": "integer", "minimum": 1, "default": 50},
 "every_s": {"type": "integer", "minimum": 1, "default": 30}}}`

func readConfig(text []byte) (config, []string) {
	c := config{SpreadTicks: 20, LotsShown: 50, EveryS: 30}
	faults := penstock.ReadConfig(text, &c)
	for key, value := range map[string]int64{"spread_ticks": c.SpreadTicks, "lots_shown": c.LotsShown, "every_s": c.EveryS} {
		if value < 1 {
			faults = append(faults, fmt.Sprintf("%s: met %d, wanted 1 or more", key, value))
		}
	}
	sort.Strings(faults)
	return c, faults
}

// Book is one listing's market: what a restart must know is exported, and goes into the snapshot.
type Book struct {
	MidTicks int64
	Moves    int64
	ClosesNs int64
	Resting  map[int64]*penstock.Order
}

type venue struct {
	ctx    *penstock.Context
	config config
	Books  map[uint32]*Book
	Trades int64
}

func (v *venue) OnStart(resumed bool) {
	if resumed {
		return
	}
	v.ctx.SetTimer(v.ctx.NowNs()+v.config.EveryS*1_000_000_000, 0)
	for _, contract := range v.ctx.Contracts() {
		v.list(contract)
	}
}

func (v *venue) On(event penstock.Record) {
	switch e := event.(type) {
	case *penstock.ContractDefinition:
		v.list(e)
	case *penstock.Timer:
		v.ctx.SetTimer(e.DueNs+v.config.EveryS*1_000_000_000, 0)
		v.move()
	case *penstock.Order:
		v.order(e)
	case *penstock.Reconcile:
		v.reconcile(e)
	}
}

func (v *venue) list(c *penstock.ContractDefinition) {
	name := v.ctx.Instance.Name + " " + c.Name
	id := v.ctx.ID(penstock.IdKindListing, name)
	closesNs := c.DeliveryStartNs - 5*minuteNs
	if closesNs <= v.ctx.NowNs() {
		return
	}
	if v.Books[id] == nil {
		v.Books[id] = &Book{MidTicks: 5_000, ClosesNs: closesNs, Resting: map[int64]*penstock.Order{}}
	}
	if v.ctx.Listing(id) != nil {
		return // announced before, as in a session before this one
	}
	quarters := (c.DeliveryEndNs - c.DeliveryStartNs) / quarterNs
	listing := penstock.NewListingDefinition()
	listing.ListingID, listing.ContractID, listing.VenueID = int64(id), c.ContractID, int64(v.ctx.Instance.PluginId)
	listing.Name, listing.TickMicro, listing.LotKw = name, 10_000, 100
	listing.PriceMinTicks, listing.PriceMaxTicks = -ticksMax, ticksMax
	listing.OpensNs, listing.GateClosureNs = v.ctx.NowNs(), closesNs
	listing.CashMicroPerLotTick = 250 * quarters // 10,000 per MWh × 0.1 MW × a quarter of an hour = 250
	listing.IntervalStartNs, listing.IntervalNs, listing.IntervalCount = c.DeliveryStartNs, quarterNs, quarters
	v.ctx.Say(&listing, v.quote(id))
}

// move takes each open listing's price one step on; the step follows from the run's seed, the listing and its count.
func (v *venue) move() {
	ids := make([]int, 0, len(v.Books))
	for id := range v.Books {
		ids = append(ids, int(id))
	}
	sort.Ints(ids)
	for _, each := range ids {
		id, book := uint32(each), v.Books[uint32(each)]
		if v.ctx.NowNs() >= book.ClosesNs {
			v.close(id, book)
			continue
		}
		book.Moves++
		draw := rand.New(rand.NewSource(int64(v.ctx.Instance.RunSeed) ^ int64(id)<<32 ^ book.Moves))
		book.MidTicks += int64(draw.Intn(41) - 20)
		v.ctx.Say(v.quote(id))
		for _, order := range book.sorted() {
			v.match(id, book, order)
		}
	}
}

func (b *Book) sorted() []*penstock.Order {
	orders := make([]*penstock.Order, 0, len(b.Resting))
	for _, order := range b.Resting {
		orders = append(orders, order)
	}
	sort.Slice(orders, func(i, j int) bool { return orders[i].OrderID < orders[j].OrderID })
	return orders
}

func (v *venue) quote(id uint32) *penstock.Quote {
	quote, mid := penstock.NewQuote(), v.Books[id].MidTicks
	quote.ListingID, quote.Tradability = id, penstock.TradabilityTradable
	quote.BidTicks, quote.BidLots = mid-v.config.SpreadTicks/2, v.config.LotsShown
	quote.AskTicks, quote.AskLots = mid+(v.config.SpreadTicks+1)/2, v.config.LotsShown
	return &quote
}

func (v *venue) order(order *penstock.Order) {
	book := v.Books[order.ListingID]
	switch order.Action {
	case penstock.IntentActionNew:
		if book != nil && book.Resting[order.OrderID] != nil {
			return // the same order again: it stands already
		}
		if order.State == penstock.OrderStateInDoubt { // routed before a crash: it is not here, and is never sent again
			v.report(order, penstock.ReportKindCancelled, penstock.ReasonUnsolicited)
			return
		}
		if reason := v.refusal(book, order); reason != penstock.ReasonNone {
			v.report(order, penstock.ReportKindRejected, reason)
			return
		}
		v.report(order, penstock.ReportKindAccepted, penstock.ReasonNone)
		book.Resting[order.OrderID] = order
		if !v.match(order.ListingID, book, order) && order.Kind != penstock.OrderKindLimit {
			delete(book.Resting, order.OrderID)
			v.report(order, penstock.ReportKindCancelled, penstock.ReasonNoLiquidity)
		}
	case penstock.IntentActionAmend:
		v.report(order, penstock.ReportKindCancelRejected, penstock.ReasonNotAllowed)
	case penstock.IntentActionCancel:
		if book == nil || book.Resting[order.OrderID] == nil {
			v.report(order, penstock.ReportKindCancelRejected, penstock.ReasonUnknownOrder)
			return
		}
		delete(book.Resting, order.OrderID)
		v.report(order, penstock.ReportKindCancelled, penstock.ReasonNone)
	}
}

func (v *venue) refusal(book *Book, order *penstock.Order) penstock.Reason {
	priced := order.PriceTicks != penstock.Absent
	switch {
	case book == nil || v.ctx.NowNs() >= book.ClosesNs:
		return penstock.ReasonGateClosed
	case order.Side != penstock.SideBuy && order.Side != penstock.SideSell || order.QtyLots < 1:
		return penstock.ReasonMalformed
	case order.Kind != penstock.OrderKindLimit && order.Kind != penstock.OrderKindIoc && order.Kind != penstock.OrderKindMarket:
		return penstock.ReasonNotOffered
	case priced == (order.Kind == penstock.OrderKindMarket):
		return penstock.ReasonMalformed
	case priced && (order.PriceTicks > ticksMax || order.PriceTicks < -ticksMax):
		return penstock.ReasonPriceBounds
	}
	return penstock.ReasonNone
}

// match fills an order whole where it crosses the quote, at the quote's price; a larger one than is shown rests.
func (v *venue) match(id uint32, book *Book, order *penstock.Order) bool {
	quote := v.quote(id)
	price, crosses := quote.AskTicks, order.PriceTicks == penstock.Absent || order.PriceTicks >= quote.AskTicks
	if order.Side == penstock.SideSell {
		price, crosses = quote.BidTicks, order.PriceTicks == penstock.Absent || order.PriceTicks <= quote.BidTicks
	}
	if !crosses || order.QtyLots > v.config.LotsShown {
		return false
	}
	delete(book.Resting, order.OrderID)
	v.Trades++
	fill := penstock.NewExecutionReport()
	fill.OrderID, fill.ListingID, fill.Kind, fill.Side = order.OrderID, id, penstock.ReportKindFill, order.Side
	fill.Liquidity, fill.LastTicks, fill.LastLots, fill.TradeID = penstock.LiquidityTaker, price, order.QtyLots, v.Trades
	trade := penstock.NewTrade()
	trade.ListingID, trade.PriceTicks, trade.QtyLots, trade.TradeID = id, price, order.QtyLots, v.Trades
	v.ctx.Say(&fill, &trade)
	return true
}

func (v *venue) report(order *penstock.Order, kind penstock.ReportKind, reason penstock.Reason) {
	report := penstock.NewExecutionReport()
	report.OrderID, report.ListingID, report.Side = order.OrderID, order.ListingID, order.Side
	report.Kind, report.Reason = kind, reason
	if kind == penstock.ReportKindAccepted {
		report.LeavesLots, report.VenueRef = order.QtyLots, order.OrderID
	}
	v.ctx.Say(&report)
}

func (v *venue) close(id uint32, book *Book) {
	for _, order := range book.sorted() {
		v.report(order, penstock.ReportKindExpired, penstock.ReasonGateClosed)
	}
	delete(v.Books, id)
}

// reconcile tells where the orders stand that we are asked about: what the books do not hold has ended.
func (v *venue) reconcile(asked *penstock.Reconcile) {
	if asked.VenueID != int64(v.ctx.Instance.PluginId) {
		return
	}
	answer := penstock.NewReconciled()
	answer.VenueID, answer.Epoch = asked.VenueID, asked.Epoch
	for _, each := range asked.Orders {
		if v.rests(each[0]) {
			answer.Confirmed++
			continue
		}
		answer.Corrected++
		v.report(&penstock.Order{OrderID: each[0]}, penstock.ReportKindCancelled, penstock.ReasonUnsolicited)
	}
	v.ctx.Say(&answer)
}

func (v *venue) rests(orderID int64) bool {
	for _, book := range v.Books {
		if book.Resting[orderID] != nil {
			return true
		}
	}
	return false
}

func (v *venue) Snapshot() ([]byte, error) { return json.Marshal(v) }

func (v *venue) Restore(state []byte) error { return json.Unmarshal(state, v) }

func main() {
	penstock.Serve(penstock.Plugin{
		ID: "go_venue", Version: "0.5.0", Kind: "venue", Embedded: true, Deterministic: true, ConfigSchema: configSchema,
		Hears: []penstock.Record{
			&penstock.Order{}, &penstock.ContractDefinition{}, &penstock.Timer{}, &penstock.Reconcile{},
		},
		Faults: func(text []byte) []string { _, faults := readConfig(text); return faults },
		New: func(ctx *penstock.Context, text []byte) penstock.Handler {
			c, _ := readConfig(text)
			return &venue{ctx: ctx, config: c, Books: map[uint32]*Book{}}
		},
	})
}
