package feedgrpc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
)

// Bounds of what waits to be sent, in messages.
const (
	// congested is from where on a session adds nothing new, and gives only what it owes: answers to what the peer asks.
	congested = 16
	// maxOwed is what a peer that keeps to the protocol never reaches, since it has that much open at most.
	maxOwed = 1024
)

var (
	errUntaken = errors.New("the peer asks for more and takes nothing of what it asked for before")
	errGreedy  = errors.New("the peer asks for its lists again before it took the last ones")
)

// stream is either end of the gRPC stream.
type stream interface {
	Send(*feedpb.Frame) error
	Recv() (*feedpb.Frame, error)
}

// conn runs one session. One goroutine owns the session; others receive, send, apply, and answer questions. Those that
// receive and send end only when the stream does, so the owner of the stream waits for them (io) after ending it.
type conn struct {
	// address is where the child has dialled; empty at the parent's end.
	address  string
	endpoint Endpoint
	session  *feed.Session
	peer     Identity
	stream   stream
	// peers is asked for what the peer is to know of addresses; nil tells nothing. learnt takes what the peer tells.
	peers  func() ([]string, <-chan struct{})
	learnt func(addresses []string)
	// begun is called, at least once, when the first comparison is over; it may be nil.
	begun func()
	// impatient tells whether the session ends once the peer was refused for refusedPatience, because there is somewhere
	// else to go; nil is never.
	impatient func() bool
	// valid tells whether the peer may be served, and until when that is so; nil is for ever. until is its last answer.
	valid func() (until time.Time, err error)
	until time.Time
	// takePatience is how long the transport may take to accept a message.
	takePatience time.Duration

	ctx    context.Context
	cancel context.CancelCauseFunc
	io     *sync.WaitGroup

	inbox   chan feed.Message
	out     chan feed.Message
	back    chan feed.Message // what was handed out and may not go, after all
	calls   chan func(*feed.Session)
	batches chan feed.Batch
	applied chan result
	ended   chan struct{}
	// sending is closed when the goroutine that sends has ended, nil until there is one.
	sending chan struct{}

	// What the session's goroutine alone uses.
	queue        []feed.Message
	held         bool // what is first in queue waits for the fence
	asked        map[uint64]chan<- feed.Answer
	answering    map[uint64]context.CancelFunc
	answers      int // answers being worked on, to questions that were taken back, too
	work         *errgroup.Group
	opened       time.Time // zero until the peer is there
	refusedSince time.Time

	mu     sync.Mutex // guards status
	status feed.Status
}

// result is what became of one batch.
type result struct {
	id         uint64
	rejections []feed.Rejection
}

// newConn begins to receive from a stream. io counts the goroutines that end with it.
func newConn(ctx context.Context, s stream, io *sync.WaitGroup) *conn {
	c := &conn{
		stream: s, io: io, takePatience: takePatience,
		inbox: make(chan feed.Message), out: make(chan feed.Message), back: make(chan feed.Message), calls: make(chan func(*feed.Session)),
		ended: make(chan struct{}),
		asked: map[uint64]chan<- feed.Answer{}, answering: map[uint64]context.CancelFunc{},
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.io.Go(c.receive)
	return c
}

// run runs the session to its end and returns why it ended. Nothing is being applied when it returns.
func (c *conn) run(cfg feed.Config, ep Endpoint, first ...feed.Message) error {
	c.endpoint = ep
	cfg.Outbox, cfg.Ledger, cfg.Rank, cfg.Fence = ep.Outbox, ep.Ledger, ep.Rank, ep.Fence
	if cfg.Window == 0 {
		cfg.Window = feed.DefaultWindow
	}
	c.batches, c.applied = make(chan feed.Batch, cfg.Window), make(chan result, cfg.Window)
	c.session = feed.NewSession(cfg, time.Now())
	var ctx context.Context
	c.work, ctx = errgroup.WithContext(c.ctx)
	c.work.Go(func() error { return c.apply(ctx) })
	c.sending = make(chan struct{})
	c.io.Go(c.send)

	err := c.loop(ctx, first)
	c.cancel(err)
	close(c.ended)
	close(c.batches)
	_ = c.work.Wait() // its error is the cause of ctx, which loop returned
	close(c.applied)
	for r := range c.applied {
		c.session.Applied(r.id, r.rejections)
	}
	c.session.Close()
	if !c.opened.IsZero() && ep.Closed != nil {
		ep.Closed(err)
	}
	return err
}

// loop owns the session until something ends it.
func (c *conn) loop(ctx context.Context, first []feed.Message) error {
	for _, m := range first {
		if err := c.session.Step(m); err != nil {
			return err
		}
	}
	alarm := newAlarm()
	defer alarm.stop()
	outboxWake, ledgerWake := c.session.Wake()
	peersChanged := c.tellPeers()
	for {
		c.session.Congest(len(c.queue) >= congested)
		c.carryOut(ctx)
		if c.gaveUp() {
			return errRefused
		}
		if len(c.queue) > maxOwed {
			return errUntaken
		}
		if err := c.revalidate(); err != nil {
			return dismissal{err}
		}
		var out chan<- feed.Message
		var message feed.Message
		next := c.next()
		if next >= 0 {
			out, message = c.out, c.queue[next]
		}
		alarm.set(c.deadline())
		select {
		case m := <-c.incoming():
			if err := c.step(m); err != nil {
				return err
			}
		case out <- message:
			c.take(next)
		case m := <-c.back:
			c.queue = slices.Insert(c.queue, 0, m)
		case <-outboxWake:
			c.session.Tick(time.Now())
		case <-ledgerWake:
			c.session.Tick(time.Now())
		case r := <-c.applied:
			c.session.Tick(time.Now())
			c.session.Applied(r.id, r.rejections)
		case <-peersChanged:
			peersChanged = c.tellPeers()
		case call := <-c.calls:
			c.session.Tick(time.Now())
			call(c.session)
		case <-alarm.rings():
			alarm.rang()
			c.session.Tick(time.Now())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next is the place in queue of what is to go out next, -1 if there is nothing that may: what the fence holds back stays,
// and does not hold up what the peer waits for.
func (c *conn) next() int {
	c.held = false
	for i, m := range c.queue {
		switch {
		case !c.held && c.mayGo(m), c.held && passes(m):
			return i
		}
		c.held = true
	}
	return -1
}

// take removes what goes out from the queue.
func (c *conn) take(i int) {
	if i > 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
		return
	}
	c.queue[0] = nil
	c.queue = c.queue[1:]
}

// step hands the session a message of the peer.
func (c *conn) step(m feed.Message) error {
	if _, ok := m.(feed.Select); ok && slices.ContainsFunc(c.queue, isLists) {
		return errGreedy
	}
	c.session.Tick(time.Now())
	return c.session.Step(m)
}

// revalidate asks again whether the peer may be served, when the last answer no longer counts.
func (c *conn) revalidate() (err error) {
	if c.until.IsZero() || time.Now().Before(c.until) {
		return nil
	}
	c.until, err = c.valid()
	return err
}

// incoming is where the peer's next message comes from; nil while it tells more than its share, so that it has to wait.
func (c *conn) incoming() <-chan feed.Message {
	if time.Now().Before(c.session.Resume()) {
		return nil
	}
	return c.inbox
}

func isLists(m feed.Message) bool {
	_, ok := m.(feed.Lists)
	return ok
}

// deadline is when the loop has something to do though nothing happens.
func (c *conn) deadline() (at time.Time, ok bool) {
	at, ok = c.session.Deadline()
	if again := time.Now().Add(feed.HoldPause); c.held && (!ok || again.Before(at)) {
		at, ok = again, true
	}
	if resume := c.session.Resume(); resume.After(time.Now()) && (!ok || resume.Before(at)) {
		at, ok = resume, true
	}
	if !c.until.IsZero() && (!ok || c.until.Before(at)) {
		at, ok = c.until, true
	}
	if patience := c.refusedSince.Add(refusedPatience); !c.refusedSince.IsZero() && (!ok || patience.Before(at)) {
		at, ok = patience, true
	}
	return at, ok
}

// tellPeers tells the peer of addresses, and returns what is closed when there are others.
func (c *conn) tellPeers() (changed <-chan struct{}) {
	if c.peers == nil {
		return nil
	}
	addresses, changed := c.peers()
	c.session.TellPeers(addresses)
	return changed
}

// carryOut does what the session asks for.
func (c *conn) carryOut(ctx context.Context) {
	r := c.session.Ready()
	status := c.session.Status()
	c.open(status)
	c.queue = append(c.queue, r.Messages...)
	for _, b := range r.Batches {
		c.batches <- b // there is room for a window of them
	}
	if r.Peers != nil && c.learnt != nil {
		c.learnt(r.Peers)
	}
	if len(r.Outcomes) > 0 && c.endpoint.Acked != nil {
		c.endpoint.Acked(r.Outcomes)
	}
	for _, id := range r.Cancelled {
		if cancel, ok := c.answering[id]; ok {
			cancel()
			delete(c.answering, id)
		}
	}
	for _, q := range r.Questions {
		c.answer(ctx, q)
	}
	for _, a := range r.Answers {
		if asked, ok := c.asked[a.ID]; ok {
			asked <- a
			delete(c.asked, a.ID)
		}
	}
	c.tell(status)
	c.begin(status)
}

// open says once that the peer is there.
func (c *conn) open(status feed.Status) {
	if !c.opened.IsZero() || status.Peer.Protocol == 0 {
		return
	}
	c.opened = time.Now()
	if c.peer == (Identity{}) {
		c.peer = Identity{Role: status.Peer.Role, Path: status.Peer.Path}
	}
	if c.endpoint.Opened != nil {
		c.endpoint.Opened(&Link{conn: c})
	}
}

// lasted is for how long the peer has been there; 0 if it never was.
func (c *conn) lasted() time.Duration {
	if c.opened.IsZero() {
		return 0
	}
	return time.Since(c.opened)
}

// begin says when the first comparison is over: the peer holds all, or takes nothing, or there is nothing to compare.
func (c *conn) begin(status feed.Status) {
	if c.begun == nil || c.opened.IsZero() {
		return
	}
	if status.InSync || status.RefusedBy != nil || c.endpoint.Outbox == nil {
		c.begun()
		c.begun = nil
	}
}

// tell keeps the status for others and says when it changed in kind.
func (c *conn) tell(status feed.Status) {
	c.mu.Lock()
	before := c.status
	c.status = status
	c.mu.Unlock()
	changed := before.InSync != status.InSync || before.Heard != status.Heard || before.RefusedBy != status.RefusedBy || before.Refuses != status.Refuses
	if changed && c.endpoint.State != nil {
		c.endpoint.State(status)
	}
}

// gaveUp tells whether the peer has been refused for so long that another may be better.
func (c *conn) gaveUp() bool {
	if c.status.Refuses == nil || c.impatient == nil || !c.impatient() {
		c.refusedSince = time.Time{}
		return false
	}
	if c.refusedSince.IsZero() {
		c.refusedSince = time.Now()
	}
	return time.Since(c.refusedSince) >= refusedPatience
}

// do runs a call in the session's goroutine.
func (c *conn) do(ctx context.Context, call func(*feed.Session)) error {
	done := make(chan struct{})
	select {
	case c.calls <- func(s *feed.Session) { call(s); close(done) }:
		<-done
		return nil
	case <-c.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
