package feed

import (
	"fmt"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// listBytes is about how large one Lists message grows.
const listBytes = 256 << 10

// receiver takes what the peer sends into the Ledger, and has the holder apply it.
type receiver struct {
	ledger  *Ledger
	session uint64
	window  int
	stats   *Stats

	lastID uint64
	// queue are the batches given to the holder and not applied yet, in order; busy counts the keys in them.
	queue []accepted
	busy  map[record.Key]int
	// batches wait to be given to the holder.
	batches []Batch
	// root is a comparison that waits until the queue is empty: what is being applied is not in the Ledger yet.
	root *Root
	// refusal is set until a Root is accepted; batches are dropped meanwhile.
	refusal *Refusal
	// told: the rejections were reported in this session.
	told bool
	// heard: the peer has told all that it holds.
	heard bool
	now   time.Time
}

type accepted struct {
	batch Batch
	admission
}

func newReceiver(cfg Config, now time.Time) *receiver {
	return &receiver{ledger: cfg.Ledger, session: cfg.Ledger.attach(), window: cfg.Window, stats: cfg.Stats,
		busy: map[record.Key]int{}, now: now}
}

// ready passes on what the holder told the Ledger.
func (r *receiver) ready() []Message {
	if !r.ledger.attached(r.session) {
		return nil
	}
	return r.ledger.takeNews()
}

// compare answers a Root, or keeps it until all that came before it is applied.
func (r *receiver) compare(root Root) []Message {
	if len(r.queue) > 0 {
		r.root = &root
		return nil
	}
	r.root = nil
	if refusal := r.ledger.believe(root.Position, root.Fence); refusal != nil {
		return r.refuse(*refusal)
	}
	r.refusal = nil
	var out []Message
	if !r.told {
		r.told = true
		for rejected := range slices.Chunk(r.ledger.rejections(), batchRecords) {
			out = append(out, Report{Rejected: bounded(rejected)})
		}
	}
	equal, digests := r.ledger.compare(root.Digest, root.Position)
	if equal {
		return append(out, Equal{Round: root.Round})
	}
	return append(out, Differ{Round: root.Round, Digests: digests})
}

func (r *receiver) refuse(refusal Refusal) []Message {
	r.refusal = &refusal
	r.stats.Refusals.Add(1)
	if refusal.Kind == RefusedFence {
		r.stats.FencesRefused.Add(1)
	}
	return []Message{Refused{Refusal: refusal}}
}

// list gives the lists asked for, in messages of a bounded size.
func (r *receiver) list(ask Select) []Message {
	var out []Message
	part := Lists{Round: ask.Round}
	bytes := 0
	for _, b := range ask.Buckets {
		if b < 0 || b >= Buckets {
			continue
		}
		list := List{Bucket: b, Keys: r.ledger.list(b)}
		for _, kv := range list.Keys {
			bytes += len(kv.Key.Kind) + len(kv.Key.Name) + len(kv.Version) + 8
		}
		part.Lists = append(part.Lists, list)
		if bytes > listBytes {
			out = append(out, part)
			part, bytes = Lists{Round: ask.Round}, 0
		}
	}
	if len(part.Lists) > 0 {
		out = append(out, part)
	}
	return out
}

// take takes a batch. One that came before says nothing new; one that is missing ends the session.
func (r *receiver) take(b Batch) ([]Message, error) {
	switch {
	case b.ID <= r.lastID:
		return nil, nil
	case b.ID > r.lastID+1:
		return nil, fmt.Errorf("batch %d came after batch %d", b.ID, r.lastID)
	}
	r.lastID = b.ID
	if r.refusal != nil {
		return nil, nil
	}
	if len(r.queue) >= r.window {
		return nil, fmt.Errorf("batch %d is beyond the window of %d", b.ID, r.window)
	}
	if refusal := r.ledger.believe(b.Position, b.Fence); refusal != nil {
		return r.refuse(*refusal), nil
	}
	if err := r.ledger.exceeded(b); err != nil {
		return nil, err
	}
	admission := r.ledger.admit(&b, r.now, func(key record.Key) bool { return r.busy[key] > 0 })
	r.stats.BatchesReceived.Add(1)
	r.stats.RecordsReceived.Add(int64(len(b.Puts)))
	for _, put := range b.Puts {
		r.stats.BytesReceived.Add(int64(len(put.Content)))
	}
	r.stats.RemovalsReceived.Add(int64(len(b.Removals)))
	r.stats.HeldBack.Add(int64(len(admission.held)))
	r.queue = append(r.queue, accepted{b, admission})
	r.occupy(b, 1)
	r.batches = append(r.batches, b)
	return nil, nil
}

// applied notes the result of the oldest batch and acknowledges it.
func (r *receiver) applied(id uint64, rejections []Rejection) []Message {
	head := r.queue[0]
	if head.batch.ID != id {
		panic(fmt.Sprintf("feed: batch %d applied before batch %d", id, head.batch.ID))
	}
	r.queue = r.queue[1:]
	r.occupy(head.batch, -1)
	rejected := named(head.batch, rejections)
	r.ledger.applied(head.batch, rejected)
	r.stats.Rejections.Add(int64(len(rejected)))
	ack := Ack{ID: id, Held: head.held, Rejected: r.ledger.rejectedAmong(head.spared)}
	for _, rejection := range rejected {
		ack.Rejected = append(ack.Rejected, rejection)
	}
	slices.SortFunc(ack.Rejected, func(a, b Rejection) int { return a.Key.Compare(b.Key) })
	ack.Rejected = bounded(ack.Rejected)
	out := []Message{ack}
	if r.root != nil {
		out = append(out, r.compare(*r.root)...)
	}
	return out
}

// close leaves the Ledger knowing what was given out and not applied.
func (r *receiver) close() {
	given := make([]Batch, len(r.queue))
	for i, a := range r.queue {
		given[i] = a.batch
	}
	r.queue = nil
	r.ledger.detach(r.session, given)
}

func (r *receiver) occupy(b Batch, by int) {
	for _, record := range b.Puts {
		r.count(record.Key, by)
	}
	for _, removal := range b.Removals {
		r.count(removal.Key, by)
	}
}

func (r *receiver) count(key record.Key, by int) {
	if r.busy[key] += by; r.busy[key] == 0 {
		delete(r.busy, key)
	}
}

// named keeps the rejections of keys that the batch has, with the versions that it has.
func named(b Batch, rejections []Rejection) map[record.Key]Rejection {
	all := make(map[record.Key]Rejection, len(rejections))
	for _, rejection := range rejections {
		all[rejection.Key] = rejection
	}
	named := make(map[record.Key]Rejection, len(rejections))
	for _, put := range b.Puts {
		if rejection, ok := all[put.Key]; ok {
			rejection.Version = put.Version
			named[put.Key] = rejection
		}
	}
	for _, removal := range b.Removals {
		if rejection, ok := all[removal.Key]; ok {
			rejection.Version = record.Version{}
			named[removal.Key] = rejection
		}
	}
	return named
}

// maxReason bounds the text of a rejection that travels, in bytes.
const maxReason = 2 << 10

// bounded cuts the texts of rejections, so that a message of them stays small.
func bounded(rejections []Rejection) []Rejection {
	for i, r := range rejections {
		if len(r.Message) > maxReason {
			rejections[i].Message = r.Message[:maxReason]
		}
	}
	return rejections
}
