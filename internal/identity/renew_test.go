package identity_test

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
)

// short is a life of which several pass in a test.
var short = identity.Lives{CA: 8 * time.Second, Leaf: 5 * time.Second}

func (tr *tree) status(path question.Path) identity.Status { return tr.procs[path].Source.Status() }

// TestRenewal: each process has other certificates when those that it began with have ended.
func TestRenewal(t *testing.T) {
	t.Parallel()
	tr := newTree(t, short)
	tr.grow()
	all := []question.Path{globalPath, regionPath, zonePath, clusterPath}
	began := map[question.Path]identity.Status{}
	for _, path := range all {
		began[path] = tr.status(path)
	}
	for _, path := range all {
		await(t, "the first certificates of "+path.String()+" have been replaced", func() bool {
			first, now := began[path], tr.status(path)
			return now.NotAfter.After(first.NotAfter) && (first.AuthorityNotAfter.IsZero() || now.AuthorityNotAfter.After(first.AuthorityNotAfter))
		})
	}
	tr.wantMet()
	// What was renewed is what a restart begins with.
	for _, path := range all {
		tr.procs[path].stop()
		if now := tr.start(path).Source.Status(); !now.NotAfter.After(began[path].NotAfter) {
			t.Errorf("%s after its restart: its certificate ends at %s, as the first one did", path, now.NotAfter)
		}
	}
}

// TestCutOff: a zone without its parents keeps its agents' certificates good for longer than one lives, and its own; and has
// them back once the parents are.
func TestCutOff(t *testing.T) {
	t.Parallel()
	tr := newTree(t, identity.Lives{CA: time.Hour, Leaf: 5 * time.Second})
	tr.grow()
	tr.procs[globalPath].stop()
	tr.procs[regionPath].stop()
	zone, agent := tr.status(zonePath), tr.status(clusterPath)
	await(t, "the certificates of the time when the parents were there have ended", func() bool {
		return time.Now().After(zone.NotAfter) && time.Now().After(agent.NotAfter)
	})
	if err := tr.met(clusterPath, zonePath); err != nil {
		t.Errorf("the agent dials its zone: %v", err)
	}
	if now := tr.status(clusterPath); !now.NotAfter.After(time.Now()) {
		t.Errorf("the agent's certificate ended at %s", now.NotAfter)
	}
	if until := tr.procs[zonePath].Authority.Issued(clusterPath); !until.Equal(tr.status(clusterPath).NotAfter) {
		t.Errorf("the zone issued until %s, the agent's certificate ends at %s", until, tr.status(clusterPath).NotAfter)
	}
	tr.start(globalPath)
	tr.start(regionPath)
	tr.wantMet()
}

// TestEndedCertificate: what has ended is not begun with, and the error says what to do, which takes nothing from those below.
func TestEndedCertificate(t *testing.T) {
	t.Parallel()
	tr := newTree(t, identity.Lives{CA: 5 * time.Second, Leaf: 5 * time.Second})
	tr.start(regionPath, tr.token(regionPath, question.TokenNew))
	region := tr.procs[regionPath]
	region.stop()
	await(t, "the region's certificates have ended", func() bool { return time.Now().After(region.Source.Status().AuthorityNotAfter) })
	_, err := tr.open(tr.config(regionPath, ""))
	wantSays(t, err, "its certificate ended at", "meridian token create --region west --replica")
	if p := tr.start(regionPath, tr.token(regionPath, question.TokenReplica)); p.Source.Status().Generation != 0 {
		t.Errorf("enrolled anew: got %+v, want generation 0", p.Source.Status())
	}
}

// TestRotation: another root is made, believed, and signs; the old one goes. Nobody is refused meanwhile, and restarts in
// between lose nothing.
func TestRotation(t *testing.T) {
	t.Parallel()
	tr := newTree(t, long)
	tr.grow()
	top := tr.procs[globalPath].Authority
	old := tr.status(globalPath).Root
	roots := tr.procs[globalPath].Source.Roots()
	next, err := top.MakeRoot()
	if err != nil {
		t.Fatal(err)
	}
	everywhere := func(what string, cond func(identity.Status) bool) {
		t.Helper()
		for _, path := range []question.Path{globalPath, regionPath, zonePath, clusterPath} {
			await(t, path.String()+" "+what, func() bool { return cond(tr.status(path)) })
		}
		tr.wantMet()
	}
	believe := func(active [sha256.Size]byte, certs ...*x509.Certificate) {
		t.Helper()
		var raw [][]byte
		for _, c := range certs {
			raw = append(raw, c.Raw)
		}
		for range 2 { // again, as a process that crashed in between does
			if err := tr.procs[globalPath].Authority.Believe(raw, active); err != nil {
				t.Fatal(err)
			}
		}
	}
	everywhere("believes one root", func(s identity.Status) bool { return len(s.Roots) == 1 })
	believe(old, append(roots, next)...)
	everywhere("believes both", func(s identity.Status) bool { return len(s.Roots) == 2 && s.Root == old })
	tr.procs[globalPath].stop()
	tr.start(globalPath)
	everywhere("is as before Global's restart", func(s identity.Status) bool { return len(s.Roots) == 2 && s.Root == old })
	believe(identity.KeyHash(next), append(roots, next)...)
	everywhere("has a chain to the next", func(s identity.Status) bool { return s.Root == identity.KeyHash(next) })
	believe(identity.KeyHash(next), next)
	everywhere("believes the next alone", func(s identity.Status) bool { return len(s.Roots) == 1 })
	tr.procs[globalPath].stop()
	tr.start(globalPath)
	everywhere("is as before Global's second restart", func(s identity.Status) bool { return s.Root == identity.KeyHash(next) && len(s.Roots) == 1 })
	if err := tr.procs[globalPath].Authority.Believe([][]byte{next.Raw}, old); err == nil {
		t.Error("a root signs that nobody believes")
	}
}

// TestSecondGlobal: another process of Global enrols at the first one, and signs for regions as it does.
func TestSecondGlobal(t *testing.T) {
	t.Parallel()
	tr := newTree(t, long)
	cfg := tr.config(globalPath, tr.token(globalPath, question.TokenReplica))
	cfg.Dir, cfg.Join = t.TempDir(), []string{tr.procs[globalPath].address}
	second, err := tr.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	region := tr.config(regionPath, tr.token(regionPath, question.TokenNew))
	region.Parents = []string{second.address}
	p, err := tr.open(region)
	if err != nil {
		t.Fatal(err)
	}
	if got := shake(t, identity.ServerTLS(tr.procs[globalPath].Source, tr.lowest, nil), identity.ClientTLS(p.Source, globalPath, nil)); got.server != nil || got.client != nil {
		t.Errorf("a region of the second dials the first: server %v, client %v", got.server, got.client)
	}
	// The second takes the root over: it makes the next one, and the first is believed no less.
	next, err := second.Authority.MakeRoot()
	if err != nil {
		t.Fatal(err)
	}
	raw := [][]byte{next.Raw, tr.procs[globalPath].Source.Roots()[0].Raw}
	if err := second.Authority.Believe(raw, identity.KeyHash(next)); err != nil {
		t.Fatal(err)
	}
	if !second.Authority.Holds(identity.KeyHash(next)) || second.Source.Status().Root != identity.KeyHash(next) {
		t.Errorf("the second's chain ends in %x, want its own root %x", second.Source.Status().Root, identity.KeyHash(next))
	}
	second.stop()
	again := cfg
	again.TokenFile = ""
	third, err := tr.open(again)
	if err != nil {
		t.Fatalf("the second after its restart: %v", err)
	}
	if third.Source.Status().Root != identity.KeyHash(next) {
		t.Error("after its restart the second signs by another root")
	}
}
