package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
)

// kill ends a process by SIGKILL and waits until it is gone. Its pid file stays.
func (f *federation) kill(t *testing.T, name string) {
	t.Helper()
	p, ok := f.run.Process(name)
	if !ok {
		t.Fatalf("%s does not run", name)
	}
	if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil {
		t.Fatalf("killing %s: %v", name, err)
	}
	await(t, name+" is gone", func(context.Context) error {
		if p.Alive() {
			return fmt.Errorf("process %d is there", p.Pid())
		}
		return nil
	})
}

// zone names a zone's processes in the order of starting: its replicas, and before them the etcd that several share.
func (f *federation) zone(name string) []string {
	return slices.DeleteFunc(f.run.Processes(), func(p string) bool {
		return p != "etcd-"+name && p != "zone-"+name && !strings.HasPrefix(p, "zone-"+name+"-")
	})
}

// killAll kills several, the last first.
func (f *federation) killAll(t *testing.T, names []string) {
	t.Helper()
	for _, name := range slices.Backward(names) {
		f.kill(t, name)
	}
}

// restart starts processes of Meridian's that were killed.
func (f *federation) restart(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := f.run.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// upAgain runs `meridian up`, which starts what does not run, and waits until all is converged.
func (f *federation) upAgain(t *testing.T) string {
	t.Helper()
	said, err := f.up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.settled(t)
	return said
}

// positions are the revisions of all tiers' stores, which a write of any record raises.
func (f *federation) positions(t *testing.T) map[string]int64 {
	t.Helper()
	tree, err := f.tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, tier := range []question.Tier{question.TierGlobal, question.TierRegion, question.TierZone} {
		for _, n := range nodes(tree, tier) {
			if n.Overview == nil {
				t.Fatalf("%s %s: %s", n.Tier, n.Name, n.Unanswered)
			}
			out[string(n.Tier)+" "+n.Name] = n.Overview.Revision
		}
	}
	return out
}

// driftIsPutBack deletes a Deployment and waits until it is back, as its zone sees to alone.
func (f *federation) driftIsPutBack(t *testing.T, cluster, namespace, name string) {
	t.Helper()
	f.clusters[cluster].comesBack(t, deployments, namespace, name)
}
