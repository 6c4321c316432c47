// SPDX-License-Identifier: Apache-2.0

// A strategy in Go: buys where the price has fallen below its slow average, sells where it has risen above it.
package main

import (
	"encoding/json"
	"fmt"

	"penstock"
)

type config struct {
	BandTicks int64 `json:"band_ticks"`
	Lots      int64 `json:"lots"`
	Weight    int64 `json:"weight"`
}

const configSchema = `{"type": "object", "additionalProperties": false, "properties": {
 "band_ticks": {"type": "integer", "minimum": 1, "default": 15},
 "lots": {"type": "integer", "minimum": 1, "default": 1},
 "weight": {"type": "integer", "minimum": 2, "default": 8}}}`

func readConfig(text []byte) (config, []string) {
	c := config{BandTicks: 15, Lots: 1, Weight: 8}
	faults := penstock.ReadConfig(text, &c)
	if c.BandTicks < 1 {
		faults = append(faults, fmt.Sprintf("band_ticks: met %d, wanted 1 or more", c.BandTicks))
	}
	if c.Lots < 1 {
		faults = append(faults, fmt.Sprintf("lots: met %d, wanted 1 or more", c.Lots))
	}
	if c.Weight < 2 {
		faults = append(faults, fmt.Sprintf("weight: met %d, wanted 2 or more", c.Weight))
	}
	return c, faults
}

type strategy struct {
	ctx    *penstock.Context
	config config
	// Averages of bid plus ask, times 256, so that all of it is exact.
	Averages map[uint32]int64
	// Listings with an order under way: one at a time.
	Busy map[uint32]bool
}

func (s *strategy) On(event penstock.Record) {
	switch e := event.(type) {
	case *penstock.Quote:
		s.quote(e)
	case *penstock.ExecutionReport:
		if e.Kind != penstock.ReportKindAccepted {
			delete(s.Busy, e.ListingID)
		}
	case *penstock.Order:
		if e.State == penstock.OrderStateRefused || e.State >= penstock.OrderStateFilled && e.State <= penstock.OrderStateRejected {
			delete(s.Busy, e.ListingID)
		}
	}
}

func (s *strategy) quote(q *penstock.Quote) {
	if q.BidLots == 0 || q.AskLots == 0 || q.BidTicks == penstock.Absent || q.AskTicks == penstock.Absent || q.Tradability != penstock.TradabilityTradable {
		return
	}
	half := (q.BidTicks + q.AskTicks) * 256
	average, known := s.Averages[q.ListingID]
	if !known {
		average = half
	}
	s.Averages[q.ListingID] = average + (half-average)/s.config.Weight
	away := (half - average) / 512
	if s.Busy[q.ListingID] || away < s.config.BandTicks && away > -s.config.BandTicks {
		return
	}
	side, price := penstock.SideBuy, q.AskTicks
	if away > 0 {
		side, price = penstock.SideSell, q.BidTicks
	}
	intent := s.ctx.NewIntent(q.ListingID, side, price, s.config.Lots)
	intent.Kind, intent.DecisionHalfTicks = penstock.OrderKindIoc, q.BidTicks+q.AskTicks
	s.Busy[q.ListingID] = true
	s.ctx.Say(intent)
}

func (s *strategy) Snapshot() ([]byte, error) { return json.Marshal(s) }

func (s *strategy) Restore(state []byte) error { return json.Unmarshal(state, s) }

func main() {
	penstock.Serve(penstock.Plugin{
		ID: "go_strategy", Version: "0.5.0", Kind: "strategy", Deterministic: true, ConfigSchema: configSchema,
		Hears:  []penstock.Record{&penstock.Quote{}, &penstock.ExecutionReport{}, &penstock.Order{}},
		Faults: func(text []byte) []string { _, faults := readConfig(text); return faults },
		New: func(ctx *penstock.Context, text []byte) penstock.Handler {
			c, _ := readConfig(text)
			return &strategy{ctx: ctx, config: c, Averages: map[uint32]int64{}, Busy: map[uint32]bool{}}
		},
	})
}
