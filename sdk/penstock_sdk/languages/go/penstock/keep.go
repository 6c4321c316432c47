// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"fmt"
	"sort"

	pb "penstock/pluginv1"
)

// snapshot returns the handler's state with what the context keeps beside it: timers, and the last numbers given.
func (e *engine) snapshot() ([]byte, error) {
	var own []byte
	if keeper, keeps := e.handler.(Keeper); keeps {
		var err error
		if own, err = keeper.Snapshot(); err != nil {
			return nil, err
		}
	}
	timers := make([][3]int64, 0, len(e.ctx.timers))
	for _, timer := range e.ctx.timers {
		timers = append(timers, [3]int64{int64(timer.TimerId), timer.DueNs, timer.Tag})
	}
	sort.Slice(timers, func(a, b int) bool { return timers[a][0] < timers[b][0] })
	return AppendMsgpack(nil, map[string]interface{}{
		"format": 1, "handler": own, "intents": e.ctx.intents, "known": e.ctx.known.frames(),
		"last_timer": int64(e.ctx.lastTime), "timers": timers,
	}), nil
}

func (e *engine) restore(state []byte, lastSeq int64) error {
	m, err := readMap("state", state)
	if err != nil {
		return err
	}
	if format := m.integer("format"); m.err == nil && format != 1 {
		return fmt.Errorf("state of format %d met, wanted 1", format)
	}
	own, intents, lastTimer, timers := m.octets("handler"), m.integer("intents"), m.integer("last_timer"), m.triples("timers")
	known := m.octets("known")
	if m.err != nil {
		return m.err
	}
	if err := e.ctx.known.learnFrames(known); err != nil {
		return err
	}
	if keeper, keeps := e.handler.(Keeper); keeps {
		if err := keeper.Restore(own); err != nil {
			return err
		}
	}
	e.ctx.intents, e.ctx.lastTime, e.ctx.seq = intents, uint64(lastTimer), lastSeq
	e.ctx.timers = map[uint64]*pb.TimerSet{}
	for _, row := range timers {
		e.ctx.timers[uint64(row[0])] = &pb.TimerSet{TimerId: uint64(row[0]), DueNs: row[1], Tag: row[2]}
	}
	return nil
}

// journaled does what waited for the journal, when the host tells of nothing else.
func (e *engine) journaled(l *lane, seq uint64) {
	if e.ctx == nil {
		return
	}
	e.written(seq)
	e.send(l, 0)
}
