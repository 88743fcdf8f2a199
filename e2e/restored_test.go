package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
)

// TestZoneRestoredFromAnOlderCopyRemovesNothing gives a zone the store that it had before several changes.
func TestZoneRestoredFromAnOlderCopyRemovesNothing(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "restored")
	web := appSpec{namespace: "restored", name: "web", replicas: 2, clusters: only(westA1, westA2)}

	zone, data := f.zone("west-a"), f.run.Data("etcd-west-a")
	copied := t.TempDir() + "/etcd"
	f.killAll(t, zone)
	if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	f.restart(t, zone...)
	f.settled(t)
	f.submit(t, web.manifest())
	for i := range 8 {
		web.image = fmt.Sprintf("example.com/app:%d", i)
		f.submit(t, web.manifest())
		f.runs(t, westA1, "restored", "web", web.image)
		f.runs(t, westA2, "restored", "web", web.image)
	}
	f.settled(t)
	before, since := f.inventory(t), f.mark(t)

	f.killAll(t, zone)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	f.restart(t, zone...)
	await(t, "the clusters refuse the zone", func(ctx context.Context) error {
		tree, err := f.tree(ctx)
		if err != nil {
			return err
		}
		for _, name := range []string{westA1, westA2} {
			n := node(tree, question.TierCluster, name)
			if n.Unanswered != "" {
				return fmt.Errorf("%s: %s", name, n.Unanswered)
			}
			if !refuses(n, question.WhatFloor) {
				return fmt.Errorf("%s refuses %+v", name, n.Overview.Refusals)
			}
		}
		return nil
	})
	if said := f.meridian(t, "status"); !strings.Contains(said, "floor") {
		t.Errorf("`meridian status` does not show that clusters refuse their zone:\n%s", said)
	}
	f.stands(t, before)

	f.meridian(t, "confirm", "west-a", "--what", "floor")
	f.settled(t)
	f.wroteNothing(t, since)
	f.stands(t, before)
}

func refuses(n *question.Node, kind string) bool {
	for _, r := range n.Overview.Refusals {
		if r.Kind == kind {
			return true
		}
	}
	return false
}

// TestLostStoresAreNotBelieved takes a tier's whole store away. What the tier says from then on has another history,
// which its children take only when a person says so.
func TestLostStoresAreNotBelieved(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		process string
		tier    question.Tier
		refuse  []string
		confirm []string
	}{
		{"zone-west-b", question.TierCluster, []string{westB1}, []string{"west-b"}},
		{"region-east", question.TierZone, []string{"east-a"}, []string{"east-a"}},
		{"global", question.TierRegion, []string{"east", "west"}, []string{"region/east", "region/west"}},
	} {
		t.Run(c.process, func(t *testing.T) {
			before, since := f.inventory(t), f.mark(t)
			f.kill(t, c.process)
			if err := os.RemoveAll(f.run.Data(c.process)); err != nil {
				t.Fatal(err)
			}
			f.restart(t, c.process)
			await(t, "its children refuse it", func(ctx context.Context) error {
				tree, err := f.tree(ctx)
				if err != nil {
					return err
				}
				for _, name := range c.refuse {
					n := node(tree, c.tier, name)
					if n.Unanswered != "" {
						return fmt.Errorf("%s: %s", name, n.Unanswered)
					}
					if !refuses(n, question.WhatEpoch) {
						return fmt.Errorf("%s refuses %+v", name, n.Overview.Refusals)
					}
				}
				return nil
			})
			for _, target := range c.confirm {
				f.meridian(t, "confirm", target, "--what", "epoch")
			}
			f.settled(t)
			f.wroteNothing(t, since)
			f.stands(t, before)
		})
	}
}
