// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strings"

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
	// new, configured, started, drained.
	state     string
	simulated bool
}

func newEngine(p Plugin) *engine {
	if p.ContractMin == 0 {
		p.ContractMin = 1
	}
	if p.ContractMax == 0 {
		p.ContractMax = p.ContractMin
	}
	e := &engine{plugin: p, events: newLane(), orders: newLane(), work: make(chan func(), 1024), state: "new"}
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
		Instance: instance, engine: e, known: newCatalog(), lane: e.events,
		timers: map[uint64]*pb.TimerSet{},
	}
	e.simulated = instance.Simulated
	e.handler = e.plugin.New(e.ctx, []byte(r.ConfigJson))
	e.state = "configured"
	return nil
}

func (e *engine) start(r *pb.StartRequest) (*pb.StartReply, error) {
	ctx := e.ctx
	goesOn := r.Resumed && r.Seq == 0 // where it was: of no event, and it says so to nobody
	if err := ctx.known.learnFrames(r.Known); err != nil {
		return nil, err
	}
	reply := &pb.StartReply{}
	for _, timer := range ctx.timers {
		reply.Timers = append(reply.Timers, timer)
	}
	sort.Slice(reply.Timers, func(a, b int) bool { return reply.Timers[a].TimerId < reply.Timers[b].TimerId })
	e.state = "started"
	ctx.nowNs = r.NowNs
	if !goesOn {
		ctx.seq, ctx.root = int64(r.Seq), int64(r.Seq)
	}
	if starter, starts := e.handler.(Starter); starts && !goesOn {
		handler := "on_start"
		if r.Resumed {
			handler = "on_resume"
		}
		e.guarded(handler, func() { starter.OnStart(r.Resumed) })
	}
	reply.Said = e.saidAll()
	return reply, nil
}

func (e *engine) drain(r *pb.DrainRequest) *pb.Batch {
	e.state = "drained"
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
	if !(e.state == "started" || e.state == "configured" && b.Hearing) {
		e.send(from, b.Step) // a step is answered in any state
		return
	}
	if b.NowNs > 0 {
		ctx.nowNs = b.NowNs
	}
	if b.Check {
		e.check(b)
	} else {
		e.frames(b.Frames)
	}
	e.written(b.WrittenSeq)
	ctx.said.EffectsWaiting = uint32(len(ctx.effects))
	ctx.said.TakenAll = b.Take > 0
	ctx.hearing = false
	e.send(from, b.Step)
}

func (e *engine) frames(frames []byte) {
	err := EachFrame(frames, func(h Header, body []byte) error {
		records, err := ReadRecords(h, body)
		if err != nil {
			return err
		}
		for at, each := range records {
			e.ctx.seq, e.ctx.root = h.Seq+int64(at), h.CorrelationSeq
			if h.AtNs > 0 {
				e.ctx.nowNs = h.AtNs
			}
			e.hear(each)
		}
		return nil
	})
	if err != nil {
		e.fault("frames", err)
	}
}

// hear tells the handler of one event, and the context of names and timers.
func (e *engine) hear(r Record) {
	if timer, fires := r.(*Timer); fires {
		delete(e.ctx.timers, uint64(timer.TimerID))
	}
	e.ctx.known.learn(r)
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
		e.ctx.seq, e.ctx.root = h.Seq, h.CorrelationSeq
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
	err := e.ctx.known.learnFrames(b.Frames)
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
		if e.state != "started" {
			return
		}
		e.ctx.outside = true
		e.ctx.Say(records...)
		e.ctx.outside = false
		e.ctx.said.FromOutside, e.ctx.orders.FromOutside = true, true
		e.send(e.events, 0)
	}
}

var upper = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake returns the name of a record in the way of handlers: *CheckVerdict → check_verdict.
func snake(r Record) string {
	return strings.ToLower(upper.ReplaceAllString(reflect.TypeOf(r).Elem().Name(), "${1}_${2}"))
}
