package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// claimants are how the names of owners begin that have claims.
var claimants = []string{"ipclaim/", "application/", "external/", "cluster/"}

// delegated is how the names of owners begin that are places below.
const delegated = "delegated/"

// begin takes in what the mirror shows and what the ledger has, and finds out what a crash left undone.
func (t *Tier) begin(ctx context.Context, updates <-chan store.Update) error {
	select {
	case u := <-updates:
		t.apply(u)
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range t.cfg.Ledger.Pools() {
		t.pool(p.Name).kept = p
		t.touch(p.Name)
	}
	if err := t.each(ctx, delegated, t.inherit); err != nil {
		return fmt.Errorf("reading what was delegated: %w", err)
	}
	for _, prefix := range claimants {
		if err := t.each(ctx, prefix, t.resume); err != nil {
			return fmt.Errorf("reading what was claimed: %w", err)
		}
	}
	if n := len(t.todo.releases); n > 0 {
		t.cfg.Log.Info("entries whose claims went meanwhile are released", "count", n, "owners", some(t.todo.releases))
	}
	clear(t.todo.doubts) // of places that have nothing here there is nothing to be found
	if err := t.each(ctx, local, func(e ledger.Entry) {
		if path := t.machinesOf(e.Owner); path != "" {
			t.todo.doubts.add(path)
		}
	}); err != nil {
		return fmt.Errorf("reading what machines hold: %w", err)
	}
	t.seek()
	return nil
}

// each calls fn with the ledger's entries of the owners whose names begin with a prefix.
func (t *Tier) each(ctx context.Context, owners string, fn func(ledger.Entry)) error {
	for from := ""; ; {
		entries, next, err := t.cfg.Ledger.List(ctx, ledger.Query{OwnerPrefix: owners, From: from})
		if err != nil {
			return err
		}
		for _, e := range entries {
			fn(e)
		}
		if from = next; from == "" {
			return nil
		}
	}
}

// resume takes up what an owner held when the tier began. What is said of one whose claim went meanwhile is taken back: an
// earlier tier of the term may have said it.
func (t *Tier) resume(e ledger.Entry) {
	if c := t.claims[e.Owner]; c != nil {
		c.entry = e
		return
	}
	t.todo.releases.add(e.Owner)
	t.cfg.Untell(record.AllotmentKey(t.cfg.Region, t.cfg.Zone, e.Owner), record.CausePerson)
}

// apply takes in what changed in the mirror, and tells whether any of it is of address space: most is not.
func (t *Tier) apply(u store.Update) (ours bool) {
	for _, c := range u.Changes {
		var err error
		known := true
		switch c.Key.Kind {
		case record.KindPool:
			err = t.applyPool(c)
		case record.KindPrefix:
			err = t.applyPrefix(c)
		case record.KindClaim:
			err = t.applyClaim(c)
		case record.KindCluster:
			t.count(c.Old, -1)
			t.count(c.New, 1)
			t.doubt(c)
		case record.KindGrant:
			known = t.doubt(c)
		default:
			known = false
		}
		ours = ours || known
		if err != nil {
			t.cfg.Log.Error("a record of address space is passed over", "error", err)
		}
	}
	return ours
}

func (t *Tier) applyPool(c store.Change) error {
	spec, known := record.Pool{}, c.New != nil
	if known {
		var err error
		if spec, err = record.DecodePool(c.New.Record); err != nil {
			return err
		}
	}
	p := t.pool(c.Key.Name)
	if p.spec, p.known = spec, known; known {
		p.revision = c.New.Revision
	}
	t.touch(p.name)
	for owner := range t.unmet {
		t.todo.claims.add(owner)
	}
	for _, child := range t.children {
		t.todo.given.add(of{child.name, p.name})
	}
	return nil
}

// applyPrefix takes in what the place was given. Prefixes of places below are the tier's own words.
func (t *Tier) applyPrefix(c store.Change) error {
	k := c.Key.Parts()
	if len(k) != 5 || t.global() || !t.here(k[0], k[1]) {
		return nil
	}
	e := c.New
	if e == nil {
		e = c.Old
	}
	v, err := record.DecodePrefix(e.Record)
	if err != nil {
		return err
	}
	p := t.pool(v.Pool)
	if c.New == nil {
		delete(p.prefixes, v.Prefix)
	} else {
		p.prefixes[v.Prefix] = v
	}
	t.touch(p.name)
	return nil
}

func (t *Tier) applyClaim(c store.Change) error {
	k := strings.SplitN(c.Key.Name, "/", 3)
	if len(k) != 3 || !t.here(k[0], k[1]) {
		return nil
	}
	owner := k[2]
	if !claimant(owner) {
		return fmt.Errorf("record %s: owner %q: want it to begin with one of %s", c.Key, owner, strings.Join(claimants, ", "))
	}
	if c.New == nil {
		t.drop(owner)
		return nil
	}
	v, err := record.DecodeClaim(c.New.Record)
	if err != nil {
		return err
	}
	t.claim(v)
	return nil
}

// claimant tells whether an owner is one that has a claim.
func claimant(owner string) bool {
	return slices.ContainsFunc(claimants, func(prefix string) bool { return strings.HasPrefix(owner, prefix) })
}

// count counts a cluster of the place on its network. A pool of the network, or of all, is needed while there is one.
func (t *Tier) count(e *store.Entry, by int) {
	if e == nil {
		return
	}
	c, err := record.DecodeCluster(e.Record)
	if err != nil || !t.global() && (c.Region != t.cfg.Region || t.cfg.Zone != "" && c.Zone != t.cfg.Zone) {
		return
	}
	network, _, _ := strings.Cut(c.Network, ".") // NETWORK.CLUSTER is that of one that is set apart, whose addresses are the network's all the same
	tally(t.networks, network, by)
	if child := t.childIn(c); child != "" {
		if t.below[child] == nil {
			t.below[child] = map[string]int{}
		}
		if tally(t.below[child], network, by); len(t.below[child]) == 0 {
			delete(t.below, child)
		}
	}
	for _, p := range t.pools {
		if p.spec.Network != "" && p.spec.Network != network {
			continue
		}
		t.todo.asks.add(p.name)
		for child := range p.short { // for which something was kept from them may be there no more
			t.todo.given.add(of{child, p.name})
		}
	}
}

// tally counts, and keeps no zeros.
func tally(counts map[string]int, key string, by int) {
	if counts[key] += by; counts[key] == 0 {
		delete(counts, key)
	}
}

// childIn is the place below that a cluster of the place is in; empty for a zone, which has none.
func (t *Tier) childIn(c record.Cluster) string {
	switch {
	case t.global():
		return c.Region
	case t.cfg.Zone == "":
		return c.Region + "/" + c.Zone
	}
	return ""
}

// touch has all be looked at that hangs on a pool's blocks.
func (t *Tier) touch(name string) {
	t.todo.blocks.add(name)
	t.todo.asks.add(name)
}

func (t *Tier) global() bool { return t.cfg.Region == "" }

// here tells whether a region and a zone, as names of records have them, are this place.
func (t *Tier) here(region, zone string) bool {
	either := func(said, own string) bool { return said == own || own == "" && said == "-" }
	return either(region, t.cfg.Region) && either(zone, t.cfg.Zone)
}

// place names the tier's, as a child's name to its parent.
func (t *Tier) place() string {
	switch {
	case t.global():
		return "global"
	case t.cfg.Zone == "":
		return t.cfg.Region
	}
	return t.cfg.Region + "/" + t.cfg.Zone
}

// hear takes in what children said.
func (t *Tier) hear() {
	words, settled := t.inbox.take()
	for key, w := range words {
		if err := t.listen(key, w); err != nil {
			t.cfg.Log.Warn("a child's demand is refused", "child", key.child, "pool", key.pool, "error", err)
		}
	}
	if settled && !t.settled {
		t.settled = true
		for name := range t.pools {
			t.todo.asks.add(name)
		}
	}
}

var errForeign = errors.New("it is of another place")
