//go:build linux

package zonefaults

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/shard"
)

// settled waits until all replicas run and are listed, one of them leads, and the clusters are claimed as they are dealt.
func (f *fixture) settled(t *testing.T) {
	t.Helper()
	for _, r := range f.replicas {
		must(t, r.host.healAll())
		if !r.runs() {
			f.startReplica(t, r)
		}
	}
	running := f.others(nil)
	f.await(t, "the zone is whole", func(ctx context.Context) error {
		if got := f.roster.listed(); !slices.Equal(got, running) {
			return fmt.Errorf("listed are %q, want %q", got, running)
		}
		if leader := f.roster.leads(); !slices.Contains(running, leader) {
			return fmt.Errorf("%q leads", leader)
		}
		return f.shared()
	})
}

// shared is an error unless the clusters are claimed as they are dealt to all replicas that run.
func (f *fixture) shared() error {
	if got, want := f.roster.owners(), dealt(f.others(nil)); !maps.Equal(got, want) {
		return fmt.Errorf("the clusters are claimed by %v, want %v", got, want)
	}
	return nil
}

// dealt says which replica the clusters, all of one size, are dealt to.
func dealt(replicas []string) map[string]string {
	var loads []shard.Load
	for _, name := range clusters {
		loads = append(loads, shard.Load{Key: name, Weight: 1})
	}
	return shard.Deal(replicas, loads)
}

// owned is an error unless every cluster is claimed by one of these.
func (f *fixture) owned(by []string) error {
	owners := f.roster.owners()
	for _, name := range clusters {
		if !slices.Contains(by, owners[name]) {
			return fmt.Errorf("%s is claimed by %q, want one of %q", name, owners[name], by)
		}
	}
	return nil
}

// others are the replicas that run but one, which may be nil.
func (f *fixture) others(but *replica) []string {
	var out []string
	for _, r := range f.replicas {
		if r != but && r.runs() {
			out = append(out, r.id)
		}
	}
	return out
}

// leader is the replica that leads.
func (f *fixture) leader(t *testing.T) *replica {
	t.Helper()
	return f.replica(t, "leads", func(r *replica) bool { return r.id == f.roster.leads() })
}

// owner is a replica that owns a cluster and does not lead.
func (f *fixture) owner(t *testing.T) *replica {
	t.Helper()
	owners := f.roster.owners()
	return f.replica(t, "owns a cluster and does not lead", func(r *replica) bool {
		return r.id != f.roster.leads() && slices.ContainsFunc(clusters, func(c string) bool { return owners[c] == r.id })
	})
}

func (f *fixture) replica(t *testing.T, what string, is func(*replica) bool) *replica {
	t.Helper()
	for _, r := range f.replicas {
		if is(r) {
			return r
		}
	}
	t.Fatalf("no replica %s: leader %q, claims %v", what, f.roster.leads(), f.roster.owners())
	return nil
}

// of are the clusters that a replica has claimed.
func (f *fixture) of(r *replica) []string {
	owners := f.roster.owners()
	return slices.DeleteFunc(slices.Clone(clusters), func(c string) bool { return owners[c] != r.id })
}

// takenOver waits until others have claimed all clusters of a replica.
func (f *fixture) takenOver(t *testing.T, from *replica) {
	t.Helper()
	f.await(t, from.id+" owns nothing any more", func(context.Context) error { return f.owned(f.others(from)) })
}

// number reads a metric that must be there.
func (f *fixture) number(t *testing.T, admin, name string) float64 {
	t.Helper()
	var out float64
	f.await(t, "metrics are read", func(ctx context.Context) (err error) {
		out, err = f.metric(ctx, admin, name)
		return err
	})
	return out
}

// logged counts the lines of a replica's log that have a text.
func (f *fixture) logged(t *testing.T, r *replica, text string) int {
	t.Helper()
	b, err := os.ReadFile(f.log(r.id))
	must(t, err)
	return strings.Count(string(b), text)
}

// atLeast is an error unless got is want or more.
func atLeast(what string, got, want int) error {
	if got >= want {
		return nil
	}
	return fmt.Errorf("%s: got %d, want at least %d", what, got, want)
}
