package feed

import (
	"errors"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Defaults of Config.
const (
	DefaultWindow       = 4
	DefaultCompareEvery = 5 * time.Minute
)

// HoldPause is how long a session that has something to send and may not waits before it asks for its fence again.
const HoldPause = 250 * time.Millisecond

// Config is one end of one session. Only Hello must be set.
type Config struct {
	// Hello is what this end says of itself. Protocol and Window are filled in.
	Hello Hello
	// Outbox is what the peer should hold; nil sends nothing.
	Outbox *Outbox
	// Ledger is what this end holds of the peer's Outbox; nil takes nothing.
	Ledger *Ledger
	// Rank orders what a comparison finds; nil orders by key.
	Rank func(record.Key) int
	// Fence is this end's fence. It is asked right before each Root, Batch and Told; while ok is false, this end cannot
	// be sure to own the child, and none of them is sent: what is pending stays so. Nil states none, and sends.
	Fence func() (fence Fence, ok bool)
	// Window is how many batches this end has unacknowledged, and takes, at most. DefaultWindow if 0.
	Window int
	// CompareEvery is the time between routine comparisons. DefaultCompareEvery if 0.
	CompareEvery time.Duration
	// Stats may be nil.
	Stats *Stats
}

// Dismissed is the error of a session that the peer ended.
type Dismissed struct {
	Reason string
	// Redirect is the address to go to instead, if there is one.
	Redirect string
	// RetryAfter is how long to stay away, where the peer said so.
	RetryAfter time.Duration
}

func (d *Dismissed) Error() string {
	if d.Redirect != "" {
		return fmt.Sprintf("peer ended the session: %s; it is served at %s", d.Reason, d.Redirect)
	}
	return "peer ended the session: " + d.Reason
}

// ErrSuperseded is the error of a session whose Ledger serves a later one.
var ErrSuperseded = errors.New("a later session took over")

// Ready is what the owner of a session has to do next.
type Ready struct {
	// Messages go to the peer, in order.
	Messages []Message
	// Batches are to be applied, in order and after those of earlier calls, each followed by Applied.
	Batches []Batch
	// Outcomes are what was learnt of what the peer holds.
	Outcomes []Outcome
	// Questions are to be answered by Answer, but for those Cancelled.
	Questions []Question
	Cancelled []uint64
	// Answers are those to this end's questions.
	Answers []Answer
	// Peers are where the peer says that it, and others like it, can be reached; nil if it said nothing new.
	Peers []string
}

// Session is one end of one connection. It is not safe for concurrent use.
type Session struct {
	cfg      Config
	now      time.Time
	peer     Hello
	greeted  bool
	sender   *sender   // nil without an Outbox
	receiver *receiver // nil without a Ledger
	asker    asker
	replier  replier
	out      []Message
	peers    []string
	// congested: the peer does not take what there is for it already.
	congested bool
	// resume is from when on the peer's next message may be read.
	resume time.Time
}

// NewSession begins a session. It attaches the Ledger: an earlier session of it must not apply anything any more.
func NewSession(cfg Config, now time.Time) *Session {
	cfg = cfg.withDefaults()
	s := &Session{
		cfg: cfg, now: now,
		asker:   asker{open: map[uint64]time.Time{}, stats: cfg.Stats},
		replier: replier{open: map[uint64]struct{}{}},
		out:     []Message{cfg.Hello},
	}
	if cfg.Outbox != nil {
		s.sender = newSender(cfg, now)
	}
	if cfg.Ledger != nil {
		s.receiver = newReceiver(cfg, now)
	}
	cfg.Stats.Sessions.Add(1)
	return s
}

func (c Config) withDefaults() Config {
	if c.Window <= 0 {
		c.Window = DefaultWindow
	}
	if c.CompareEvery <= 0 {
		c.CompareEvery = DefaultCompareEvery
	}
	if c.Rank == nil {
		c.Rank = func(record.Key) int { return 0 }
	}
	if c.Fence == nil {
		c.Fence = func() (Fence, bool) { return Fence{}, true }
	}
	if c.Stats == nil {
		c.Stats = &Stats{}
	}
	c.Hello.Protocol, c.Hello.Window = Version, c.Window
	return c
}

// Wake returns the channels that receive when Ready has something new from the Outbox or the Ledger.
func (s *Session) Wake() (outbox, ledger <-chan struct{}) {
	if s.sender != nil {
		outbox = s.sender.sub.Wake()
	}
	if s.receiver != nil {
		ledger = s.cfg.Ledger.Wake()
	}
	return outbox, ledger
}

// Deadline is when Tick, and Ready after it, have something to do although nothing else has happened; ok is false if that
// is never. It is as of the last Ready.
func (s *Session) Deadline() (at time.Time, ok bool) {
	if s.sender != nil && !s.congested {
		at, ok = s.sender.deadline()
	}
	for _, deadline := range s.asker.open {
		if !ok || deadline.Before(at) {
			at, ok = deadline, true
		}
	}
	return at, ok
}

// Congest says whether the peer is behind with taking what there is for it. While it is, Ready gives only what is owed
// to the peer; what is new in Outbox and Ledger stays there, where it takes no more room than its keys.
func (s *Session) Congest(congested bool) { s.congested = congested }

// Tick sets the session's clock. Call it before Step for times that are right, and at the Deadline.
func (s *Session) Tick(now time.Time) {
	s.now = now
	if s.sender != nil {
		s.sender.now = now
	}
	if s.receiver != nil {
		s.receiver.now = now
	}
	s.asker.expire(now)
}

// Resume is from when on the peer's next message may be read: one that tells more than Limits allow is read more slowly.
func (s *Session) Resume() time.Time { return s.resume }

// Step takes a message of the peer. An error ends the session.
func (s *Session) Step(m Message) error {
	switch m := m.(type) {
	case Goodbye:
		return &Dismissed{Reason: m.Reason, Redirect: m.Redirect, RetryAfter: m.RetryAfter}
	case Hello:
		return s.greet(m)
	}
	if !s.greeted {
		return fmt.Errorf("%T came before Hello", m)
	}
	if s.receiver != nil {
		s.resume = s.now.Add(s.cfg.Ledger.delay(m, s.now))
	}
	switch m := m.(type) {
	case Question:
		s.replier.asked(m)
	case Cancel:
		s.replier.withdrawn(m.ID)
	case Answer:
		s.asker.answered(m)
	case Peers:
		s.peers = m.Addresses
	case Root, Select, Batch, Told:
		return s.stepReceiver(m)
	default:
		return s.stepSender(m)
	}
	return nil
}

func (s *Session) greet(h Hello) error {
	if s.greeted {
		return nil
	}
	if h.Protocol < 1 {
		return errors.New("peer speaks no version of the protocol")
	}
	s.peer, s.greeted = h, true
	if s.sender != nil {
		s.sender.window = s.cfg.Window
		if h.Window > 0 {
			s.sender.window = min(h.Window, s.cfg.Window)
		}
		s.sender.phase = opening
	}
	return nil
}

func (s *Session) stepReceiver(m Message) error {
	if s.receiver == nil {
		if _, root := m.(Root); root {
			s.out = append(s.out, Refused{Refusal{Kind: RefusedRole, Reason: "this end takes no records"}})
		}
		return nil
	}
	if !s.cfg.Ledger.attached(s.receiver.session) {
		return ErrSuperseded
	}
	var out []Message
	var err error
	switch m := m.(type) {
	case Root:
		out = s.receiver.compare(m)
	case Select:
		out = s.receiver.list(m)
	case Batch:
		out, err = s.receiver.take(m)
	case Told:
		s.receiver.heard = true
	}
	s.out = append(s.out, out...)
	return err
}

func (s *Session) stepSender(m Message) error {
	if s.sender == nil {
		return nil
	}
	switch m := m.(type) {
	case Equal:
		if s.sender.current(m.Round) {
			s.sender.conclude()
		}
	case Differ:
		if s.sender.current(m.Round) {
			s.out = append(s.out, s.sender.differ(m)...)
		}
	case Lists:
		if s.sender.current(m.Round) {
			return s.sender.lists(m)
		}
	case Ack:
		return s.sender.acked(m)
	case Report:
		return s.sender.reported(m)
	case Want:
		return s.sender.wanted(m.Keys)
	case Refused:
		s.sender.refuse(m.Refusal)
	case Again:
		s.sender.again()
	}
	return nil
}

// Applied says that a batch given out by Ready has taken effect but for the rejections.
func (s *Session) Applied(id uint64, rejections []Rejection) {
	s.out = append(s.out, s.receiver.applied(id, rejections)...)
}

// TellPeers tells the peer where this end, and others that can stand in for it, can be reached.
func (s *Session) TellPeers(addresses []string) { s.out = append(s.out, Peers{Addresses: addresses}) }

// Ask puts a question to the peer. Its answer comes by Ready, at the latest when patience ends and Tick sees it.
func (s *Session) Ask(kind string, payload []byte, patience time.Duration) (id uint64, err error) {
	return s.asker.ask(kind, payload, patience, s.now)
}

// Cancel takes a question back; no answer comes.
func (s *Session) Cancel(id uint64) { s.asker.cancel(id) }

// Answer answers a question given out by Ready.
func (s *Session) Answer(id uint64, payload []byte, err error) { s.replier.answer(id, payload, err) }

// Ready returns what is to be done and forgets it. Call it after every other call and every wake.
func (s *Session) Ready() Ready {
	if s.receiver != nil && !s.congested {
		s.out = append(s.out, s.receiver.ready()...)
	}
	if s.sender != nil && !s.congested {
		s.out = append(s.out, s.sender.ready()...)
	}
	r := Ready{Messages: append(append(s.out, s.asker.out...), s.replier.out...),
		Questions: s.replier.questions, Cancelled: s.replier.cancelled, Answers: s.asker.answers, Peers: s.peers}
	s.out, s.asker.out, s.asker.answers, s.peers = nil, nil, nil, nil
	s.replier.out, s.replier.questions, s.replier.cancelled = nil, nil, nil
	if s.receiver != nil {
		r.Batches, s.receiver.batches = s.receiver.batches, nil
	}
	if s.sender != nil {
		r.Outcomes, s.sender.outcomes = s.sender.outcomes, nil
	}
	return r
}

// Status tells how the session stands.
func (s *Session) Status() Status {
	st := Status{Peer: s.peer}
	if s.sender != nil {
		st.InSync = s.sender.inSync()
		st.Pending = s.sender.pending.len() + len(s.sender.parked)
		st.Batches = len(s.sender.inflight)
		st.RefusedBy = s.sender.refusal
		st.Rejected = len(s.sender.rejected)
	}
	if s.receiver != nil {
		st.Refuses = s.receiver.refusal
		st.Heard = s.receiver.heard
	}
	return st
}

// Close ends the session, after what is being applied was given to Applied; what was not is sent again by the next.
func (s *Session) Close() {
	if s.sender != nil {
		s.sender.close()
	}
	if s.receiver != nil {
		s.receiver.close()
	}
	s.cfg.Stats.Sessions.Add(-1)
}
