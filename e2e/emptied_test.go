package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
)

// TestEmptiedHubRemovesNothing puts Global before an API server that has lost all its data.
func TestEmptiedHubRemovesNothing(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "forgotten")
	f.submit(t, appSpec{namespace: "forgotten", name: "web", clusters: only(westB1, eastA1), mode: "Duplicated"}.manifest())
	f.ready(t, "forgotten", "web")
	before, since := f.inventory(t), f.mark(t)

	f.emptyHub(t)
	f.refusesHub(t)
	f.kill(t, "global")
	// The samples come back by this, and nothing else.
	f.upFails(t, "identity", "meridian confirm global --what identity")
	f.refusesHub(t)
	f.stands(t, before)

	said := f.atHub(t, "confirm", "global", "--what", "identity")
	if !strings.Contains(said, "kube-system") {
		t.Errorf("`meridian confirm` does not say what it has accepted: %s", said)
	}
	f.holdsBack(t, "beat/beat", "forgotten/web")
	f.kill(t, "global")
	f.restart(t, "global")
	f.submit(t, beatManifest(f.beats))
	f.holdsBack(t, "forgotten/web")
	said = f.meridian(t, "status")
	for _, want := range []string{"held", "forgotten/web", "meridian confirm global --what removals"} {
		if !strings.Contains(said, want) {
			t.Errorf("`meridian status` does not say %q:\n%s", want, said)
		}
	}
	f.beat(t)
	f.stands(t, before)

	f.meridian(t, "confirm", "global", "--what", "removals")
	f.gone(t, "forgotten", "web", westB1, eastA1)
	await(t, "its namespace is gone", func(ctx context.Context) error { return f.emptied(ctx, "forgotten") })
	f.settled(t)
	forgotten := removal("forgotten", "web", true)
	f.wrote(t, since, map[string][]string{westB1: forgotten, eastA1: forgotten})
}

// emptyHub has the hub's API server lose its data. Its address and its users stay.
func (f *federation) emptyHub(t *testing.T) {
	t.Helper()
	for _, p := range []string{"global-apiserver", "global-controller-manager"} {
		f.kill(t, p)
	}
	dir := f.run.Data("kube-global")
	for _, lost := range []string{"etcd", "installed"} {
		if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.run.Kube(t.Context(), "global"); err != nil {
		t.Fatal(err)
	}
}

// atHub runs a command that asks Global, by its address: the hub that would tell it is empty.
func (f *federation) atHub(t *testing.T, args ...string) string {
	t.Helper()
	return f.meridian(t, append(args, "--hub", f.run.HubAddress(), "--hub-ca-file", f.run.HubRoots())...)
}

// refusesHub waits until Global says that the hub is another.
func (f *federation) refusesHub(t *testing.T) {
	t.Helper()
	await(t, "Global refuses the hub", func(ctx context.Context) error {
		tree, err := f.tree(ctx)
		if err != nil {
			return err
		}
		for _, r := range tree.Overview.Refusals {
			if r.Kind == question.WhatIdentity {
				return nil
			}
		}
		return fmt.Errorf("it refuses %+v", tree.Overview.Refusals)
	})
	if said := f.atHub(t, "status"); !strings.Contains(said, "identity") {
		t.Errorf("`meridian status` does not show that Global refuses the hub:\n%s", said)
	}
}

// holdsBack waits until Global holds back the removal of these applications. It may hold back inventory besides.
func (f *federation) holdsBack(t *testing.T, want ...string) {
	t.Helper()
	await(t, "the removals are held back", func(ctx context.Context) error {
		tree, err := f.tree(ctx)
		if err != nil {
			return err
		}
		if tree.Overview.Held == nil {
			return errors.New("none is")
		}
		var got []string
		for _, h := range tree.Overview.Held.Removals {
			if strings.Contains(h.Key, "/") {
				got = append(got, h.Key)
			}
		}
		if d := differ(got, want); d != "" {
			return fmt.Errorf("others are:%s", d)
		}
		return nil
	})
}
