package global_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// run opens an identity as open does, and runs it until the test or stop ends it.
func run(t *testing.T, path question.Path, set func(*identity.Config)) (*identity.Identity, func()) {
	t.Helper()
	id, err := tryOpen(t, path, set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- id.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the identity of %s ended with %v", path, err)
		}
	})
	t.Cleanup(stop)
	return id, stop
}

// TestLostRoot: Global lost the folder with its root. It does not start with another root, unless a person says so; a region
// follows with the certificate that it has, once a person gives it the new pin; and a rotation drops the lost root.
func TestLostRoot(t *testing.T) {
	h, s := startHub(t), mem.New()
	h.set(t, inventory...)
	lost, stopLost := run(t, question.Path{}, func(*identity.Config) {})
	before := startGlobalAs(t, s, h.kube.RESTConfig(), lost)
	dir := filepath.Join(t.TempDir(), "region")
	join := before.with(t, before.token(t, westPath))
	region, stopRegion := run(t, westPath, func(cfg *identity.Config) { join(cfg); cfg.Dir = dir })
	old := region.Source.Status().Root
	stopRegion()
	before.stop()
	stopLost()

	own := filepath.Join(t.TempDir(), "global")
	inFolder := func(cfg *identity.Config) { cfg.Dir = own }
	refused, stopRefused := run(t, question.Path{}, inFolder)
	err := tryGlobal(t, s.Open(), h.kube.RESTConfig(), refused)
	if err == nil || !strings.Contains(err.Error(), "has a root of its own") || !strings.Contains(err.Error(), "identity.adoptRoot") {
		t.Errorf("an empty folder: got %v, want it refused with what to do", err)
	}
	stopRefused()

	next, _ := run(t, question.Path{}, func(cfg *identity.Config) { inFolder(cfg); cfg.AdoptRoot = true })
	g := startGlobalWith(t, s.Open(), h, next, func(c *global.Config) { c.Identity.AdoptRoot = true })
	eventually(t, "the adoption is recorded", func() string {
		events := g.trail.Events(audit.AuthorityAdopt)
		if len(events) != 1 || events[0].Subject != identity.PinOf(next.Source.Status().Root) || events[0].Detail["lost"] != identity.PinOf(old) {
			return fmt.Sprintf("%+v", events)
		}
		return ""
	})

	region, _ = run(t, westPath, func(cfg *identity.Config) {
		cfg.Dir, cfg.Parents, cfg.AdoptPin = dir, []string{g.address}, identity.PinOf(next.Source.Status().Root)
	})
	opened := serveRegion(t, region.Source, g)
	eventually(t, "the region is served, and its certificate is under the new root", func() string {
		if s := region.Source.Status(); opened.Load() == 0 || s.Root == old {
			return fmt.Sprintf("opened %d times, under %s", opened.Load(), identity.PinOf(s.Root))
		}
		return ""
	})
	eventually(t, "a rotation drops the lost root", func() string {
		node, err := g.ask(t, question.KindRotate, question.RotateRequest{})
		if err != nil {
			return err.Error()
		}
		if node.Rotation.Phase != question.RotationDone {
			return fmt.Sprintf("%+v", node.Rotation)
		}
		return ""
	})
	for name, source := range map[string]*identity.Source{"Global": next.Source, "the region": region.Source} {
		eventually(t, name+" believes the new root alone", func() string {
			if s := source.Status(); len(s.Roots) != 1 || s.Roots[0] == old {
				return fmt.Sprintf("%+v", s)
			}
			return ""
		})
	}
}

// startGlobalWith runs Global with an identity and a configuration of its own.
func startGlobalWith(t *testing.T, s store.Store, h *hub, id *identity.Identity, set func(*global.Config)) *tier {
	t.Helper()
	made := newGlobal(t, s, h.kube.RESTConfig(), id, set)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- made.global.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Global ended with %v", err)
		}
	})
	return made
}
