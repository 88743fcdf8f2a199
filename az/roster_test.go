package az

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
)

// loss is a gossip that says that one member was lost at a time, and nothing after.
type loss struct {
	id string
	at time.Time
}

func (loss) Run(context.Context) error                  { return nil }
func (loss) Changed() <-chan struct{}                   { return nil }
func (l loss) Lost(id string) (at time.Time, lost bool) { return l.at, id == l.id }

// membership is one whose lease is always fresh.
type membership struct{ store.Membership }

func (membership) Fresh() bool { return true }

// deposer is a registry that fails, or answers when it is no longer waited for, before it deposes.
type deposer struct {
	store.Registry
	tries   []func(context.Context) error
	deposed chan string
}

func (d *deposer) Depose(ctx context.Context, id string) error {
	if len(d.tries) > 0 {
		try := d.tries[0]
		d.tries = d.tries[1:]
		return try(ctx)
	}
	d.deposed <- id
	return nil
}

// newLosing is the roster of r0, whose gossip has just lost r1, which leads.
func newLosing(t *testing.T, registry store.Registry) *roster {
	t.Helper()
	members := map[string]store.Member{"r0": {ID: "r0", Address: "a0"}, "r1": {ID: "r1", Address: "a1"}}
	r := newRoster(members["r0"], registry, loss{id: "r1", at: time.Now().Add(time.Nanosecond)}, slog.New(slog.DiscardHandler))
	r.take(&store.Roster{Members: members, Leader: "r1"}, membership{}, true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.listen(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestAgentsHearOfMembersThatAreBack has gossip lose a member that keeps its lease.
func TestAgentsHearOfMembersThatAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLosing(t, &deposer{deposed: make(chan string, 1)})
		began := time.Now()
		all, changed := r.addresses()
		if !slices.Equal(all, []string{"a0"}) {
			t.Fatalf("gossip has lost r1: agents may turn to %v, want a0 alone", all)
		}
		for len(all) < 2 {
			select {
			case <-changed:
				all, changed = r.addresses()
			case <-time.After(time.Minute):
				t.Fatal("r1 has kept its lease, and agents were not told")
			}
		}
		if took := time.Since(began); took > proofAfter+time.Millisecond {
			t.Errorf("agents were told after %v, want %v", took, proofAfter)
		}
	})
}

// TestDeposeAgain has the store fail, and then not answer, when a leader that is gone is to be deposed.
func TestDeposeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deposer{deposed: make(chan string, 1), tries: []func(context.Context) error{
			func(context.Context) error { return errors.New("no leader") },
			func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}}}
		newLosing(t, d)
		select {
		case id := <-d.deposed:
			if id != "r1" {
				t.Errorf("%s was deposed, want r1", id)
			}
		case <-time.After(time.Minute):
			t.Error("the leader that is gone was not deposed")
		}
	})
}
