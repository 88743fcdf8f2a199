package ledger_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// model is a ledger as a map.
type model struct {
	ledger *ledger.Ledger
	cfg    ledger.Config
	blocks map[netip.Prefix]bool // closed
	holds  map[string]netip.Prefix
}

// TestAgainstModel holds random acts, among them opening the ledger anew, against a map.
func TestAgainstModel(t *testing.T) {
	s := startEtcd(t, t.TempDir(), "")
	t.Cleanup(func() { s.stop(t) })
	cfg := s.tier(t, "/tier")
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		cfg := cfg
		cfg.Prefix = fmt.Sprint("/tier/", round)
		l, err := ledger.Open(bounded(t), cfg)
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{ledger: l, cfg: cfg, blocks: map[netip.Prefix]bool{}, holds: map[string]netip.Prefix{}}
		defer func() { _ = m.ledger.Close() }()
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			m.step(t, rt)
		}
		m.same(t, rt)
	})
}

func (m *model) step(t *testing.T, rt *rapid.T) {
	ranges := []netip.Prefix{prefix("10.0.0.0/29"), prefix("10.0.0.8/29"), prefix("10.1.0.0/30")}
	owner := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "owner")
	switch rapid.IntRange(0, 9).Draw(rt, "act") {
	case 0, 1, 2:
		m.allocate(t, rt, anyOf(owner, rapid.IntRange(28, 32).Draw(rt, "length")))
	case 3, 4:
		length := rapid.IntRange(29, 32).Draw(rt, "length")
		base := rapid.SampledFrom(ranges).Draw(rt, "range").Addr().As4()
		base[3] += byte(rapid.IntRange(0, 7).Draw(rt, "at"))
		p := netip.PrefixFrom(netip.AddrFrom4(base), length).Masked()
		m.allocate(t, rt, ledger.Request{Owner: owner, Pool: services.Name, Prefix: p})
	case 5, 6:
		_, err := m.ledger.Release(bounded(t), owner)
		if held := m.holds[owner].IsValid(); (err == nil) != held || err != nil && !errors.Is(err, ledger.ErrNotFound) {
			rt.Fatalf("releasing %s: got %v; it holds something: %t", owner, err, held)
		}
		delete(m.holds, owner)
	case 7:
		r, closed := rapid.SampledFrom(ranges).Draw(rt, "range"), rapid.Bool().Draw(rt, "closed")
		if err := m.ledger.PutBlock(bounded(t), services, ledger.Block{Prefix: r, Closed: closed}); err != nil {
			rt.Fatal(err)
		}
		m.blocks[r] = closed
	case 8:
		m.drop(t, rt, rapid.SampledFrom(ranges).Draw(rt, "range"))
	case 9:
		var err error
		if m.ledger, err = ledger.Open(bounded(t), m.cfg); err != nil {
			rt.Fatal(err)
		}
	}
}

func (m *model) drop(t *testing.T, rt *rapid.T, r netip.Prefix) {
	_, there := m.blocks[r]
	used := m.overlaps(r)
	var use *ledger.InUse
	switch err := m.ledger.DropBlock(bounded(t), services.Name, r); {
	case !there && !errors.Is(err, ledger.ErrNotFound), used && !errors.As(err, &use), there && !used && err != nil:
		rt.Fatalf("dropping %s: got %v; is it there: %t, is it in use: %t", r, err, there, used)
	case err == nil:
		delete(m.blocks, r)
	}
}

func (m *model) overlaps(p netip.Prefix) bool {
	for _, held := range m.holds {
		if held.Overlaps(p) {
			return true
		}
	}
	return false
}

// free tells whether a prefix can be had.
func (m *model) free(p netip.Prefix) bool {
	for r, closed := range m.blocks {
		if !closed && r.Bits() <= p.Bits() && r.Overlaps(p) {
			return !m.overlaps(p)
		}
	}
	return false
}

// room tells whether any prefix of a length can be had.
func (m *model) room(length int) bool {
	for r := range m.blocks {
		for at := range 1 << (32 - r.Bits()) {
			a := r.Addr().As4()
			a[3] += byte(at)
			if p := netip.PrefixFrom(netip.AddrFrom4(a), length); length >= r.Bits() && p == p.Masked() && m.free(p) {
				return true
			}
		}
	}
	return false
}

func (m *model) allocate(t *testing.T, rt *rapid.T, r ledger.Request) {
	e, err := m.ledger.Allocate(bounded(t), r)
	held, has := m.holds[r.Owner]
	var conflict *ledger.Conflict
	switch {
	case has && (held == r.Prefix || !r.Prefix.IsValid() && held.Bits() == r.Length):
		if err != nil || e.Prefix != held {
			rt.Fatalf("%+v, which it holds: got %+v, %v", r, e, err)
		}
	case has:
		if !errors.As(err, &conflict) || conflict.Holds.Prefix != held {
			rt.Fatalf("%+v, while it holds %s: got %+v, %v", r, held, e, err)
		}
	case r.Prefix.IsValid():
		if free := m.free(r.Prefix); (err == nil) != free || err == nil && e.Prefix != r.Prefix {
			rt.Fatalf("%+v: got %+v, %v; it is free: %t; held are %v", r, e, err, free, m.holds)
		}
	case err == nil:
		if e.Prefix.Bits() != r.Length || !m.free(e.Prefix) {
			rt.Fatalf("%+v: got %+v, while others hold %v of %v", r, e, m.holds, m.blocks)
		}
	case m.room(r.Length):
		rt.Fatalf("%+v: got %v, while others hold %v of %v", r, err, m.holds, m.blocks)
	}
	if err == nil {
		m.holds[r.Owner] = e.Prefix
	}
}

// same checks all that the ledger says of itself.
func (m *model) same(t *testing.T, rt *rapid.T) {
	r, err := m.ledger.Audit(bounded(t))
	if err != nil || len(r.Findings) > 0 || r.Entries != len(m.holds) || r.Owners != len(m.holds) || r.Blocks != len(m.blocks) {
		rt.Fatalf("audit: got %+v, %v, want what %v hold of %v", r, err, m.holds, m.blocks)
	}
	taken := 0.0
	for _, b := range m.ledger.Usage(services.Name).Blocks {
		taken += b.Taken
		if closed, there := m.blocks[b.Prefix]; !there || closed != b.Closed || b.Idle == m.overlaps(b.Prefix) {
			rt.Fatalf("got block %+v, want %v and held %v", b, m.blocks, m.holds)
		}
	}
	for owner, p := range m.holds {
		taken -= float64(int(1) << (32 - p.Bits()))
		if e, err := m.ledger.Get(bounded(t), owner); err != nil || e.Prefix != p {
			rt.Fatalf("%s: got %+v, %v, want %s", owner, e, err, p)
		}
	}
	if taken != 0 {
		rt.Fatalf("%v addresses too many are taken", taken)
	}
}
