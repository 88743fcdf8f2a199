package ipam_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/record"
)

// frozen is what all ledgers hold at one revision of etcd.
type frozen struct {
	// held is who holds what, by the place's name and the owner's.
	held map[string]map[string]netip.Prefix
	// blocks are those of each place.
	blocks map[string][]netip.Prefix
}

func (tr *tree) freeze() frozen {
	tr.t.Helper()
	root := "/test/" + tr.t.Name() + "/"
	resp, err := tr.store.Client().Get(context.Background(), root, clientv3.WithPrefix())
	if err != nil {
		tr.t.Fatal(err)
	}
	f := frozen{held: map[string]map[string]netip.Prefix{}, blocks: map[string][]netip.Prefix{}}
	for _, kv := range resp.Kvs {
		at, rest, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), root), "/space/")
		place := strings.Trim(strings.ReplaceAll(at, "-", "/"), "/")
		kind, name, _ := strings.Cut(rest, "/")
		switch kind {
		case "owners":
			if f.held[place] == nil {
				f.held[place] = map[string]netip.Prefix{}
			}
			f.held[place][name] = tr.parse(string(kv.Value))
		case "blocks":
			f.blocks[place] = append(f.blocks[place], tr.parse(name))
		}
	}
	return f
}

// parse reads POOL/ADDRESS/LENGTH as a ledger's keys have it.
func (tr *tree) parse(text string) netip.Prefix {
	tr.t.Helper()
	parts := strings.Split(text, "/")
	raw, err := hex.DecodeString(parts[1])
	addr, ok := netip.AddrFromSlice(raw)
	bits, err2 := strconv.Atoi(parts[2])
	if err != nil || !ok || err2 != nil {
		tr.t.Fatalf("%q is no place of a ledger", text)
	}
	return netip.PrefixFrom(addr, bits)
}

// check: nothing has two owners in the whole tree, and a place holds nothing that its parent did not give it.
func (tr *tree) check() {
	tr.t.Helper()
	f := tr.freeze()
	type holding struct {
		who    string
		prefix netip.Prefix
	}
	var all []holding
	given := map[string]map[netip.Prefix]bool{}
	for place, owners := range f.held {
		for owner, p := range owners {
			rest, delegated := strings.CutPrefix(owner, "delegated/")
			if !delegated {
				all = append(all, holding{place + ": " + owner, p})
				continue
			}
			parts := strings.Split(rest, "/")
			child := strings.Join(parts[:len(parts)-2], "/")
			if given[child] == nil {
				given[child] = map[netip.Prefix]bool{}
			}
			given[child][p] = true
		}
	}
	slices.SortFunc(all, func(a, b holding) int { return a.prefix.Compare(b.prefix) })
	for i := 1; i < len(all); i++ {
		if all[i].prefix.Overlaps(all[i-1].prefix) {
			tr.t.Fatalf("two have the same: %v and %v", all[i-1], all[i])
		}
	}
	for _, p := range tr.places()[1:] {
		for _, b := range f.blocks[p.name] {
			if !given[p.name][b] {
				tr.t.Fatalf("%s holds %s, which was not given to it", p.name, b)
			}
		}
	}
}

// run is one random history.
type run struct {
	*tree
	random *rand.Rand
	claims map[record.Key]*place
	next   int
}

// step does something at random.
func (r *run) step() string {
	places := r.places()
	switch n := r.random.IntN(100); {
	case n < 55:
		p := []*place{r.global, r.a, r.b}[r.random.IntN(3)]
		r.next++
		owner := fmt.Sprintf("ipclaim/n/%d", r.next)
		c := p.claim(owner, record.Claim{Pool: "pods", Length: 25 + r.random.IntN(8)})
		r.claims[c.Key] = p
		r.global.put(c)
		return "claim " + c.Key.Name
	case n < 80:
		keys := slices.SortedFunc(maps.Keys(r.claims), record.Key.Compare)
		if len(keys) == 0 {
			return "nothing"
		}
		key := keys[r.random.IntN(len(keys))]
		delete(r.claims, key)
		r.global.remove(key)
		return "remove " + key.Name
	case n < 88:
		p := places[1+r.random.IntN(3)]
		p.cut()
		return "cut " + p.name
	case n < 94:
		p := places[1+r.random.IntN(3)]
		p.join()
		return "join " + p.name
	default:
		p := places[r.random.IntN(4)]
		p.restart()
		return "restart " + p.name
	}
}

// TestHistories: over random claims, releases, cut-offs and restarts nothing has two owners, no claim is lost, and when all is
// released, all comes back. MERIDIAN_TEST_SEED has one history be run.
func TestHistories(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if s := os.Getenv("MERIDIAN_TEST_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := &run{tree: newTree(t), random: rand.New(rand.NewPCG(seed, 0)), claims: map[record.Key]*place{}}
			r.global.put(pods("10.0.0.0/18").Record())
			for range 150 {
				what := r.step()
				if testing.Verbose() {
					t.Log(what)
				}
				r.check()
			}
			r.finish()
		})
	}
}

// finish joins all, waits until each claim is met, releases them all, and waits until all has come back.
func (r *run) finish() {
	r.t.Helper()
	for _, p := range r.places()[1:] {
		p.join()
	}
	for key, p := range r.claims {
		p.has(strings.SplitN(key.Name, "/", 3)[2])
	}
	r.check()
	for _, p := range r.places() {
		if report, err := p.tier.Audit(r.t.Context()); err != nil || len(report.Findings) > 0 {
			r.t.Errorf("the audit of %q finds %v, %v", p.name, report.Findings, err)
		}
	}
	for key := range r.claims {
		r.global.remove(key)
	}
	await(r.t, "all has come back", func() bool {
		f := r.freeze()
		return len(f.held[""]) <= 2 && len(f.held["west"]) == 2 && len(f.held["west/a"]) == 0 && len(f.held["west/b"]) == 0 &&
			len(f.blocks["west/a"]) == 1 && len(f.blocks["west/b"]) == 1 && len(f.blocks["west"]) <= 2
	})
	await(r.t, "all quarantines are over", func() bool {
		for _, p := range r.places() {
			for _, b := range p.ledger.Usage("pods").Blocks {
				if b.Quarantined > 0 {
					return false
				}
			}
		}
		return true
	})
	r.check()
}
