package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// Parent is the tier's link to its parent, term after term. It is safe for concurrent use.
type Parent struct {
	client feedgrpc.ClientConfig
	answer func(context.Context, feed.Question) ([]byte, error)
	log    *slog.Logger

	mu           sync.Mutex
	intake       *Intake // guarded by mu, as all below; nil while this process does not lead
	connected    bool
	since        time.Time
	status       feed.Status
	refusesSince time.Time
}

// NewParent makes the link; answer answers the parent's questions.
func NewParent(client feedgrpc.ClientConfig, answer func(context.Context, feed.Question) ([]byte, error)) *Parent {
	return &Parent{client: client, answer: answer, log: client.Log}
}

// Run keeps a session with the parent that feeds an intake and sends what the outbox holds, until ctx ends.
func (p *Parent) Run(ctx context.Context, in *Intake, outbox *feed.Outbox) error {
	p.set(func() { p.intake = in })
	defer p.set(func() { p.intake = nil })
	return feedgrpc.Run(ctx, p.client, feedgrpc.Endpoint{
		Outbox: outbox, Ledger: in.Ledger(), Apply: in.Apply, Answer: p.answer, Rank: rankUp,
		Opened: func(*feedgrpc.Link) {
			p.log.Info("connected to the parent")
			p.set(func() { p.connected, p.since = true, time.Now() })
		},
		Closed: func(err error) {
			p.log.Warn("lost the parent; going on with what is here", "error", err)
			p.set(func() { p.connected, p.since, p.status = false, time.Now(), feed.Status{} })
		},
		State: func(status feed.Status) {
			p.set(func() {
				if p.status.Refuses == nil && status.Refuses != nil {
					p.refusesSince = time.Now()
					p.log.Error("the parent is not believed until a person confirms it", "reason", status.Refuses.Reason)
				}
				p.status = status
			})
		},
	})
}

// rankUp has a place told after the locations there, and taken back before them: while it is told, a location that is not has
// gone.
func rankUp(key record.Key) int {
	if key.Kind == record.KindPlace {
		return 1
	}
	return 0
}

func (p *Parent) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// Intake is the one of the present term; nil while this process does not lead.
func (p *Parent) Intake() *Intake {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.intake
}

// Describe adds the link to an overview: the session, what is refused from the parent, and removals held back.
func (p *Parent) Describe(name string, o *question.Overview) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.Parent = &question.Session{Peer: name, Connected: p.connected, InSync: p.connected && p.status.InSync,
		Pending: p.status.Pending, Since: p.since, Refused: children.RefusalOf(p.status.RefusedBy, p.since)}
	if p.intake == nil {
		return
	}
	standing := p.intake.Ledger().Standing()
	if r := children.RefusalOf(standing.Refusal, p.refusesSince); r != nil {
		o.Refusals = append(o.Refusals, *r)
	}
	var held []question.HeldRemoval
	for _, h := range standing.Held {
		held = append(held, question.HeldRemoval{Key: h.Key.String(), Cause: h.Cause.String(), Since: h.Since})
	}
	o.Held = question.NewHeld(held)
}
