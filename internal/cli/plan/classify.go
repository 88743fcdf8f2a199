package plan

import "github.com/meridian-federation/meridian/api/v1alpha1"

// classify finds the kind of rows that do not say one:
//
//	has a name                              claim
//	is a range that is there                range
//	is a single address                     claim
//	lies in no other row, nor in a range    range; nothing if NetBox says that it is reserved
//	holds other rows, or is a container     nothing: it only says how the plan is drawn
//	NetBox says that it is reserved         reserved
//	else                                    claim
//
// It looks at rows with errors too: what is inside of one of them is not thereby a range.
func classify(rows []Row, pools []v1alpha1.IPPool) {
	outer := index[int]{}
	for i := range rows {
		if r := &rows[i]; r.Prefix.IsValid() && r.Kind != Held {
			outer.add(r.Prefix, i)
		}
	}
	ranges := rangesOf(pools)
	holds, inside, there := make([]bool, len(rows)), make([]bool, len(rows)), make([]bool, len(rows))
	for i := range rows {
		r := &rows[i]
		if !r.Prefix.IsValid() {
			continue
		}
		for p, j := range outer.around(r.Prefix) {
			if p != r.Prefix && meet(r.Network, rows[j].Network) && rows[j].Kind != Claim {
				holds[j], inside[i] = true, true
			}
		}
		for p, held := range ranges.around(r.Prefix) {
			if meet(r.Network, held.pool.Spec.Network) {
				there[i] = there[i] || p == r.Prefix && (r.Pool == "" || r.Pool == held.pool.Name)
				inside[i] = inside[i] || p != r.Prefix
			}
		}
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case !r.Prefix.IsValid() || r.Kind != "":
		case r.Name != "":
			r.Kind = Claim
		case there[i]:
			r.Kind, r.Skipped = Range, "it is there already"
		case r.Prefix.IsSingleIP():
			r.Kind = Claim
		case !inside[i] && r.status == "reserved":
			r.Skipped = "it is reserved, and lies in no range"
		case !inside[i]:
			r.Kind = Range
		case holds[i] || r.status == "container":
			r.Skipped = "it only holds others"
		case r.status == "reserved":
			r.Kind = Reserved
		default:
			r.Kind = Claim
		}
	}
}

// held is a range of a pool.
type held struct {
	pool     *v1alpha1.IPPool
	draining bool
	// row is the one that it comes from; -1 for one that is there.
	row int
}

// rangesOf are the ranges of pools that are there.
func rangesOf(pools []v1alpha1.IPPool) index[held] {
	out := index[held]{}
	for i := range pools {
		for _, r := range pools[i].Spec.Ranges {
			if p, err := parsePrefix(r.CIDR); err == nil {
				out.add(p, held{pool: &pools[i], draining: r.Draining, row: -1})
			}
		}
	}
	return out
}
