// SPDX-License-Identifier: Apache-2.0

// Package penstock serves a Penstock plugin that is written in Go: records, streams, start-up. A plugin is a Plugin
// that makes a Handler; main hands it to Serve. See examples/ beside this folder.
package penstock

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	pb "penstock/pluginv1"
)

// Plugin says what a plugin is, and makes it.
type Plugin struct {
	// ID and Kind as in the manifest, Kind one of venue, feed, model, strategy, execution, risk, compliance, portfolio …
	ID, Version, Kind string
	// ContractMin and ContractMax are the majors of the kind's contract; 1 where they are left out.
	ContractMin, ContractMax uint32
	// Hears lists an empty record of each schema that the handler wants. Names and definitions come in any case.
	Hears []Record
	// ConfigSchema is the JSON Schema of the configuration; empty: it takes none.
	ConfigSchema string
	// Embedded: a venue that is the market place itself; Snapshot and Restore then keep its book.
	Embedded bool
	// Deterministic: the same events give the same answers, in every process.
	Deterministic bool
	// Faults returns all that is wrong with a configuration, as "KEY: met …, wanted …"; nil: everything will do.
	Faults func(config []byte) []string
	// New makes the handler. It may say nothing yet: OnStart is the place.
	New func(ctx *Context, config []byte) Handler
}

// Handler hears events, one at a time. What it says goes through its Context; a panic is a fault of this event alone.
type Handler interface {
	On(event Record)
}

// Starter is a Handler that says something at its start; resumed: it goes on with a restored state, or after a stop.
type Starter interface {
	OnStart(resumed bool)
}

// Stopper is a Handler that says something last.
type Stopper interface {
	OnStop()
}

// Keeper is a Handler whose state a restart keeps.
type Keeper interface {
	Snapshot() ([]byte, error)
	Restore(state []byte) error
}

// Checker is a Handler that answers whether an order may leave; of kinds risk and compliance.
type Checker interface {
	CheckOrder(order *Order) CheckVerdict
}

// Context is all that a handler has of the world. Only FromOutside may be called from other goroutines.
type Context struct {
	// Instance says who the plugin is in this run: its name, ids, seed, folders.
	Instance *pb.Instance
	engine   *engine
	nowNs    int64
	seq      int64
	root     int64
	outside  bool
	said     pb.Batch
	events   uint64
	records  uint32
	orders   pb.Batch
	ordersN  uint64
	hearing  bool
	lane     *lane
	known    catalog
	timers   map[uint64]*pb.TimerSet
	lastTime uint64
	intents  int64
	effects  []effect
}

type effect struct {
	seq int64
	do  func()
}

// NowNs is the run's time, ns UTC.
func (c *Context) NowNs() int64 { return c.nowNs }

// Seq is the number of the event at hand.
func (c *Context) Seq() int64 { return c.seq }

// Say tells the kernel of these records, in this order.
func (c *Context) Say(records ...Record) {
	if c.hearing {
		return
	}
	for _, r := range records {
		c.known.learn(r)
		topic := r.Schema().Topic
		if !c.Instance.Simulated && (strings.HasPrefix(topic, "order.") || strings.HasPrefix(topic, "risk.")) {
			c.orders.Frames = c.frame(c.orders.Frames, r)
			c.ordersN++
			continue
		}
		c.said.Frames = c.frame(c.said.Frames, r)
		c.events++
		c.records++
	}
}

// frame stamps what is said with the event that it comes of; the kernel numbers it.
func (c *Context) frame(to []byte, r Record) []byte {
	cause := c.seq
	if c.outside {
		cause = Absent
	}
	return appendFrame(to, r, Header{
		Origin: 4, AtNs: c.nowNs, CauseSeq: cause, CorrelationSeq: c.root, Producer: uint16(c.Instance.PluginId),
	})
}

// ID returns the id of a name; the kernel gives it one when it is new. The same name has the same id in every session.
func (c *Context) ID(kind IdKind, name string) uint32 {
	if id, known := c.known.ids[kind][name]; known {
		return id
	}
	c.engine.ask(kind, name)
	id, known := c.known.ids[kind][name]
	if !known {
		panic(fmt.Sprintf("the host gave no id for %q of kind %d", name, kind))
	}
	return id
}

// NameOf returns what an id names; empty where it is unknown.
func (c *Context) NameOf(kind IdKind, id uint32) string { return c.known.names[kind][id] }

// Listing returns what was announced of a listing, or nil.
func (c *Context) Listing(id uint32) *ListingDefinition { return c.known.listings[id] }

// Contract returns what was announced of a contract, or nil.
func (c *Context) Contract(id uint32) *ContractDefinition { return c.known.contracts[id] }

// Contracts returns every contract announced so far, by id.
func (c *Context) Contracts() []*ContractDefinition {
	var out []*ContractDefinition
	for _, id := range sortedIDs(len(c.known.contracts), func(do func(uint32)) {
		for id := range c.known.contracts {
			do(id)
		}
	}) {
		out = append(out, c.known.contracts[id])
	}
	return out
}

// Zone returns what was announced of a zone, or nil.
func (c *Context) Zone(id uint32) *ZoneDefinition { return c.known.zones[id] }

// SetTimer asks for a Timer event at dueNs that bears tag; returns its timer_id.
func (c *Context) SetTimer(dueNs, tag int64) uint64 {
	c.lastTime++
	timer := &pb.TimerSet{TimerId: c.lastTime, DueNs: dueNs, Tag: tag}
	c.timers[timer.TimerId] = timer
	if !c.hearing {
		c.said.Timers = append(c.said.Timers, timer)
	}
	return timer.TimerId
}

// ForgetTimer takes a timer back; one that has fired is no error.
func (c *Context) ForgetTimer(timerID uint64) {
	if _, waits := c.timers[timerID]; !waits {
		return
	}
	delete(c.timers, timerID)
	if !c.hearing {
		c.said.TimersForgotten = append(c.said.TimersForgotten, timerID)
	}
}

// Log writes a line for people.
func (c *Context) Log(severity Severity, text string) {
	c.said.Log = append(c.said.Log, &pb.LogLine{Severity: uint32(severity), Text: text})
}

// AfterWritten calls do once the event at hand is in the journal: the place to send to a market outside. Never for
// events of the past.
func (c *Context) AfterWritten(do func()) {
	if !c.hearing {
		c.effects = append(c.effects, effect{c.seq, do})
	}
}

// FromOutside tells the kernel of what came by itself, as a market's answers. Safe from any goroutine. Under a
// simulated clock nothing comes from outside: it panics.
func (c *Context) FromOutside(records ...Record) { c.engine.fromOutside(records) }

// NewIntent returns the wish for a limit order in the name of this instance; change its Kind for others.
func (c *Context) NewIntent(listingID uint32, side Side, priceTicks, qtyLots int64) *OrderIntent {
	c.intents++
	intent := NewOrderIntent()
	intent.ListingID, intent.Side, intent.PriceTicks, intent.QtyLots = listingID, side, priceTicks, qtyLots
	intent.IntentID = c.intents
	c.sign(&intent)
	return &intent
}

// CancelIntent returns the wish to cancel an order.
func (c *Context) CancelIntent(orderID int64, listingID uint32) *OrderIntent {
	intent := NewOrderIntent()
	intent.Action, intent.OrderID, intent.ListingID = IntentActionCancel, orderID, listingID
	c.sign(&intent)
	return &intent
}

func (c *Context) sign(intent *OrderIntent) {
	who := c.Instance
	intent.StrategyID, intent.BookID = who.PluginId, who.BookId
	intent.AlgoID, intent.AlgoVersion = who.AlgoId, who.AlgoVersion
	intent.TraderID, intent.AccountID = who.TraderId, who.AccountId
}

// ReadConfig reads a JSON object into the struct that into points to, which holds the defaults; returns all that is
// wrong with it. Keys are the json tags of the struct's fields.
func ReadConfig(config []byte, into interface{}) []string {
	given := map[string]json.RawMessage{}
	if len(config) > 0 {
		if err := json.Unmarshal(config, &given); err != nil {
			return []string{fmt.Sprintf("config: met %s, wanted an object (%v)", config, err)}
		}
	}
	fields := reflect.ValueOf(into).Elem()
	known := map[string]reflect.Value{}
	names := make([]string, 0, fields.NumField())
	for at := 0; at < fields.NumField(); at++ {
		name := strings.Split(fields.Type().Field(at).Tag.Get("json"), ",")[0]
		known[name] = fields.Field(at)
		names = append(names, name)
	}
	var faults []string
	for key, text := range given {
		field, there := known[key]
		if !there {
			faults = append(faults, fmt.Sprintf("%s: met a key that is unknown, wanted one of %s", key, strings.Join(names, ", ")))
		} else if err := json.Unmarshal(text, field.Addr().Interface()); err != nil {
			faults = append(faults, fmt.Sprintf("%s: met %s, wanted %s", key, text, field.Type()))
		}
	}
	sort.Strings(faults)
	return faults
}
