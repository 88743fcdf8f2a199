package global

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// checkPrimaries refuses clusters whose primary cannot be one. One whose record stood before stands as it was. Where two
// clusters contradict each other, what stood before is right: a cluster that is another's primary keeps its own istiod.
func (inv *inventory) checkPrimaries(standing map[string]record.Cluster) {
	named := map[string]string{} // primaries that stand, with one of the clusters that they stand for
	for name, c := range standing {
		if p := c.Mesh.Primary; p != "" && inv.clusters[name].Mesh.Primary == p {
			named[p] = minName(named[p], name)
		}
	}
	inv.refusePrimaries(standing, func(c record.Cluster) string {
		if user, ok := named[c.Name]; ok {
			return fmt.Sprintf("spec.mesh.primary: cluster %s has this one as its primary", user)
		}
		return ""
	})
	inv.refusePrimaries(standing, func(c record.Cluster) string {
		switch p, ok := inv.clusters[c.Mesh.Primary]; {
		case !ok || p.Zone != c.Zone:
			return fmt.Sprintf("spec.mesh.primary: there is no accepted Cluster %s in zone %s", c.Mesh.Primary, c.Zone)
		case p.Mesh.Primary != "":
			return fmt.Sprintf("spec.mesh.primary: cluster %s has a primary of its own, %s", p.Name, p.Mesh.Primary)
		case p.Mesh.Dataplane == string(v1alpha1.DataplaneNone):
			return fmt.Sprintf("spec.mesh.primary: cluster %s has no mesh", p.Name)
		}
		return ""
	})
}

// refusePrimaries looks at all clusters that have a primary, and takes back those of which look says why.
func (inv *inventory) refusePrimaries(standing map[string]record.Cluster, look func(record.Cluster) string) {
	refused := map[string]string{}
	for name, c := range inv.clusters {
		if c.Mesh.Primary == "" {
			continue
		}
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
