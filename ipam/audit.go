package ipam

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// The kinds of findings, beside those of the ledger's audit (ledger.Fault).
const (
	// FoundEntryWithoutClaim: an owner whose claim is gone holds something. A repair releases it.
	FoundEntryWithoutClaim = "EntryWithoutClaim"
	// FoundEntryWithoutPlace: a machine of a place below holds something, and that has left the inventory. A repair releases it.
	FoundEntryWithoutPlace = "EntryWithoutPlace"
	// FoundUnknownPlace: a machine of a place below holds something, and the records say neither that the place is there nor that it
	// has left.
	FoundUnknownPlace = "UnknownPlace"
	// FoundClaimWithoutEntry: a claim's owner was told a prefix that the ledger does not have. A repair allocates anew.
	FoundClaimWithoutEntry = "ClaimWithoutEntry"
	// FoundDelegationWithoutRecord: a child was given a prefix and has not been told. A repair writes the record.
	FoundDelegationWithoutRecord = "DelegationWithoutRecord"
	// FoundRecordWithoutDelegation: a child was told a prefix that the ledger does not know as its own. A repair delegates it,
	// where nobody else has it.
	FoundRecordWithoutDelegation = "RecordWithoutDelegation"
	// FoundForeignReturn: a child returns a prefix that it was not given. It drops it when it hears that the record is gone.
	FoundForeignReturn = "ForeignReturn"
	// FoundStranded: the place holds a block that it should not, and something of it is taken.
	FoundStranded = "Stranded"
	// FoundMissingBlock: the place was given a prefix of which it holds no block. A repair puts it.
	FoundMissingBlock = "MissingBlock"
	// FoundLost: the place was given a prefix that a store held which is lost, so that nothing of it is given. A repair opens it.
	FoundLost = ReasonStoreSetBack
	// FoundOverlap: blocks of two pools of one routing domain overlap.
	FoundOverlap = "OverlappingPools"
)

// Report is what an audit looked at and found. Repair does what it says.
type Report struct {
	// Place is global, REGION or REGION/ZONE.
	Place string
	// Entries and Blocks are how many there are.
	Entries, Blocks int
	// Findings are at most what the ledger lists, and all of the place's own; More tells that there are others.
	Findings []Finding
	More     bool

	ledger ledger.Report
}

// Finding is one thing that should not be.
type Finding struct {
	Kind   string
	Pool   string
	Prefix netip.Prefix
	Owner  string
	// Message says it, and what a repair does.
	Message string
	// Mendable: a repair mends it.
	Mendable bool

	record record.Prefix // of FoundRecordWithoutDelegation
}

// Audit compares the ledger with itself, with the records, and with what children say. It changes nothing.
func (t *Tier) Audit(ctx context.Context) (Report, error) {
	inside, err := t.cfg.Ledger.Audit(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("auditing the ledger of %s: %w", t.place(), err)
	}
	report := Report{Place: t.place(), Entries: inside.Entries, Blocks: inside.Blocks, More: inside.More, ledger: inside}
	for _, f := range inside.Findings {
		leaked := f.Fault == ledger.OwnerWithoutEntry || f.Fault == ledger.EntryWithoutOwner
		report.Findings = append(report.Findings, Finding{Kind: string(f.Fault), Pool: f.Pool, Prefix: f.Prefix, Owner: f.Owner,
			Message: f.Detail, Mendable: leaked})
	}
	err = t.within(ctx, func(ctx context.Context) error {
		a := audit{tier: t}
		if err := a.run(ctx); err != nil {
			return err
		}
		report.Findings = append(report.Findings, a.found...)
		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("auditing the records of %s: %w", t.place(), err)
	}
	t.note(report)
	return report, nil
}

// note logs what was found, and counts it for the metrics.
func (t *Tier) note(r Report) {
	count := map[string]int{}
	for _, f := range r.Findings {
		if count[f.Kind]++; count[f.Kind] <= 10 {
			t.cfg.Log.Error("audit of address space", "finding", f.Kind, "pool", f.Pool, "prefix", f.Prefix, "owner", f.Owner, "message", f.Message)
		}
	}
	t.found.Store(&count)
}

// audit compares the place's state with its ledger and its records. It runs in the loop.
type audit struct {
	tier  *Tier
	found []Finding
}

func (a *audit) run(ctx context.Context) error {
	if err := a.claims(ctx); err != nil {
		return err
	}
	if err := a.machines(ctx); err != nil {
		return err
	}
	if err := a.delegations(ctx); err != nil {
		return err
	}
	a.returns()
	a.blocks()
	a.overlaps()
	return nil
}

// claims compares claims with the entries of their owners.
func (a *audit) claims(ctx context.Context) error {
	t := a.tier
	seen := set[string]{}
	for _, prefix := range claimants {
		err := t.each(ctx, prefix, func(e ledger.Entry) {
			seen.add(e.Owner)
			if t.claims[e.Owner] == nil && !t.todo.releases.has(e.Owner) {
				a.add(Finding{Kind: FoundEntryWithoutClaim, Pool: e.Pool, Prefix: e.Prefix, Owner: e.Owner, Mendable: true,
					Message: fmt.Sprintf("%s holds %s and has no claim; a repair releases it", e.Owner, e.Prefix)})
			}
		})
		if err != nil {
			return fmt.Errorf("reading what was claimed: %w", err)
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(t.claims)) {
		if e := t.claims[owner].entry; e.Owner != "" && !seen.has(owner) {
			a.add(Finding{Kind: FoundClaimWithoutEntry, Pool: e.Pool, Prefix: e.Prefix, Owner: owner, Mendable: true,
				Message: fmt.Sprintf("%s was told %s, which the ledger does not have; a repair allocates anew", owner, e.Prefix)})
		}
	}
	return nil
}

// machines holds the entries of machines against the places that they are of.
func (a *audit) machines(ctx context.Context) error {
	t, s := a.tier, a.tier.cfg.Mirror.Snapshot()
	gone, known := map[string]bool{}, map[string]bool{} // by path
	err := t.each(ctx, local, func(e ledger.Entry) {
		path := t.machinesOf(e.Owner)
		if _, looked := known[path]; !looked {
			gone[path], known[path] = path != "" && left(s, path), path != "" && t.known(s, path)
		}
		switch {
		case gone[path] && !t.todo.doubts.has(path):
			a.add(Finding{Kind: FoundEntryWithoutPlace, Pool: e.Pool, Prefix: e.Prefix, Owner: e.Owner, Mendable: true,
				Message: fmt.Sprintf("%s holds %s, and %s has left the inventory; a repair releases it", e.Owner, e.Prefix, path)})
		case !gone[path] && !known[path]:
			a.add(Finding{Kind: FoundUnknownPlace, Pool: e.Pool, Prefix: e.Prefix, Owner: e.Owner,
				Message: fmt.Sprintf("%s holds %s, and of its place it is known neither that it is there nor that it has left", e.Owner, e.Prefix)})
		}
	})
	if err != nil {
		return fmt.Errorf("reading what machines hold: %w", err)
	}
	return nil
}

// delegations compares what the ledger says that children were given with their records.
func (a *audit) delegations(ctx context.Context) error {
	t := a.tier
	snapshot := t.cfg.Mirror.Snapshot()
	err := t.each(ctx, delegated, func(e ledger.Entry) {
		name, pool, err := t.delegate(e.Owner)
		if err != nil {
			a.add(Finding{Kind: FoundDelegationWithoutRecord, Pool: e.Pool, Prefix: e.Prefix, Owner: e.Owner, Message: err.Error()})
			return
		}
		region, zone := where(name)
		_, recorded := snapshot.Get(record.PrefixKey(region, zone, pool, e.Prefix))
		if g := t.child(name).of(pool)[e.Prefix]; !recorded && (g == nil || !g.leaving) {
			a.add(Finding{Kind: FoundDelegationWithoutRecord, Pool: pool, Prefix: e.Prefix, Owner: e.Owner, Mendable: true,
				Message: fmt.Sprintf("%s was given %s and not told; a repair tells it", name, e.Prefix)})
		}
	})
	if err != nil {
		return fmt.Errorf("reading what was delegated: %w", err)
	}
	for _, v := range t.unfounded() {
		a.add(Finding{Kind: FoundRecordWithoutDelegation, Pool: v.Pool, Prefix: v.Prefix, Mendable: true, record: v,
			Message: fmt.Sprintf("%s was told %s, which is not delegated to it; a repair delegates it, if nobody else has it",
				t.childName(childOf(v)), v.Prefix)})
	}
	return nil
}

// returns looks for prefixes that children return and do not have.
func (a *audit) returns() {
	t := a.tier
	for _, name := range slices.Sorted(maps.Keys(t.children)) {
		c := t.children[name]
		for _, pool := range slices.Sorted(maps.Keys(c.demands)) {
			for _, prefix := range c.demands[pool].Returned {
				if c.given[pool][prefix] == nil {
					a.add(Finding{Kind: FoundForeignReturn, Pool: pool, Prefix: prefix,
						Message: fmt.Sprintf("%s returns %s, which is not delegated to it; it drops it when it hears so", name, prefix)})
				}
			}
		}
	}
}

// blocks compares what the place holds with what it was given.
func (a *audit) blocks() {
	for _, name := range slices.Sorted(maps.Keys(a.tier.pools)) {
		p := a.tier.pools[name]
		for _, prefix := range slices.SortedFunc(maps.Keys(p.stranded), netip.Prefix.Compare) {
			a.add(Finding{Kind: FoundStranded, Pool: name, Prefix: prefix,
				Message: fmt.Sprintf("the block is not this place's any more: %v; it goes when they have released it", p.stranded[prefix].used)})
		}
		wanted, sure := a.tier.wanted(p)
		for _, prefix := range slices.SortedFunc(maps.Keys(wanted), netip.Prefix.Compare) {
			if a.tier.isLost(p, prefix) {
				a.add(Finding{Kind: FoundLost, Pool: name, Prefix: prefix, Mendable: true,
					Message: fmt.Sprintf("%s may be in use, and the store that said by whom is lost; a repair opens it, with nothing taken", prefix)})
				continue
			}
			if _, held := p.held(prefix); sure && !held {
				a.add(Finding{Kind: FoundMissingBlock, Pool: name, Prefix: prefix, Mendable: true,
					Message: fmt.Sprintf("%s was given the place and is not held; a repair takes it", prefix)})
			}
		}
	}
}

// overlaps looks for blocks of two pools whose addresses can meet: on one network, or one of them on all.
func (a *audit) overlaps() {
	type block struct {
		pool   *pool
		prefix netip.Prefix
	}
	var all []block
	for _, p := range a.tier.pools {
		for _, b := range p.usage.Blocks {
			all = append(all, block{p, b.Prefix})
		}
	}
	slices.SortFunc(all, func(x, y block) int { return x.prefix.Compare(y.prefix) })
	var around []block // those that the next may lie in, each in the one before
	for _, b := range all {
		for len(around) > 0 && !around[len(around)-1].prefix.Overlaps(b.prefix) {
			around = around[:len(around)-1]
		}
		for _, o := range around {
			x, y := o.pool.spec.Network, b.pool.spec.Network
			if o.pool != b.pool && (x == y || x == "" || y == "") {
				a.add(Finding{Kind: FoundOverlap, Pool: b.pool.name, Prefix: b.prefix,
					Message: fmt.Sprintf("%s of pool %s overlaps %s of pool %s", b.prefix, b.pool.name, o.prefix, o.pool.name)})
			}
		}
		around = append(around, b)
	}
}

func (a *audit) add(f Finding) { a.found = append(a.found, f) }
