package global

import "github.com/meridian-federation/meridian/internal/store"

// publish hands what was decided to the board, and has every status computed anew that can have changed. It returns
// what it made of the AccessPolicies that were touched.
func (p *planner) publish(w work, planned map[string][]store.Write) map[string]*judgement {
	plans := map[string]*plan{}
	var external []string
	for name := range planned {
		if isExternal(name) {
			external = append(external, name)
			continue
		}
		plans[name] = nil
		if a := p.apps[name]; a != nil {
			plans[name] = &a.plan
		}
	}
	p.board.set(plans, p.inventory)
	p.publishExternals(external)
	judged := p.publishPolicies()
	p.publishQuotas()
	p.publishAddresses(w)
	for name := range planned {
		p.board.touch(specTarget(name))
	}
	for name := range w.reported {
		p.board.touch(applicationTarget(name))
	}
	if w.inventory {
		p.touchInventory()
		return judged
	}
	for region := range w.regions {
		p.touchRegion(region)
	}
	for cluster := range w.health {
		c := p.inventory.clusters[cluster]
		p.board.touch(target{"clusters", "", cluster})
		p.board.touch(target{"zones", "", c.Zone})
		p.board.touch(target{"regions", "", c.Region})
	}
	return judged
}

func (p *planner) touchInventory() {
	r := p.hub.resources()
	for _, x := range r.environments {
		p.board.touch(target{"environments", "", x.Name})
	}
	for _, x := range r.clusters {
		p.board.touch(target{"clusters", "", x.Name})
	}
	for _, x := range r.zones {
		p.board.touch(target{"zones", "", x.Name})
	}
	for _, x := range r.regions {
		p.board.touch(target{"regions", "", x.Name})
	}
	for _, x := range r.networks {
		p.board.touch(target{"networks", "", x.Name})
	}
}

// publishAddresses has the statuses computed anew of pools of which something changed, and of whom was told of an address.
func (p *planner) publishAddresses(w work) {
	if len(w.freed)+len(w.pools)+len(w.demanded) > 0 {
		p.publishPools(w)
	}
	p.publishServiceRanges(w)
	for owner := range w.allotted {
		if t, ok := ownerTarget(owner); ok {
			p.board.touch(t)
		}
	}
}

// touchRegion has the statuses of a region, and of all that lies in it, computed anew.
func (p *planner) touchRegion(region string) {
	p.board.touch(target{"regions", "", region})
	for name, z := range p.inventory.zones {
		if z.region != region {
			continue
		}
		p.board.touch(target{"zones", "", name})
		for _, c := range z.clusters {
			p.board.touch(target{"clusters", "", c.Name})
		}
	}
	for _, name := range p.board.placedIn(region) {
		p.board.touch(applicationTarget(name))
	}
}

func (p *planner) publishPools(w work) {
	standings := map[string]poolStanding{}
	for _, spec := range p.hub.pools.all() {
		standings[spec.Name] = poolStanding{p.pools.refused[spec.Name], p.pools.force[spec.Name]}
		if len(w.freed)+len(w.pools) > 0 || w.demanded[spec.Name] {
			p.board.touch(target{"ippools", "", spec.Name})
		}
	}
	p.board.pooled(standings)
}
