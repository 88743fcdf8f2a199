package global

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
)

// Owners of claims are named by their kind, then by their key.
const (
	ownerIPClaim     = "ipclaim/"
	ownerApplication = "application/"
	ownerExternal    = "external/"
	ownerCluster     = "cluster/"
)

// What a cluster asks for, as its owners' names end.
const (
	askPodRange = "pods"
	askEastWest = "eastwest"
	askIngress  = "ingress"
)

// statusEastWest is what a cluster's status calls its east-west gateway's address.
const statusEastWest = "eastWest"

func clusterOwner(cluster, ask string) string { return ownerCluster + cluster + "/" + ask }

// clusterAsk reads an owner's name that clusterOwner made.
func clusterAsk(owner string) (cluster, ask string, ok bool) {
	rest, ok := strings.CutPrefix(owner, ownerCluster)
	cluster, ask, cut := strings.Cut(rest, "/")
	return cluster, ask, ok && cut
}

// ask is what somebody wants of address space.
type ask struct {
	owner   string
	pool    string // or any of purpose and network
	purpose record.Purpose
	network string
	ipv6    bool
	// length of the prefix, 0 for the pool's claim length; single asks for one address, whatever the pool's family.
	length int
	single bool
	// everywhere: it is what callers in all clusters call, so its pool must be for Services and of no Network.
	everywhere bool
	prefix     netip.Prefix
	zone       string // empty: Global
	tenant     string
}

// asks are the claims in force. The planner alone touches it.
type asks struct {
	claims map[string]record.Claim // by owner
	// due are the writes that the store lacks until the end of the round. An owner may be planned twice in one.
	due map[record.Key]store.Write
	// lacking are the owners that wait for a pool of that name, or for anyPool.
	lacking index
	// spaces are the namespaces' IPClaims.
	spaces index
}

func newAsks() *asks {
	return &asks{claims: map[string]record.Claim{}, due: map[record.Key]store.Write{}, lacking: index{}, spaces: index{}}
}

// restore reads the claims in force.
func (a *asks) restore(snapshot *store.Snapshot) error {
	for e := range snapshot.All(record.KindClaim) {
		c, err := record.DecodeClaim(e.Record)
		if err != nil {
			return err
		}
		a.claims[c.Owner] = c
	}
	return nil
}

func (a *asks) hold(c record.Claim) {
	if held, has := a.claims[c.Owner]; has && held.Record().Key != c.Record().Key {
		a.end(c.Owner, record.CausePerson)
	}
	a.claims[c.Owner] = c
	a.due[c.Record().Key] = store.Write{Record: c.Record()}
}

func (a *asks) end(owner string, cause record.Cause) {
	if held, has := a.claims[owner]; has {
		key := held.Record().Key
		delete(a.claims, owner)
		a.due[key] = store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause}
	}
}

// writes are those that are due, which are so no more. What ends goes to the store after what used the address: whoever dies
// between the two leaves a claim that nobody uses, and not an address in use that is given to another.
func (a *asks) writes() (held, ended []store.Write) {
	for _, w := range a.due {
		if w.Delete {
			ended = append(ended, w)
		} else {
			held = append(held, w)
		}
	}
	clear(a.due)
	return held, ended
}

// claimFor is an ask as the record that goes to where it is met. What the pool's spec shows to be impossible is refused.
func (p *planner) claimFor(a ask) (record.Claim, *refusal) {
	out := record.Claim{Owner: a.owner, Zone: a.zone, Pool: a.pool, Purpose: a.purpose, Network: a.network, IPv6: a.ipv6, Length: a.length,
		Prefix: a.prefix, Tenant: a.tenant}
	if a.zone != "" {
		z, ok := p.inventory.zones[a.zone]
		if !ok {
			return out, &refusal{v1alpha1.ReasonUnknownZone, fmt.Sprintf("spec.zone: there is no accepted Zone %s", a.zone)}
		}
		out.Region = z.region
	}
	if a.pool == "" {
		if a.single {
			out.Length = longest(a.ipv6)
		}
		return out, nil
	}
	pool, ok := p.pools.force[a.pool]
	if !ok {
		return out, &refusal{v1alpha1.ReasonPoolNotFound, fmt.Sprintf("there is no accepted IPPool %s", a.pool)}
	}
	out.IPv6 = poolIPv6(pool)
	if a.single {
		out.Length = longest(out.IPv6)
	}
	switch most := longest(out.IPv6); {
	case a.everywhere && pool.Purpose != record.PurposeService:
		return out, &refusal{v1alpha1.ReasonInvalidSpec, fmt.Sprintf(
			"spec.address.pool: IPPool %s is of purpose %s; name one of purpose %s that is for all clusters", a.pool, pool.Purpose, record.PurposeService)}
	case a.everywhere && pool.Network != "":
		return out, &refusal{v1alpha1.ReasonInvalidSpec, fmt.Sprintf(
			"spec.address.pool: IPPool %s is of Network %s alone; name one of purpose %s that is for all clusters", a.pool, pool.Network, record.PurposeService)}
	case a.zone != "" && pool.ZoneLength == 0:
		return out, &refusal{v1alpha1.ReasonNotDelegated, fmt.Sprintf(
			"IPPool %s is not delegated to zones; set spec.delegation.zoneLength there, or ask for another pool", a.pool)}
	case a.prefix.IsValid() && a.prefix.Addr().Is6() != out.IPv6:
		return out, &refusal{v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.prefix: %s is not of the family of IPPool %s", a.prefix, a.pool)}
	case out.Length > most:
		return out, &refusal{v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.length: %d, and IPPool %s has lengths up to %d", out.Length, a.pool, most)}
	}
	return out, nil
}

func longest(ipv6 bool) int {
	if ipv6 {
		return 128
	}
	return 32
}

// stake brings the claim of an owner into force, at most one, and tells the board. A claim that is in force stays when
// what is asked can no longer be judged: the owner may be using what it has.
func (p *planner) stake(a ask) {
	want, refused := p.claimFor(a)
	p.wait(a, refused)
	held, has := p.asks.claims[a.owner]
	if refused != nil {
		if has {
			refused = nil
		}
		p.board.asked(a.owner, &asked{refused: refused, claim: held})
		return
	}
	if has {
		want.Tenant = held.Tenant // whoever it was given to
	}
	p.board.asked(a.owner, &asked{claim: want})
	if !has || held != want {
		p.asks.hold(want)
	}
}

// unfit tells whether an ask is refused because its pool is not one for what all clusters call.
func (a ask) unfit(refused *refusal) bool {
	return a.everywhere && refused != nil && refused.reason == v1alpha1.ReasonInvalidSpec
}

// anyPool stands for all pools of a purpose and a family; no pool has such a name.
func anyPool(purpose record.Purpose, ipv6 bool) string {
	return fmt.Sprintf("%s/%d", purpose, longest(ipv6))
}

// wait notes whether an owner waits for its pool.
func (p *planner) wait(a ask, refused *refusal) {
	if a.pool == "" {
		p.asks.lacking.remove(anyPool(a.purpose, a.ipv6), a.owner)
		return
	}
	if refused != nil && (refused.reason == v1alpha1.ReasonPoolNotFound || refused.reason == v1alpha1.ReasonNotDelegated) || a.unfit(refused) {
		p.asks.lacking.add(a.pool, a.owner)
	} else {
		p.asks.lacking.remove(a.pool, a.owner)
	}
}

// letGo ends the claim of an owner.
func (p *planner) letGo(owner string, cause record.Cause) {
	p.board.asked(owner, nil)
	for pool := range p.asks.lacking {
		p.asks.lacking.remove(pool, owner)
	}
	p.asks.end(owner, cause)
}

// address brings the claim of an application that is accepted into force, or ends it.
func (p *planner) address(name string, spec *v1alpha1.ApplicationSpec) {
	owner := ownerApplication + name
	if spec.Address == nil {
		p.letGo(owner, record.CausePerson)
		return
	}
	a := ask{owner: owner, pool: spec.Address.Pool, single: true, everywhere: true, ipv6: spec.Address.Family == v1alpha1.IPv6, tenant: p.tenantOf(name)}
	if a.pool == "" {
		a.purpose = record.PurposeService
	}
	p.stake(a)
}

// clusterClaims brings the claims of clusters into force, and ends those of clusters that are no more.
func (p *planner) clusterClaims(w work) {
	for owner := range p.asks.claims {
		cluster, _, ok := clusterAsk(owner)
		if _, stands := p.inventory.clusters[cluster]; ok && !stands {
			cause, gone := w.clusters[cluster]
			if !gone {
				cause = record.CauseFound
			}
			p.letGo(owner, cause)
		}
	}
	for name := range p.inventory.clusters {
		if c, ok := p.hub.clusters.get(name); ok {
			p.claimsOf(c)
		}
	}
}

// claimsOf brings one cluster's claims into force.
func (p *planner) claimsOf(c *v1alpha1.Cluster) {
	var wants v1alpha1.ClusterAddresses
	if c.Spec.Addresses != nil {
		wants = *c.Spec.Addresses
	}
	one := func(name string, asks bool, a ask) {
		a.owner, a.zone = clusterOwner(c.Name, name), c.Spec.Zone
		if !asks {
			p.letGo(a.owner, record.CausePerson)
			return
		}
		if a.pool != "" {
			a.purpose, a.network = "", ""
		}
		p.stake(a)
	}
	pods, eastWest, ingress := ask{purpose: record.PurposePod, network: c.Spec.Network}, ask{purpose: record.PurposeLoadBalancer, single: true},
		ask{purpose: record.PurposeLoadBalancer, single: true}
	if r := wants.PodRange; r != nil {
		pods.pool = r.Pool
		if r.Length != nil {
			pods.length = int(*r.Length)
		}
	}
	if r := wants.EastWest; r != nil {
		eastWest.pool = r.Pool
	}
	if r := wants.Ingress; r != nil {
		ingress.pool = r.Pool
	}
	one(askPodRange, wants.PodRange != nil, pods)
	one(askEastWest, wants.EastWest != nil, eastWest)
	one(askIngress, wants.Ingress != nil, ingress)
}

// gateways are the addresses of east-west gateways that IPAM gives. One that is not told of now is as it was.
func (p *planner) gateways() map[string]string {
	out := map[string]string{}
	for _, c := range p.hub.clusters.all() {
		if g := c.Spec.Mesh.Gateway; c.Spec.Addresses == nil || c.Spec.Addresses.EastWest == nil || g == nil || len(g.Addresses) > 0 {
			continue
		}
		if claim, held := p.asks.claims[clusterOwner(c.Name, askEastWest)]; held {
			if a, fits := p.reports.granted(claim); fits {
				out[c.Name] = a.Prefix.Addr().String()
				continue
			}
			if a, told := p.reports.allotment(claim.Record().Key); told && a.Reason != ipam.ReasonStoreSetBack {
				continue
			}
		}
		if before := p.gatewayBefore(c); before != "" {
			out[c.Name] = before
		}
	}
	return out
}

// gatewayBefore is the address that a cluster's gateway had when it was last known: by its record, and where the store was
// lost by its status at the hub.
func (p *planner) gatewayBefore(c *v1alpha1.Cluster) string {
	if e, ok := p.mirror.Snapshot().Get(record.ClusterKey(c.Name)); ok {
		before, err := record.DecodeCluster(e.Record)
		if err != nil || len(before.Mesh.Gateway.Addresses) != 1 {
			return ""
		}
		return before.Mesh.Gateway.Addresses[0]
	}
	for _, a := range c.Status.Addresses {
		if had, err := netip.ParsePrefix(a.Prefix); a.Name == statusEastWest && err == nil {
			return had.Addr().String()
		}
	}
	return ""
}
