package question

import (
	"fmt"
	"strings"
)

// Tier is a level of the tree.
type Tier string

// The tiers, from the top.
const (
	TierGlobal  Tier = "global"
	TierRegion  Tier = "region"
	TierZone    Tier = "zone"
	TierCluster Tier = "cluster"
)

// Path names one node of the tree: the zero Path is Global, one with a Region alone is that region, and so on down.
// Its text form is "global" or "region/west/zone/west-a/cluster/west-a-1", cut off where it ends.
type Path struct {
	Region, Zone, Cluster string
}

// ParsePath reads the text form.
func ParsePath(s string) (Path, error) {
	if s == string(TierGlobal) {
		return Path{}, nil
	}
	parts := strings.Split(s, "/")
	var p Path
	for i, into := range []*string{&p.Region, &p.Zone, &p.Cluster} {
		at := 2 * i
		if at >= len(parts) {
			break
		}
		tier := []Tier{TierRegion, TierZone, TierCluster}[i]
		if at+1 >= len(parts) || parts[at] != string(tier) || parts[at+1] == "" {
			return Path{}, badPath(s)
		}
		*into = parts[at+1]
	}
	if len(parts) > 6 {
		return Path{}, badPath(s)
	}
	return p, nil
}

func badPath(s string) error {
	return fmt.Errorf("%w: path %q is neither global nor region/REGION[/zone/ZONE[/cluster/CLUSTER]]", ErrInvalid, s)
}

// String is the text form.
func (p Path) String() string {
	switch p.Tier() {
	case TierRegion:
		return "region/" + p.Region
	case TierZone:
		return "region/" + p.Region + "/zone/" + p.Zone
	case TierCluster:
		return "region/" + p.Region + "/zone/" + p.Zone + "/cluster/" + p.Cluster
	default:
		return string(TierGlobal)
	}
}

// MarshalText writes the text form.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the text form.
func (p *Path) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePath(string(text))
	return err
}

// Tier is the level of the node named.
func (p Path) Tier() Tier {
	switch {
	case p.Cluster != "":
		return TierCluster
	case p.Zone != "":
		return TierZone
	case p.Region != "":
		return TierRegion
	default:
		return TierGlobal
	}
}

// Child is the name of the child by which a node on the path, of tier at, goes on towards its end; below is false if
// the node is the end itself.
func (p Path) Child(at Tier) (name string, below bool) {
	switch at {
	case TierGlobal:
		name = p.Region
	case TierRegion:
		name = p.Zone
	case TierZone:
		name = p.Cluster
	}
	return name, name != ""
}

// Parent is the place above; ok is false for Global, which has none.
func (p Path) Parent() (parent Path, ok bool) {
	switch p.Tier() {
	case TierCluster:
		p.Cluster = ""
	case TierZone:
		p.Zone = ""
	case TierRegion:
		p.Region = ""
	default:
		return Path{}, false
	}
	return p, true
}

// Contains tells whether other is p, or a place below it.
func (p Path) Contains(other Path) bool {
	for q, ok := other, true; ok; q, ok = q.Parent() {
		if q == p {
			return true
		}
	}
	return false
}
