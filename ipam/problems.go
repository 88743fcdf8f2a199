package ipam

import (
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// problems are what of a pool's record cannot be done here, and in places below by their own word, which is put under their
// names: the first few.
func (t *Tier) problems(p *pool) []string {
	var out []string
	if len(p.lost) > 0 {
		out = append(out, t.sorrow(p))
	}
	out = append(out, p.problems...)
	var troubled []string
	for name, c := range t.children {
		if len(c.demands[p.name].Problems) > 0 {
			troubled = append(troubled, name)
		}
	}
	slices.Sort(troubled)
	for _, name := range troubled {
		for _, problem := range t.children[name].demands[p.name].Problems {
			out = append(out, fmt.Sprintf("%s: %s", title(name), problem))
		}
	}
	return out[:min(len(out), record.MaxPoolProblems)]
}

// title is how a child is spoken of.
func title(child string) string {
	region, zone := where(child)
	if zone != "" {
		return "zone " + zone
	}
	return "region " + region
}
