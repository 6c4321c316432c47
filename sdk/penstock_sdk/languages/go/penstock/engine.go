// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"

	pb "penstock/pluginv1"
)

// engine runs one plugin: all its handlers on one goroutine, in the order in which batches and calls came.
type engine struct {
	plugin  Plugin
	ctx     *Context
	handler Handler
	events  *lane
	orders  *lane
	work    chan func()
	// Set from Start to Drain: outside of that nothing comes from outside.
	running   int32
	simulated bool
}

func newEngine(p Plugin) *engine {
	if p.ContractMin == 0 {
		p.ContractMin = 1
	}
	if p.ContractMax == 0 {
		p.ContractMax = p.ContractMin
	}
	e := &engine{plugin: p, events: newLane(), orders: newLane(), work: make(chan func(), 1024)}
	go func() {
		for do := range e.work {
			do()
		}
	}()
	return e
}

// run does something on the plugin's goroutine, after all that came before, and waits for it.
func (e *engine) run(do func()) {
	done := make(chan struct{})
	e.work <- func() {
		defer close(done)
		do()
	}
	<-done
}

func (e *engine) configure(r *pb.ConfigureRequest) []string {
	if e.plugin.Faults != nil {
		if faults := e.plugin.Faults([]byte(r.ConfigJson)); len(faults) > 0 {
			return faults
		}
	} else if config := strings.TrimSpace(r.ConfigJson); e.plugin.ConfigSchema == "" && config != "" && config != "{}" {
		return []string{fmt.Sprintf("config: met %s, wanted none", config)}
	}
	if r.ValidateOnly {
		return nil
	}
	instance := r.Instance
	if instance == nil {
		instance = &pb.Instance{}
	}
	e.ctx = &Context{
		Instance: instance, engine: e, ids: map[IdKind]map[string]uint32{}, names: map[IdKind]map[uint32]string{},
		timers: map[uint64]*pb.TimerSet{}, lane: e.events,
	}
	e.simulated = instance.Simulated
	e.handler = e.plugin.New(e.ctx, []byte(r.ConfigJson))
	return nil
}

func (e *engine) start(r *pb.StartRequest) (*pb.StartReply, error) {
	ctx := e.ctx
	ctx.nowNs, ctx.seq = r.NowNs, int64(r.Seq)
	err := EachFrame(r.Known, func(h Header, body []byte) error {
		records, err := ReadRecords(h, body)
		for _, each := range records {
			e.hear(each, false)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if starter, starts := e.handler.(Starter); starts {
		handler := "on_start"
		if r.Resumed {
			handler = "on_resume"
		}
		e.guarded(handler, func() { starter.OnStart(r.Resumed) })
	}
	atomic.StoreInt32(&e.running, 1)
	reply := &pb.StartReply{Said: e.saidAll()}
	if r.Resumed {
		for _, timer := range ctx.timers {
			reply.Timers = append(reply.Timers, timer)
		}
	}
	return reply, nil
}

func (e *engine) drain(r *pb.DrainRequest) *pb.Batch {
	atomic.StoreInt32(&e.running, 0)
	if r.NowNs > 0 {
		e.ctx.nowNs, e.ctx.seq = r.NowNs, int64(r.Seq)
	}
	if stopper, stops := e.handler.(Stopper); stops {
		e.guarded("on_stop", stopper.OnStop)
	}
	return e.saidAll()
}

// saidAll returns all that the handler said, for a reply: the lanes come together.
func (e *engine) saidAll() *pb.Batch {
	said := e.ctx.said
	said.Frames = append(said.Frames, e.ctx.orders.Frames...)
	e.ctx.said, e.ctx.orders, e.ctx.events, e.ctx.ordersN, e.ctx.records = pb.Batch{}, pb.Batch{}, 0, 0, 0
	return &said
}

// batch handles one batch of the host's.
func (e *engine) batch(from *lane, b *pb.Batch) {
	defer from.done(b.Number)
	ctx := e.ctx
	if ctx == nil {
		return
	}
	ctx.lane, ctx.hearing = from, b.Hearing
	if b.NowNs > 0 {
		ctx.nowNs = b.NowNs
	}
	if b.Check {
		e.check(b)
	} else {
		e.frames(b)
	}
	e.written(b.WrittenSeq)
	ctx.said.EffectsWaiting = uint32(len(ctx.effects))
	ctx.said.TakenAll = b.Take > 0
	ctx.hearing = false
	e.send(from, b.Step)
}

func (e *engine) frames(b *pb.Batch) {
	err := EachFrame(b.Frames, func(h Header, body []byte) error {
		records, err := ReadRecords(h, body)
		if err != nil {
			return err
		}
		for at, each := range records {
			e.ctx.seq = h.Seq + int64(at)
			if h.AtNs > 0 {
				e.ctx.nowNs = h.AtNs
			}
			e.hear(each, true)
		}
		return nil
	})
	if err != nil {
		e.fault("received", err)
	}
}

// hear tells the handler of one event, and the context of names and timers.
func (e *engine) hear(r Record, live bool) {
	switch event := r.(type) {
	case *Interned:
		e.ctx.learn(event)
	case *Timer:
		delete(e.ctx.timers, uint64(event.TimerID))
	}
	e.guarded("on_"+snake(r), func() { e.handler.On(r) })
}

func (e *engine) check(b *pb.Batch) {
	checker, checks := e.handler.(Checker)
	if !checks {
		e.fault("check_order", fmt.Errorf("met an order to check, wanted a handler with CheckOrder"))
		return
	}
	err := EachFrame(b.Frames, func(h Header, body []byte) error {
		order := NewOrder()
		if err := order.Read(body); err != nil || h.SchemaID != SchemaOrder {
			return fmt.Errorf("schema %d met (%v), wanted an Order", h.SchemaID, err)
		}
		e.ctx.seq = h.Seq
		e.guarded("check_order", func() {
			verdict := checker.CheckOrder(&order)
			e.ctx.Say(&verdict)
		})
		return nil
	})
	if err != nil {
		e.fault("check_order", err)
	}
}

func (e *engine) guarded(handler string, do func()) {
	defer func() {
		if met := recover(); met != nil {
			e.fault(handler, fmt.Errorf("%v", met))
		}
	}()
	do()
}

func (e *engine) fault(handler string, err error) {
	e.ctx.said.Faults = append(e.ctx.said.Faults, &pb.Fault{Handler: handler, Error: err.Error(), AfterFrames: e.ctx.records})
}

// written does what waited for the journal.
func (e *engine) written(seq uint64) {
	waiting := e.ctx.effects
	e.ctx.effects = nil
	for _, each := range waiting {
		if each.seq > int64(seq) {
			e.ctx.effects = append(e.ctx.effects, each)
			continue
		}
		e.guarded("effect", each.do)
	}
}

// send queues what was said: with a step all of it as its answer, else orders on their own lane.
func (e *engine) send(from *lane, step uint64) {
	ctx := e.ctx
	said, orders := ctx.said, ctx.orders
	events, ordersN := ctx.events, ctx.ordersN
	ctx.said, ctx.orders, ctx.events, ctx.ordersN, ctx.records = pb.Batch{}, pb.Batch{}, 0, 0, 0
	if step > 0 {
		said.Answers = step
		said.Frames = append(said.Frames, orders.Frames...)
		from.put(&said, events+ordersN, nil)
		return
	}
	if len(orders.Frames) > 0 {
		e.orders.put(&orders, ordersN, nil)
	}
	if !empty(&said) {
		e.events.put(&said, events, nil)
	}
}

func empty(b *pb.Batch) bool {
	return len(b.Frames) == 0 && len(b.Faults) == 0 && len(b.Timers) == 0 && len(b.TimersForgotten) == 0 &&
		len(b.Log) == 0 && b.EffectsWaiting == 0 && !b.TakenAll
}

// ask sends what was said so far with a question, and waits for the answer while the handler stands still.
func (e *engine) ask(kind IdKind, name string) {
	answer := make(chan *pb.Batch, 1)
	e.ctx.lane.put(&pb.Batch{Asks: []*pb.Name{{Kind: uint32(kind), Name: name}}}, 0, answer)
	b, came := <-answer
	if !came {
		panic(fmt.Sprintf("the stream ended before the host gave an id for %q", name))
	}
	err := EachFrame(b.Frames, func(h Header, body []byte) error {
		var r Interned
		if h.SchemaID != SchemaInterned {
			return nil
		}
		if err := r.Read(body); err != nil {
			return err
		}
		e.ctx.learn(&r)
		return nil
	})
	if err != nil {
		panic(err.Error())
	}
	e.ctx.lane.done(b.Number)
}

func (e *engine) fromOutside(records []Record) {
	if e.simulated {
		panic("FromOutside met a simulated clock, wanted a wall clock: answer in a handler or by a timer")
	}
	e.work <- func() {
		if atomic.LoadInt32(&e.running) == 0 {
			return
		}
		for _, r := range records {
			e.ctx.Say(r)
		}
		e.ctx.said.FromOutside, e.ctx.orders.FromOutside = true, true
		e.send(e.events, 0)
	}
}

var upper = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake returns the name of a record in the way of handlers: *CheckVerdict → check_verdict.
func snake(r Record) string {
	return strings.ToLower(upper.ReplaceAllString(reflect.TypeOf(r).Elem().Name(), "${1}_${2}"))
}
