package feed_test

import (
	"slices"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// dial begins a session.
func (n *node) dial() {
	n.session = feed.NewSession(feed.Config{
		Hello: feed.Hello{Role: n.name}, Outbox: n.outbox, Ledger: n.ledger, Stats: n.stats,
		Rank:  func(key record.Key) int { return int(key.Name[2]) % 3 },
		Fence: func() (feed.Fence, bool) { return feed.Fence{}, !n.unsure },
	}, n.w.now)
}

// hangUp ends the session as a shell does: a batch that is being applied may still be finished, the others are not
// begun.
func (n *node) hangUp() {
	if n.session == nil {
		return
	}
	if len(n.todo) > 0 && n.w.rng.IntN(2) == 0 {
		n.apply(n.todo[0])
	}
	n.todo = nil
	n.session.Close()
	n.session = nil
}

// deliver hands the node the next message, at times twice; busy tells that there was one.
func (n *node) deliver() (busy bool) {
	if n.session == nil || len(n.inbox) == 0 {
		return false
	}
	m := n.inbox[0]
	n.inbox = n.inbox[1:]
	times := 1
	if !n.w.calm && n.w.rng.IntN(10) == 0 {
		times = 2
	}
	for range times {
		n.session.Tick(n.w.now)
		if *seed != 0 {
			n.w.logf("%s <- %T%+v", n.name, m, brief(m))
		}
		if err := n.session.Step(copied(m)); err != nil {
			n.w.errorf("%s: %v", n.name, err)
			n.hangUp()
			return true
		}
		n.pump()
	}
	return true
}

// copied is a message as a transport delivers it: a receiver owns the slices of its batch.
func copied(m feed.Message) feed.Message {
	if b, ok := m.(feed.Batch); ok {
		b.Puts, b.Removals = slices.Clone(b.Puts), slices.Clone(b.Removals)
		return b
	}
	return m
}

// brief is a message without its bulk.
func brief(m feed.Message) any {
	switch m := m.(type) {
	case feed.Differ:
		return m.Round
	case feed.Batch:
		keys := map[string]string{}
		for _, r := range m.Puts {
			keys[r.Key.Name] = r.Version.String()[12:16]
		}
		for _, r := range m.Removals {
			keys[r.Key.Name] = r.Cause.String()
		}
		return struct {
			ID   uint64
			Keys map[string]string
			At   feed.Position
		}{m.ID, keys, m.Position}
	default:
		return m
	}
}

func (n *node) tick() {
	if n.session != nil {
		n.session.Tick(n.w.now)
		n.pump()
	}
}

// pump carries out what the session asks for.
func (n *node) pump() {
	if n.session == nil {
		return
	}
	r := n.session.Ready()
	for _, m := range r.Messages {
		switch m.(type) {
		case feed.Root, feed.Batch, feed.Told:
			if n.unsure {
				n.w.errorf("%s sends %T though it may not", n.name, m)
			}
		}
	}
	if n.other.session != nil {
		n.other.inbox = append(n.other.inbox, r.Messages...)
	}
	n.todo = append(n.todo, r.Batches...)
	if len(n.todo) > feed.DefaultWindow {
		n.w.errorf("%s has %d batches outstanding, want at most %d", n.name, len(n.todo), feed.DefaultWindow)
	}
	for _, o := range r.Outcomes {
		n.outcomes[o.Key] = o
	}
}
