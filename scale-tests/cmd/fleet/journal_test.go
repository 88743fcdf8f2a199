package main

import (
	"context"
	"errors"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

func TestJournalWaits(t *testing.T) {
	j := newJournal()
	write := func(cluster string, round int) {
		w := simagent.Write{Cluster: cluster, Key: record.Key{Kind: record.KindObject, Name: deploymentKey + "a"}, Round: round}
		if round >= 0 {
			w.Version = record.VersionOf([]byte{byte(round)})
		}
		j.wrote(w)
	}
	reached := func(round, clusters int) bool {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := j.await(ctx, "a", round, clusters)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, step := range []struct {
		name            string
		cluster         string
		write           int
		round, clusters int
		want            bool
	}{
		{"too early", "x", 0, 1, 1, false},
		{"one of two", "x", 1, 1, 2, false},
		{"a later round", "y", 2, 1, 2, true},
		{"not all at the later", "y", 2, 2, 2, false},
		{"one is left", "x", -1, 0, 0, false},
		{"none is left", "y", -1, 0, 0, true},
	} {
		write(step.cluster, step.write)
		if got := reached(step.round, step.clusters); got != step.want {
			t.Errorf("%s: got %t, want %t", step.name, got, step.want)
		}
	}
	if writes, repeated := j.count(); writes != 6 || repeated != 2 {
		t.Errorf("got %d writes, %d repeated; want 6, 2 (both removals say that nothing was there)", writes, repeated)
	}
}
