// Package intake is the receiving side of the link to the parent, which regions and zones share: it writes the parent's
// records to the tier's own store, each batch with the feed's state in its last transaction, and acknowledges only what
// is committed.
//
// Only the tier's leader runs an Intake, one for each term. The Ledger is made from what the store holds of the parent's
// records, so that a restart asks for nothing that is there; the tier's own decisions are not part of it. Regions and
// zones import the package; it knows neither.
package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// MetaFloor names the meta value that holds the feed's state: the floor, and the guard's memory.
const MetaFloor = "floor"

// The reasons of rejected records.
const (
	// ReasonInvalidRecord is one that cannot be decoded or must not come from above.
	ReasonInvalidRecord = "InvalidRecord"
	// ReasonLate is a location that was said before the one that is here.
	ReasonLate = "Late"
)

// Writer writes the leader's records; *store.Writer is one.
type Writer interface {
	Apply(ctx context.Context, writes []store.Write, meta map[string][]byte) (changed int, err error)
}

// Rules are what a tier decides at the moment when records come and go. The zero Rules add nothing.
type Rules struct {
	// Follow returns what goes with a record that the parent removes, such as the tier's own decisions about it. They are
	// written right behind it, so that they share its transaction, or nearly always do.
	Follow func(snapshot *store.Snapshot, removed feed.Removal) []store.Write
	// Needed tells whether a revision that the parent removes must stay until Sweep, seen that other keys are going.
	Needed func(snapshot *store.Snapshot, revision record.Key, going map[record.Key]struct{}) bool
	// Decides tells whether a record, of a kind that comes from above as well, is the tier's own decision. The parent neither
	// puts nor removes it.
	Decides func(key record.Key) bool
}

// own tells whether a record is the tier's own to decide, or of one of its own clusters, and came from below: where something
// runs is told by whoever the cluster is in.
func (r Rules) own(snapshot *store.Snapshot, key record.Key) bool {
	if r.Decides != nil && r.Decides(key) {
		return true
	}
	cluster := key.Site()
	if cluster == "" {
		return false
	}
	_, listed := snapshot.Get(record.ClusterKey(cluster))
	return listed
}

// Intake takes one parent's records into the store, for one term.
type Intake struct {
	mirror *store.Mirror
	writer Writer
	rules  Rules
	log    *slog.Logger
	ledger *feed.Ledger

	mu sync.Mutex // held over writes, so that a sweep and a batch take turns
	// retained are records that the parent took back and that are still needed here; guarded by mu.
	retained map[record.Key]struct{}
}

// New makes the intake of a term. The mirror must be ready and show all that earlier terms wrote.
func New(mirror *store.Mirror, writer Writer, rules Rules, log *slog.Logger) (*Intake, error) {
	snapshot := mirror.Snapshot()
	var state feed.State
	if text := snapshot.Meta(MetaFloor); text != nil {
		if err := json.Unmarshal(text, &state); err != nil {
			return nil, fmt.Errorf("reading the floor: %w", err)
		}
	}
	return &Intake{mirror: mirror, writer: writer, rules: rules, log: log,
		ledger: feed.NewLedger(state, fromAbove(snapshot, rules)), retained: map[record.Key]struct{}{}}, nil
}

// Ledger is what the tier holds of the parent's records.
func (in *Intake) Ledger() *feed.Ledger { return in.ledger }

// fromAbove lists what a store holds of its parent's records.
func fromAbove(snapshot *store.Snapshot, rules Rules) iter.Seq[record.KeyVersion] {
	return func(yield func(record.KeyVersion) bool) {
		for e := range snapshot.Entries() {
			if comesDown(e.Key.Kind) && !rules.own(snapshot, e.Key) && !yield(record.KeyVersion{Key: e.Key, Version: e.Version}) {
				return
			}
		}
	}
}

// comesDown tells whether a tier takes records of a kind from its parent. It does not know every kind: what is not known
// here comes from above and is handed on.
func comesDown(kind record.Kind) bool {
	switch kind {
	case record.KindBinding, record.KindObject, record.KindStatus, record.KindHealth, record.KindStanding,
		record.KindToken, record.KindTrust, record.KindAllotment, record.KindDemand:
		return false
	default:
		return true
	}
}

// Apply writes a batch and returns when it is committed and the mirror shows it. Records that cannot be decoded are
// rejected and keep no other from being written.
func (in *Intake) Apply(ctx context.Context, batch feed.Batch) ([]feed.Rejection, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	writes, rejected := in.puts(batch.Puts)
	removals, retained := in.removals(batch.Removals)
	writes = append(writes, removals...)
	changed, err := in.writer.Apply(ctx, writes, map[string][]byte{MetaFloor: encode(batch.State)})
	if err != nil {
		return nil, fmt.Errorf("writing a batch of %d records: %w", len(writes), err)
	}
	for _, w := range writes {
		delete(in.retained, w.Key)
	}
	for _, key := range retained {
		in.retained[key] = struct{}{}
	}
	in.log.Debug("batch taken in", "puts", len(batch.Puts), "removals", len(batch.Removals), "changed", changed,
		"rejected", len(rejected), "position", batch.Position)
	return rejected, nil
}

func (in *Intake) puts(records []*record.Record) (writes []store.Write, rejected []feed.Rejection) {
	snapshot := in.mirror.Snapshot()
	for _, r := range records {
		if reason, err := in.acceptable(snapshot, *r); err != nil {
			in.log.Warn("record rejected", "key", r.Key, "error", err)
			rejected = append(rejected, feed.Rejection{Key: r.Key, Version: r.Version, Reason: reason, Message: err.Error()})
			continue
		}
		writes = append(writes, store.Write{Record: *r})
	}
	return writes, rejected
}

// acceptable says why a record is not taken.
func (in *Intake) acceptable(snapshot *store.Snapshot, r record.Record) (reason string, err error) {
	switch err := record.Validate(r); {
	case err != nil:
		return ReasonInvalidRecord, err
	case !comesDown(r.Key.Kind):
		return ReasonInvalidRecord, fmt.Errorf("records of kind %s do not come from above", r.Key.Kind)
	case in.rules.own(snapshot, r.Key):
		return ReasonInvalidRecord, fmt.Errorf("record %s is decided here or told from below, and does not come from above", r.Key)
	case r.Key.Kind == record.KindLocation && late(snapshot, r):
		return ReasonLate, fmt.Errorf("record %s was said before the one that is here", r.Key)
	}
	return "", nil
}

// late tells whether a location was said before the one that is here.
func late(snapshot *store.Snapshot, r record.Record) bool {
	e, ok := snapshot.Get(r.Key)
	if !ok {
		return false
	}
	held, err := record.DecodeLocation(e.Record)
	if err != nil {
		return false
	}
	next, err := record.DecodeLocation(r)
	return err == nil && next.Late(held)
}

// removals turns the parent's removals into writes, each followed by what goes with it; those still needed are retained.
func (in *Intake) removals(removals []feed.Removal) (writes []store.Write, retained []record.Key) {
	snapshot := in.mirror.Snapshot()
	var candidates []feed.Removal
	for _, r := range removals {
		if !comesDown(r.Key.Kind) || in.rules.own(snapshot, r.Key) {
			continue
		}
		if in.rules.Needed != nil && r.Key.Kind == record.KindRevision {
			candidates = append(candidates, r)
			continue
		}
		writes = append(writes, remove(r.Key, r.Cause))
		if in.rules.Follow != nil {
			writes = append(writes, in.rules.Follow(snapshot, r)...)
		}
	}
	going := make(map[record.Key]struct{}, len(writes))
	for _, w := range writes {
		going[w.Key] = struct{}{}
	}
	for _, r := range candidates {
		if in.rules.Needed(snapshot, r.Key, going) {
			retained = append(retained, r.Key)
			continue
		}
		writes = append(writes, remove(r.Key, r.Cause))
	}
	return writes, retained
}

func remove(key record.Key, cause record.Cause) store.Write {
	return store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause}
}

// Retained tells whether a record is one that the parent took back and that was still needed.
func (in *Intake) Retained(key record.Key) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, ok := in.retained[key]
	return ok
}

// Sweep removes retained records that are no longer needed; others among the keys are left alone.
func (in *Intake) Sweep(ctx context.Context, keys []record.Key) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var writes []store.Write
	for _, key := range keys {
		if _, ok := in.retained[key]; ok {
			writes = append(writes, remove(key, record.CauseScope))
		}
	}
	if len(writes) == 0 {
		return nil
	}
	if _, err := in.writer.Apply(ctx, writes, nil); err != nil {
		return fmt.Errorf("removing %d records that are no longer needed: %w", len(writes), err)
	}
	for _, w := range writes {
		delete(in.retained, w.Key)
	}
	return nil
}

// Confirm lets pass what is held back or refused, and persists that it may. It returns a sentence for people.
func (in *Intake) Confirm(ctx context.Context, what string) (string, error) {
	n, err := in.ledger.Confirm(feed.Confirmation(what))
	if err != nil {
		return "", err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, err := in.writer.Apply(ctx, nil, map[string][]byte{MetaFloor: encode(in.ledger.State())}); err != nil {
		return "", fmt.Errorf("persisting the confirmation: %w", err)
	}
	in.log.Info("confirmed", "what", what, "keys", n)
	return Confirmed(what, n), nil
}

// Confirmed is the sentence that says what a confirmation did.
func Confirmed(what string, keys int) string {
	if what == string(feed.ConfirmRemovals) {
		return fmt.Sprintf("%d removals that were held back may happen", keys)
	}
	return fmt.Sprintf("the parent's %s is accepted", what)
}

func encode(state feed.State) []byte {
	text, err := json.Marshal(state)
	if err != nil {
		panic(fmt.Sprintf("encoding the feed's state: %v", err)) // numbers and flags
	}
	return text
}
