// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"fmt"
	"sync"

	pb "penstock/pluginv1"
)

// How far the host may be ahead of what has been handled, on each stream.
const (
	creditEvents = 65536
	creditBytes  = 16 << 20
	ackBatches   = 256
)

// inHand is a batch of the host's that came and may not be handled yet.
type inHand struct {
	number, events, bytes uint64
	done                  bool
}

// An outgoing batch, not numbered yet.
type outgoing struct {
	batch  *pb.Batch
	events uint64
	// Of a batch that asks for names: where the host's answer goes.
	answer chan *pb.Batch
}

// lane is one of the two streams: numbers, acknowledgement and credit of both directions, and what waits to be sent.
type lane struct {
	mu   sync.Mutex
	cond *sync.Cond
	// True while the host has the stream open.
	open bool

	waiting []outgoing
	asked   map[uint64]chan *pb.Batch

	sent, sentEvents, sentBytes uint64
	mayEvents, mayBytes         uint64

	taken, handled             uint64
	gotEvents, gotBytes        uint64
	handledEvents, handledByte uint64
	grantedEvents, grantedByte uint64
	told                       uint64
	toldOnce                   bool
	hand                       []inHand
}

func newLane() *lane {
	l := &lane{}
	l.cond = sync.NewCond(&l.mu)
	return l
}

// begin starts a stream afresh; what waits to be sent is kept.
func (l *lane) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		return fmt.Errorf("a second stream of this kind met, wanted one at a time")
	}
	l.open = true
	l.asked = map[uint64]chan *pb.Batch{}
	l.sent, l.sentEvents, l.sentBytes, l.mayEvents, l.mayBytes = 0, 0, 0, 0, 0
	l.taken, l.handled, l.gotEvents, l.gotBytes, l.handledEvents, l.handledByte = 0, 0, 0, 0, 0, 0
	l.grantedEvents, l.grantedByte, l.told, l.toldOnce, l.hand = 0, 0, 0, false, nil
	return nil
}

// end closes the stream; whoever waits for an answer gets none.
func (l *lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
	for _, answer := range l.asked {
		close(answer)
	}
	l.asked = nil
	l.cond.Broadcast()
}

// take notes a batch of the host's and returns whether it is to be handled now: once, and in order.
func (l *lane) take(b *pb.Batch) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.Acked > l.sent {
		return false, fmt.Errorf("batch acknowledges %d, wanted at most %d: no more was sent", b.Acked, l.sent)
	}
	if b.CreditEvents > l.mayEvents || b.CreditBytes > l.mayBytes {
		l.mayEvents, l.mayBytes = larger(l.mayEvents, b.CreditEvents), larger(l.mayBytes, b.CreditBytes)
		l.cond.Broadcast()
	}
	if b.Number <= l.taken {
		if b.Number == 0 && len(b.Frames) > 0 {
			return false, fmt.Errorf("batch 0 holds frames, wanted a number")
		}
		return false, nil
	}
	if b.Number != l.taken+1 {
		return false, fmt.Errorf("batch %d met, wanted %d: what lies between has not come", b.Number, l.taken+1)
	}
	var events uint64
	err := EachFrame(b.Frames, func(h Header, _ []byte) error {
		events += uint64(h.Count)
		return nil
	})
	if err != nil {
		return false, err
	}
	size := uint64(len(b.Frames))
	if l.gotEvents+events > l.grantedEvents || l.gotBytes+size > l.grantedByte {
		return false, fmt.Errorf("batch %d met %d records in %d bytes, wanted at most %d in %d: no more credit was granted",
			b.Number, events, size, l.grantedEvents-l.gotEvents, l.grantedByte-l.gotBytes)
	}
	l.taken = b.Number
	l.gotEvents += events
	l.gotBytes += size
	l.hand = append(l.hand, inHand{b.Number, events, size, false})
	return true, nil
}

// done notes that a batch was handled; acknowledged is what has been handled without a gap.
func (l *lane) done(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := range l.hand {
		if l.hand[at].number == number {
			l.hand[at].done = true
		}
	}
	for len(l.hand) > 0 && l.hand[0].done {
		l.handled = l.hand[0].number
		l.handledEvents += l.hand[0].events
		l.handledByte += l.hand[0].bytes
		l.hand = l.hand[1:]
	}
	l.cond.Broadcast()
}

// answered hands a batch to the handler that asked for it, if there is one.
func (l *lane) answered(b *pb.Batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	answer, waits := l.asked[b.Answers]
	if waits {
		delete(l.asked, b.Answers)
		answer <- b
	}
	return waits
}

// put queues a batch; the stream's sender numbers and sends it once the host has room for it.
func (l *lane) put(batch *pb.Batch, events uint64, answer chan *pb.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, outgoing{batch, events, answer})
	l.cond.Broadcast()
}

// next waits for what is to be sent now: the next batch that there is room for, or an acknowledgement; nil at the end.
func (l *lane) next() *pb.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open {
		if len(l.waiting) > 0 {
			head := l.waiting[0]
			size := uint64(len(head.batch.Frames))
			if size == 0 || l.sentEvents+head.events <= l.mayEvents && l.sentBytes+size <= l.mayBytes {
				l.waiting = l.waiting[1:]
				l.sent++
				l.sentEvents += head.events
				l.sentBytes += size
				head.batch.Number = l.sent
				if head.answer != nil {
					l.asked[l.sent] = head.answer
				}
				return l.tell(head.batch)
			}
		}
		if l.owed() {
			return l.tell(&pb.Batch{})
		}
		l.cond.Wait()
	}
	return nil
}

// owed: the host is told at first, when half of its credit is used, and whenever there is nothing else in hand.
func (l *lane) owed() bool {
	usedEvents := l.handledEvents + creditEvents - l.grantedEvents
	usedBytes := l.handledByte + creditBytes - l.grantedByte
	return !l.toldOnce || 2*usedEvents >= creditEvents || 2*usedBytes >= creditBytes ||
		l.handled-l.told >= ackBatches || l.handled > l.told && len(l.hand) == 0
}

func (l *lane) tell(b *pb.Batch) *pb.Batch {
	l.grantedEvents = l.handledEvents + creditEvents
	l.grantedByte = l.handledByte + creditBytes
	l.told, l.toldOnce = l.handled, true
	b.Acked, b.CreditEvents, b.CreditBytes = l.handled, l.grantedEvents, l.grantedByte
	return b
}

func larger(a, b uint64) uint64 {
	if a > b {
		return a
	}
	return b
}
