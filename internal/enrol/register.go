package enrol

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// ErrFollows: this replica of Global cannot decide, since it does not lead, or has not read the inventory yet. Ask
// another, or again.
var ErrFollows = fmt.Errorf("%w: this replica of Global does not decide on enrolments; ask another, or again", question.ErrUnavailable)

// Writer writes the records of one term; store.Writer is one. When Apply returns, the mirror shows what it wrote.
type Writer interface {
	Apply(ctx context.Context, writes []store.Write, meta map[string][]byte) (int, error)
}

// Register keeps tokens and grants. Any replica may read it; one decides, from when it leads and knows the inventory. All
// methods may be called from several goroutines.
type Register struct {
	mirror *store.Mirror
	log    *slog.Logger
	// changed holds a token when the next token to end may be another.
	changed chan struct{}

	turn   chan struct{} // holds a token while a decision is made: each reads what the one before it wrote
	writer Writer        // guarded by turn; nil while this replica does not lead
	places *Places       // guarded by turn; nil until the inventory was read in this term
	// settled is guarded by turn; closed and replaced when places is.
	settled chan struct{}
}

// New makes a register on the records that a mirror shows.
func New(mirror *store.Mirror, log *slog.Logger) *Register {
	return &Register{mirror: mirror, log: log, changed: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		settled: make(chan struct{})}
}

// Lead decides until ctx ends, and drops tokens some time after they have ended.
func (r *Register) Lead(ctx context.Context, w Writer) error {
	if err := r.take(ctx); err != nil {
		return nil
	}
	r.writer = w
	r.leave()
	defer func() {
		r.turn <- struct{}{} // not r.take: this must happen, and decisions under way end with the term
		r.writer, r.places = nil, nil
		r.leave()
	}()
	return r.sweep(ctx)
}

func (r *Register) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a turn to decide: %w", context.Cause(ctx))
	}
}

func (r *Register) leave() { <-r.turn }

// decide runs fn in its turn, with the writer and the places that count then.
func (r *Register) decide(ctx context.Context, fn func(Writer, *Places) error) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.leave()
	if r.writer == nil || r.places == nil {
		return ErrFollows
	}
	return fn(r.writer, r.places)
}

// Settle has the places of the inventory count from now on. It returns what is to be written because others are gone:
// their grants raised, their tokens removed. The caller writes that before anything else of the same change; nothing else
// writes these records meanwhile, since nobody can enrol as a place that is gone.
func (r *Register) Settle(ctx context.Context, places Places) ([]store.Write, error) {
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	r.places = &places
	close(r.settled)
	r.settled = make(chan struct{})
	var out []store.Write
	for g := range r.grants() {
		if g.Enrolled && !places.hasText(g.Path) {
			g.Generation, g.Enrolled, g.Token = g.Generation+1, false, ""
			out = append(out, store.Write{Record: g.Record()})
		}
	}
	for t := range r.tokens() {
		if !places.hasText(t.Path) {
			out = append(out, remove(t.ID))
		}
	}
	return out, nil
}

func remove(id string) store.Write {
	return store.Write{Record: record.Record{Key: record.TokenKey(id)}, Delete: true, Cause: record.CausePerson}
}

// Await waits until a place is in the inventory, or ctx ends: its error then says so. Until this replica has read the
// inventory every place will do: what it may is then up to its certificate alone.
func (r *Register) Await(ctx context.Context, path question.Path) error {
	for {
		if err := r.take(ctx); err != nil {
			return err
		}
		known, settled := r.places == nil || r.places.Has(path), r.settled
		r.leave()
		if known {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("%s is not in the inventory; create its resource at Global's API server", path)
		}
	}
}

// Enrolled lists the places that are.
func (r *Register) Enrolled() []question.Path {
	var out []question.Path
	for g := range r.grants() {
		path, err := question.ParsePath(g.Path)
		if err == nil && g.Enrolled {
			out = append(out, path)
		}
	}
	return out
}

func (r *Register) grants() iter.Seq[record.Grant] {
	return func(yield func(record.Grant) bool) {
		for e := range r.mirror.Snapshot().All(record.KindGrant) {
			g, err := record.DecodeGrant(e.Record)
			if err != nil {
				r.log.Error("stored grant cannot be read", "record", e.Key, "error", err)
				continue
			}
			if !yield(g) {
				return
			}
		}
	}
}

// Grant is what is accepted of a place; the zero Grant where nobody has enrolled as it yet. Global is enrolled from the
// start, by the process that made the root.
func (r *Register) Grant(path question.Path) (record.Grant, error) {
	e, ok := r.mirror.Snapshot().Get(record.GrantKey(path.String()))
	if !ok {
		return record.Grant{Enrolled: path.Tier() == question.TierGlobal}, nil
	}
	return record.DecodeGrant(e.Record)
}

// keepEnded is how long a token is kept after its end, so that who comes late with it is told why it is refused.
const keepEnded = time.Hour

// retry is how long the sweep waits after the store refused it.
const retry = 10 * time.Second

// sweep drops tokens when they have ended long enough, until ctx ends.
func (r *Register) sweep(ctx context.Context) error {
	for {
		var due <-chan time.Time
		if next, ok := r.nextEnd(); ok {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
			continue
		case <-due:
		}
		if err := r.drop(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("dropping tokens that have ended", "error", err, "again", retry)
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
		}
	}
}

// nextEnd is when the next token is to be dropped.
func (r *Register) nextEnd() (next time.Time, ok bool) {
	for t := range r.tokens() {
		if end := t.Expires.Add(keepEnded); !ok || end.Before(next) {
			next, ok = end, true
		}
	}
	return next, ok
}

func (r *Register) drop(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.leave()
	if r.writer == nil {
		return nil
	}
	var out []store.Write
	for t := range r.tokens() {
		if !time.Now().Before(t.Expires.Add(keepEnded)) {
			out = append(out, remove(t.ID))
		}
	}
	_, err := r.writer.Apply(ctx, out, nil)
	return err
}

// hashes of keys are SHA-256.
type keyHash = [sha256.Size]byte
