package feed

import (
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// MaxRecord is the largest content that is sent, in bytes.
const MaxRecord = 1 << 20

// Bounds of one batch. A single record may be larger than batchBytes.
const (
	batchRecords = 256
	batchBytes   = 512 << 10
)

// maxStrays is how many keys beyond those of the Outbox a peer may name.
const maxStrays = 1 << 18

// Pauses of a sender.
const (
	// againPause is the least time between comparisons that the peer asks for.
	againPause = time.Second
	// refusedPause is how often a sender that is refused looks whether it has moved on.
	refusedPause = time.Second
)

// sender brings the peer to hold what the Outbox holds.
type sender struct {
	outbox *Outbox
	sub    *Subscription
	rank   func(record.Key) int
	fence  func() (Fence, bool)
	every  time.Duration
	stats  *Stats

	phase   phase
	refusal *Refusal
	// comparison is the one under way or the last one.
	comparison comparison
	pending    pending
	// parked keys are absent from an Outbox that is not complete: removals that wait until it is.
	parked map[record.Key]record.Version
	// inflight are the batches sent and not acknowledged, in order.
	inflight []sent
	lastID   uint64
	window   int
	// rejected are the versions that the peer said it could not make effective.
	rejected map[record.Key]record.Version
	outcomes []Outcome
	// mismatched are the keys that a routine comparison found and that are not settled yet.
	mismatched map[record.Key]struct{}
	now        time.Time
	counted    int
	// told: Told was sent.
	told bool
	// held: something could be sent, and the fence did not allow it.
	held bool
}

// phase is where a sender stands; see the picture in the package comment.
type phase int

const (
	waiting phase = iota // for the peer's Hello
	opening              // for the first comparison to be allowed
	comparing
	streaming
	refused
)

// sent is a batch in flight, without its content.
type sent struct {
	id   uint64
	at   time.Time
	keys []record.KeyVersion // the version is zero for a removal
}

func newSender(cfg Config, now time.Time) *sender {
	return &sender{
		outbox: cfg.Outbox, sub: cfg.Outbox.Subscribe(), rank: cfg.Rank, fence: cfg.Fence, every: cfg.CompareEvery,
		stats: cfg.Stats, parked: map[record.Key]record.Version{}, rejected: map[record.Key]record.Version{},
		mismatched: map[record.Key]struct{}{}, now: now,
	}
}

// ready takes the Outbox's changes and returns what can be sent now.
func (s *sender) ready() []Message {
	s.pull()
	s.held = false
	var out []Message
	switch s.phase {
	case opening:
		out = s.begin()
	case refused:
		if s.comparison.again && s.comparison.due(s.now) || s.lifted() {
			out = s.begin()
		}
	case streaming:
		if s.comparison.due(s.now) {
			if len(s.inflight) == 0 {
				out = s.begin()
			}
			break
		}
		out = s.batches()
	}
	if !s.told && s.inSync() && s.outbox.Complete() {
		if _, ok := s.may(); ok {
			s.told = true
			out = append(out, Told{})
		}
	}
	s.count()
	return out
}

// may asks whether this end may send now, and notes if it may not.
func (s *sender) may() (Fence, bool) {
	fence, ok := s.fence()
	s.held = s.held || !ok
	return fence, ok
}

// begin begins a comparison if this end may send.
func (s *sender) begin() []Message {
	fence, ok := s.may()
	if !ok {
		return nil
	}
	return []Message{s.compare(fence)}
}

// batches makes as many batches as the window and the fence allow.
func (s *sender) batches() (out []Message) {
	for len(s.inflight) < s.window && s.pending.len() > 0 {
		fence, ok := s.may()
		if !ok {
			break
		}
		batch, ok := s.collect(fence)
		if !ok {
			break
		}
		out = append(out, batch)
	}
	return out
}

// pull queues what changed in the Outbox, and removals that waited for it to be complete.
func (s *sender) pull() {
	for _, key := range s.sub.take() {
		if theirs, ok := s.parked[key]; ok {
			delete(s.parked, key)
			s.pending.add(key, theirs)
			continue
		}
		s.pending.touch(key)
	}
	if len(s.parked) > 0 && s.outbox.Complete() {
		s.enqueue(s.parked)
		clear(s.parked)
	}
}

// collect makes a batch of what is pending; ok is false if that is nothing. The position is read after the records, so
// that it is not behind any of them.
func (s *sender) collect(fence Fence) (b Batch, ok bool) {
	bytes := 0
	for len(b.Puts)+len(b.Removals) < batchRecords {
		key, theirs, waits := s.pending.front()
		if !waits {
			break
		}
		r, present := s.outbox.Get(key)
		if present && r.Version != theirs && len(r.Content) <= MaxRecord {
			if bytes > 0 && bytes+len(r.Content) > batchBytes {
				break
			}
			bytes += len(r.Content)
			b.Puts = append(b.Puts, r)
			s.pending.pop()
			continue
		}
		s.pending.pop()
		if present {
			s.leave(r, theirs)
		} else if cause, gone := s.outbox.removal(key); gone {
			b.Removals = append(b.Removals, Removal{Key: key, Cause: cause})
		} else if _, back := s.outbox.Get(key); back {
			s.pending.add(key, theirs)
		} else {
			s.parked[key] = theirs
		}
	}
	if len(b.Puts)+len(b.Removals) == 0 {
		return Batch{}, false
	}
	s.lastID++
	b.ID, b.Position, b.Fence = s.lastID, s.outbox.Position(), fence
	s.inflight = append(s.inflight, track(b, s.now))
	s.stats.BatchesSent.Add(1)
	s.stats.BatchRecords.Observe(len(b.Puts) + len(b.Removals))
	s.stats.RecordsSent.Add(int64(len(b.Puts)))
	s.stats.RemovalsSent.Add(int64(len(b.Removals)))
	s.stats.BytesSent.Add(int64(bytes))
	return b, true
}

// leave says of a record that is not sent why: the peer holds it, or it is too large. That the peer rejected it was
// told before.
func (s *sender) leave(r *record.Record, theirs record.Version) {
	if s.rejects(r.Key, r.Version) {
		return
	}
	o := Outcome{Key: r.Key, Version: r.Version, At: s.now}
	if r.Version == theirs {
		o.Found = true
	} else {
		o.Rejection = &Rejection{Key: r.Key, Version: r.Version, Reason: "TooLarge",
			Message: fmt.Sprintf("%d bytes are more than the %d that one record may have", len(r.Content), MaxRecord)}
	}
	s.note(o)
}

func track(b Batch, now time.Time) sent {
	t := sent{id: b.ID, at: now, keys: make([]record.KeyVersion, 0, len(b.Puts)+len(b.Removals))}
	for _, r := range b.Puts {
		t.keys = append(t.keys, record.KeyVersion{Key: r.Key, Version: r.Version})
	}
	for _, r := range b.Removals {
		t.keys = append(t.keys, record.KeyVersion{Key: r.Key})
	}
	return t
}

// acked takes an acknowledgement. One for a batch that is no longer in flight (it was refused) says nothing.
func (s *sender) acked(a Ack) error {
	if len(s.inflight) == 0 || a.ID < s.inflight[0].id {
		return nil
	}
	if a.ID > s.inflight[0].id {
		return fmt.Errorf("batch %d is acknowledged before batch %d", a.ID, s.inflight[0].id)
	}
	batch := s.inflight[0]
	s.inflight = s.inflight[1:]
	s.stats.Acknowledgements.Observe(s.now.Sub(batch.at))
	rejected := map[record.Key]*Rejection{}
	for i := range a.Rejected {
		rejected[a.Rejected[i].Key] = &a.Rejected[i]
	}
	held := map[record.Key]bool{}
	for _, key := range a.Held {
		held[key] = true
	}
	for _, kv := range batch.keys {
		s.note(Outcome{Key: kv.Key, Version: kv.Version, At: s.now, Held: held[kv.Key], Rejection: rejected[kv.Key]})
	}
	return nil
}

// reported takes results that came outside an acknowledgement.
func (s *sender) reported(r Report) error {
	for i, rejection := range r.Rejected {
		s.note(Outcome{Key: rejection.Key, Version: rejection.Version, At: s.now, Rejection: &r.Rejected[i]})
	}
	for _, kv := range r.Accepted {
		s.note(Outcome{Key: kv.Key, Version: kv.Version, At: s.now})
	}
	return s.strays(len(s.rejected))
}

func (s *sender) note(o Outcome) {
	if _, ok := s.mismatched[o.Key]; ok {
		delete(s.mismatched, o.Key)
		s.stats.Repairs.Add(1)
	}
	if o.Rejection != nil {
		s.rejected[o.Key] = o.Version
	} else {
		delete(s.rejected, o.Key)
	}
	s.outcomes = append(s.outcomes, o)
}

// rejects tells whether the peer said that it could not make this version effective.
func (s *sender) rejects(key record.Key, version record.Version) bool {
	v, rejected := s.rejected[key]
	return rejected && v == version
}

// wanted queues keys whatever the peer was found to hold.
func (s *sender) wanted(keys []record.Key) error {
	for _, key := range keys {
		delete(s.parked, key)
		delete(s.comparison.found, key)
		s.pending.add(key, record.Version{})
	}
	return s.strays(s.pending.len())
}

// refuse forgets what is under way: when the peer believes this end again, a comparison finds all of it, what it had
// applied and this end no longer waits to hear of included.
func (s *sender) refuse(r Refusal) {
	s.phase, s.refusal = refused, &r
	s.stats.Refused.Add(1)
	s.comparison.settled = false
	s.pending, s.inflight = pending{}, nil
	clear(s.parked)
}

// lifted tells whether the peer has reason to think again: this end moved, and far enough.
func (s *sender) lifted() bool {
	p := s.outbox.Position()
	f, ok := s.may()
	return ok && (p != s.refusal.Position || f != s.refusal.Fence) && s.refusal.lifted(p, f)
}

// again begins a comparison as soon as nothing is in flight, and againPause has passed since the last one began.
func (s *sender) again() { s.comparison.again = true }

// deadline is when ready has something to do though nothing else happens.
func (s *sender) deadline() (at time.Time, ok bool) {
	switch {
	case s.held:
		return s.now.Add(HoldPause), true
	case s.phase == streaming && len(s.inflight) == 0:
		return s.comparison.dueAt(), true
	case s.phase == refused && s.comparison.again:
		return s.comparison.dueAt(), true
	case s.phase == refused && s.refusal.Kind != RefusedRole:
		return s.now.Add(refusedPause), true
	}
	return time.Time{}, false
}

// strays checks that a peer keeps to a bound in naming keys that this end may know nothing of.
func (s *sender) strays(named int) error {
	if bound := s.outbox.Len() + maxStrays; named > bound {
		return fmt.Errorf("the peer names %d keys, more than the %d that there can be", named, bound)
	}
	return nil
}

func (s *sender) inSync() bool {
	return s.phase == streaming && s.pending.len() == 0 && len(s.parked) == 0 && len(s.inflight) == 0
}

// count keeps the gauge of pending keys.
func (s *sender) count() {
	now := s.pending.len() + len(s.parked)
	s.stats.Pending.Add(int64(now - s.counted))
	s.counted = now
}

func (s *sender) close() {
	s.sub.Close()
	s.stats.Pending.Add(int64(-s.counted))
	s.counted = 0
}
