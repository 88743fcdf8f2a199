package global

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// pools are the IPPools that are in force. The planner alone touches it.
type pools struct {
	force map[string]record.Pool
	// refused says why a spec is not in force as it is now, by IPPool.
	refused map[string]*refusal
	// leaving are pools with no IPPool any more, of which something may be taken yet.
	leaving map[string]bool
	// holding is what the ledger said last of who has a prefix, by pool and prefix, until that may have changed.
	holding map[string]map[netip.Prefix]*refusal
}

func newPools() *pools {
	return &pools{force: map[string]record.Pool{}, refused: map[string]*refusal{}, leaving: map[string]bool{},
		holding: map[string]map[netip.Prefix]*refusal{}}
}

// restore reads the pools in force.
func (p *pools) restore(snapshot *store.Snapshot) error {
	for e := range snapshot.All(record.KindPool) {
		pool, err := record.DecodePool(e.Record)
		if err != nil {
			return err
		}
		p.force[pool.Name] = pool
		p.leaving[pool.Name] = true // until its IPPool is seen
	}
	return nil
}

func poolIPv6(p record.Pool) bool { return p.Ranges[0].Prefix.Addr().Is6() }

// poolRecord is the spec as the record that travels, defaults filled in. The schema has checked it.
func poolRecord(spec *v1alpha1.IPPool) (record.Pool, error) {
	s := spec.Spec
	out := record.Pool{Name: spec.Name, Purpose: record.Purpose(s.Purpose), Network: s.Network, LowWater: 20, HighWater: 60,
		Quarantine: 10 * time.Minute, ClaimLength: longest(s.Family == v1alpha1.IPv6)}
	for i, r := range s.Ranges {
		prefix, err := netip.ParsePrefix(r.CIDR)
		if err != nil {
			return record.Pool{}, fmt.Errorf("spec.ranges[%d]: %w", i, err)
		}
		out.Ranges = append(out.Ranges, record.Range{Prefix: prefix, Draining: r.Draining})
	}
	slices.SortFunc(out.Ranges, func(a, b record.Range) int { return a.Prefix.Compare(b.Prefix) })
	for i, text := range s.Reserved {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return record.Pool{}, fmt.Errorf("spec.reserved[%d]: %w", i, err)
		}
		out.Reserved = append(out.Reserved, prefix)
	}
	slices.SortFunc(out.Reserved, netip.Prefix.Compare)
	if d := s.Delegation; d != nil {
		out.RegionLength = int(d.RegionLength)
		if d.ZoneLength != nil {
			out.ZoneLength = int(*d.ZoneLength)
		}
	}
	for field, value := range map[*int]*int32{&out.ClaimLength: s.ClaimLength, &out.LowWater: s.LowWaterPercent, &out.HighWater: s.HighWaterPercent} {
		if value != nil {
			*field = int(*value)
		}
	}
	if s.Quarantine != nil {
		out.Quarantine = s.Quarantine.Duration
	}
	return out, nil
}

// poolWrites brings the pool records up to date, and has looked at again what hangs on pools. There are few pools, and
// whether one stands can hang on each other one, so all are judged when one changes.
func (p *planner) poolWrites(ctx context.Context, w *work, dirty *todo) []store.Write {
	if again := p.pools.moved(w); len(w.pools) == 0 && !again && !p.first {
		return nil
	}
	before := maps.Clone(p.pools.force)
	p.judgePools(ctx)
	var out []store.Write
	for _, name := range slices.Sorted(maps.Keys(p.pools.force)) {
		r := p.pools.force[name].Record()
		if e, ok := p.mirror.Snapshot().Get(r.Key); !ok || e.Version != r.Version {
			out = append(out, store.Write{Record: r})
			p.pooled(name, before[name], w, dirty)
		}
	}
	for name, was := range before {
		if _, stands := p.pools.force[name]; !stands {
			out = append(out, store.Write{Record: record.Record{Key: record.PoolKey(name)}, Delete: true, Cause: record.CausePerson})
			p.pooled(name, was, w, dirty)
		}
	}
	p.ranges.services.stale = p.ranges.services.stale || len(out) > 0
	return out
}

// judgePools decides which pools are in force, and how, until nothing changes any more: one that makes room lets another in.
func (p *planner) judgePools(ctx context.Context) {
	for {
		before := maps.Clone(p.pools.force)
		p.judgeOnce(ctx)
		if maps.EqualFunc(before, p.pools.force, samePool) {
			return
		}
	}
}

func samePool(a, b record.Pool) bool { return a.Record().Version == b.Record().Version }

// judgeOnce takes the pools in turn: first those in force, then by age.
func (p *planner) judgeOnce(ctx context.Context) {
	specs := p.hub.pools.all()
	slices.SortFunc(specs, func(a, b *v1alpha1.IPPool) int {
		_, first := p.pools.force[a.Name]
		_, second := p.pools.force[b.Name]
		switch {
		case first && !second:
			return -1
		case second && !first:
			return 1
		}
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	var all spans
	for name, pool := range p.pools.force {
		for _, r := range pool.Ranges {
			all.add(r.Prefix, name)
		}
	}
	p.pools.refused, p.pools.leaving = map[string]*refusal{}, map[string]bool{}
	there := map[string]bool{}
	for _, spec := range specs {
		there[spec.Name] = true
		now, err := poolRecord(spec)
		if err != nil {
			p.pools.refused[spec.Name] = &refusal{v1alpha1.ReasonInvalidSpec, err.Error()}
			continue
		}
		why := p.overlapped(&all, now)
		if why == nil {
			why = p.reserved(ctx, now)
		}
		if why != nil {
			p.pools.refused[spec.Name] = why
			continue
		}
		for _, r := range p.pools.force[spec.Name].Ranges {
			all.remove(r.Prefix, spec.Name)
		}
		if now, why = p.retain(ctx, now); why != nil {
			p.pools.refused[spec.Name] = why
		} else {
			delete(p.pools.holding, spec.Name)
		}
		for _, r := range now.Ranges {
			all.add(r.Prefix, spec.Name)
		}
		p.pools.force[spec.Name] = now
	}
	p.drain(there)
}

// overlapped refuses a pool that has addresses of another one for the same clusters.
func (p *planner) overlapped(all *spans, now record.Pool) *refusal {
	for i, r := range now.Ranges {
		for o := range all.overlapping(r.Prefix) {
			other := p.pools.force[o.owner]
			if o.owner == now.Name || other.Network != now.Network && other.Network != "" && now.Network != "" {
				continue
			}
			return &refusal{v1alpha1.ReasonPoolsOverlap, fmt.Sprintf("spec.ranges[%d]: %s of IPPool %s overlaps %s of IPPool %s, for %s; "+
				"choose other addresses, or take those out there", i, r.Prefix, now.Name, o.prefix, o.owner, clustersOf(cmp.Or(now.Network, other.Network)))}
		}
	}
	return nil
}

func clustersOf(network string) string {
	if network == "" {
		return "all clusters"
	}
	return "clusters of network " + network
}

// pooled has looked at again what hangs on a pool that changes.
func (p *planner) pooled(name string, before record.Pool, w *work, dirty *todo) {
	now := p.pools.force[name]
	if (before.Purpose == record.PurposePod || now.Purpose == record.PurposePod) && !slices.Equal(prefixesOf(before), prefixesOf(now)) {
		w.inventory = true // NetworkPolicies name its ranges
	}
	waiting := map[string]bool{}
	maps.Copy(waiting, p.asks.lacking[name])
	if len(now.Ranges) > 0 {
		maps.Copy(waiting, p.asks.lacking[anyPool(now.Purpose, poolIPv6(now))])
	}
	for owner := range waiting {
		if key, ok := strings.CutPrefix(owner, ownerIPClaim); ok {
			dirty.add(claimPrefix + key)
		} else if app, ok := strings.CutPrefix(owner, ownerApplication); ok {
			dirty.add(app)
		} else if key, ok := strings.CutPrefix(owner, ownerExternal); ok {
			dirty.add(externalName(key))
		} else {
			w.inventory = true
		}
	}
}

func prefixesOf(p record.Pool) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range p.Ranges {
		out = append(out, r.Prefix)
	}
	return out
}

// ofNetworks are the ranges of the pods' pools, by network.
func (p *pools) ofNetworks() map[string][]string {
	out := map[string][]string{}
	for _, pool := range p.force {
		if pool.Purpose != record.PurposePod || pool.Network == "" {
			continue
		}
		for _, prefix := range prefixesOf(pool) {
			out[pool.Network] = append(out[pool.Network], prefix.String())
		}
	}
	for _, ranges := range out {
		slices.Sort(ranges)
	}
	return out
}
