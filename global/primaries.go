package global

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// checkPrimaries refuses clusters whose primary cannot be theirs. One whose record stood before stands as it was. Where two
// clusters contradict each other, what stood before is right: a cluster that is another's primary keeps its own istiod.
func (inv *inventory) checkPrimaries(standing map[string]record.Cluster) {
	named := map[string]string{} // primaries that stand, with one of the clusters that they stand for
	for name, c := range standing {
		if p := c.Mesh.Primary; p != "" && inv.clusters[name].Mesh.Primary == p {
			named[p] = minName(named[p], name)
		}
	}
	broken := inv.brokenGroups(standing)
	inv.refusePrimaries(standing, func(c record.Cluster) string {
		if user, ok := named[c.Name]; ok && c.Mesh.Primary != "" {
			return fmt.Sprintf("spec.mesh.primary: cluster %s has this one as its primary", user)
		}
		return broken[c.Name]
	})
	inv.refusePrimaries(standing, func(c record.Cluster) string {
		switch p, ok := inv.clusters[c.Mesh.Primary]; {
		case c.Mesh.Primary == "":
			return ""
		case !ok || p.Zone != c.Zone:
			return fmt.Sprintf("spec.mesh.primary: there is no accepted Cluster %s in zone %s", c.Mesh.Primary, c.Zone)
		case p.Mesh.Primary != "":
			return fmt.Sprintf("spec.mesh.primary: cluster %s has a primary of its own, %s", p.Name, p.Mesh.Primary)
		case p.Mesh.Dataplane == string(v1alpha1.DataplaneNone):
			return fmt.Sprintf("spec.mesh.primary: cluster %s has no mesh", p.Name)
		default:
			return unlike(c, p)
		}
	})
}

// brokenGroups says of primaries which change of theirs those that have them as their primary have not followed. What stood
// before is right until all of the group are changed, in whatever order.
func (inv *inventory) brokenGroups(standing map[string]record.Cluster) map[string]string {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(standing)) {
		before, now := standing[name], inv.clusters[name]
		p, ok := inv.clusters[now.Mesh.Primary]
		stood := standing[now.Mesh.Primary]
		if !ok || out[p.Name] != "" || before.Mesh.Primary != p.Name || stood.Name == "" {
			continue
		}
		if unlike(before, stood) == "" && unlike(before, p) != "" && unlike(now, p) != "" {
			out[p.Name] = fmt.Sprintf("cluster %s has this one as its primary, and contradicts it: %s", name, unlike(now, p))
		}
	}
	return out
}

// unlike says which field of a cluster must be its primary's and is not, or "". One istiod has one network by which it
// knows what is reached directly, and the same Gateway objects, which the primary's gateway asks for, for all gateways of its
// clusters.
func unlike(c, primary record.Cluster) string {
	if c.Network != primary.Network {
		return fmt.Sprintf("spec.network: must be %s, that of the primary %s, and is %s", primary.Network, primary.Name, c.Network)
	}
	g, want := c.Mesh.Gateway, primary.Mesh.Gateway
	if g.Namespace == "" {
		return ""
	}
	if want.Namespace == "" {
		return fmt.Sprintf("spec.mesh.gateway: the primary %s has none, and its istiod would open this one for nobody; give the primary one "+
			"with the same namespace and selector, or take this one away", primary.Name)
	}
	if g.Namespace != want.Namespace {
		return fmt.Sprintf("spec.mesh.gateway.namespace: must be %s, that of the primary %s, and is %s", want.Namespace, primary.Name, g.Namespace)
	}
	if !maps.Equal(g.Selector, want.Selector) {
		return fmt.Sprintf("spec.mesh.gateway.selector: must be %s, that of the primary %s, and is %s", labels.Set(want.Selector),
			primary.Name, labels.Set(g.Selector))
	}
	return ""
}

// refusePrimaries looks at all clusters, and takes back those of which look says why.
func (inv *inventory) refusePrimaries(standing map[string]record.Cluster, look func(record.Cluster) string) {
	refused := map[string]string{}
	for name, c := range inv.clusters {
		if why := look(c); why != "" {
			refused[name] = why
		}
	}
	for name, why := range refused {
		inv.refusedClusters[name] = why
		if before, ok := standing[name]; ok {
			inv.clusters[name] = before
		} else {
			delete(inv.clusters, name)
		}
	}
}

func minName(a, b string) string {
	if a == "" {
		return b
	}
	return min(a, b)
}

// gatewayRecord fills in the defaults.
func gatewayRecord(g *v1alpha1.EastWestGateway) record.Gateway {
	out := record.Gateway{Addresses: slices.Sorted(slices.Values(g.Addresses)), Namespace: cmp.Or(g.Namespace, "istio-system"),
		Selector: maps.Clone(g.Selector)}
	if len(out.Selector) == 0 {
		out.Selector = map[string]string{"istio": "eastwestgateway"}
	}
	return out
}
