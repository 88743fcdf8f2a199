package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// Plan is what rows make of what is there.
type Plan struct {
	Rows []Row
	// Pools are made, or extended where they are there, and then Claims are made.
	Pools  []Pool
	Claims []NewClaim

	there  []v1alpha1.IPPool
	claims []v1alpha1.IPClaim
}

// Pool is an IPPool as it is to be.
type Pool struct {
	v1alpha1.IPPool
	// Exists: it is there, and gets ranges or reservations more.
	Exists bool
	// From are the rows that it is made of.
	From []int
}

// NewClaim is an IPClaim that is to be made of a row.
type NewClaim struct {
	v1alpha1.IPClaim
	From int
}

// New works out what becomes of rows, given the pools and the claims that there are.
func New(rows []Row, pools []v1alpha1.IPPool, claims []v1alpha1.IPClaim) *Plan {
	p := &Plan{Rows: rows, there: pools, claims: claims}
	classify(rows, pools)
	p.Judge()
	return p
}

// Judge works it out again, without the rows that have an error by now: what rests on them has one then, too.
func (p *Plan) Judge() {
	j := &judgement{rows: p.Rows, pools: map[string]*Pool{}, ranges: rangesOf(p.there), reserved: reservedOf(p.there),
		takers: index[taker]{}, there: map[string]taken{}, names: map[string]int{},
		pool: make([]*Pool, len(p.Rows)), claim: make([]*v1alpha1.IPClaim, len(p.Rows))}
	for i := range p.there {
		j.pools[p.there[i].Name] = &Pool{IPPool: *p.there[i].DeepCopy(), Exists: true}
	}
	j.have(p.claims)
	j.each(Range, j.addRange)
	j.prune()
	j.each(Reserved, j.addReserved)
	j.each(Claim, j.addClaim)
	j.overlaps()
	p.Pools, p.Claims = j.outcome()
}

// Wrong are the rows that nothing can be made of.
func (p *Plan) Wrong() []Row {
	return slices.DeleteFunc(slices.Clone(p.Rows), func(r Row) bool { return r.Err == nil })
}

// judgement is one run over the rows.
type judgement struct {
	rows     []Row
	pools    map[string]*Pool
	ranges   index[held]
	reserved index[string] // names of pools
	takers   index[taker]
	// there is what the claims have that there are, names the rows that make one, both by NAMESPACE/NAME.
	there map[string]taken
	names map[string]int
	// pool and claim are what a row adds to, or makes.
	pool  []*Pool
	claim []*v1alpha1.IPClaim
}

// taken is what a claim has, or asks for; the prefix is invalid if that is any.
type taken struct {
	pool   string
	prefix netip.Prefix
}

// taker is who has, or is to have, a prefix of a pool; nobody may have what has no owner.
type taker struct {
	pool, owner string
	// row is the one that it comes from; -1 for one that is there.
	row int
}

// have takes in the claims that there are.
func (j *judgement) have(claims []v1alpha1.IPClaim) {
	for i := range claims {
		c := &claims[i]
		t := taker{pool: cmp.Or(c.Status.Pool, c.Spec.Pool), owner: c.Namespace + "/" + c.Name, row: -1}
		prefix, err := parsePrefix(cmp.Or(c.Status.Prefix, c.Spec.Prefix))
		j.there[t.owner] = taken{t.pool, prefix}
		if err == nil {
			j.takers.add(prefix, t)
		}
	}
	for prefix, pool := range j.reserved.sorted() {
		j.takers.add(prefix, taker{pool: pool, row: -1})
	}
}

// good tells whether something is to be made of a row.
func (r *Row) good() bool { return r.Err == nil && r.Skipped == "" }

// each judges the rows of a kind that are good so far.
func (j *judgement) each(kind Kind, judge func(int, *Row) error) {
	for i := range j.rows {
		if r := &j.rows[i]; r.Kind == kind && r.good() {
			r.Err = judge(i, r)
		}
	}
}

// outcome is what the good rows make.
func (j *judgement) outcome() (pools []Pool, claims []NewClaim) {
	for i := range j.rows {
		r := &j.rows[i]
		if r.Kind == Held && r.good() {
			r.Skipped = "it is held by " + cmp.Or(r.Owner, "somebody") + ", who asks for it by itself"
		}
		if !r.good() {
			continue
		}
		if pool := j.pool[i]; pool != nil {
			pool.From = append(pool.From, i)
			if r.Kind == Range {
				pool.Spec.Ranges = append(pool.Spec.Ranges, v1alpha1.IPRange{CIDR: r.Prefix.String(), Draining: r.Draining})
			} else {
				pool.Spec.Reserved = append(pool.Spec.Reserved, r.Prefix.String())
			}
		}
		if j.claim[i] != nil {
			claims = append(claims, NewClaim{*j.claim[i], i})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.pools)) {
		if pool := j.pools[name]; len(pool.From) > 0 {
			pools = append(pools, *pool)
		}
	}
	return pools, claims
}

func reservedOf(pools []v1alpha1.IPPool) index[string] {
	out := index[string]{}
	for i := range pools {
		for _, text := range pools[i].Spec.Reserved {
			if prefix, err := parsePrefix(text); err == nil {
				out.add(prefix, pools[i].Name)
			}
		}
	}
	return out
}

// overlaps finds rows that ask for what somebody else has, what nobody may have, or what a row before asks for.
func (j *judgement) overlaps() {
	for prefix, inner := range j.takers.sorted() {
		for around, outer := range j.takers.around(prefix) {
			if inner.pool == outer.pool && inner != outer && inner.owner+outer.owner != "" {
				j.clash(prefix, inner, around, outer)
			}
		}
	}
}

// clash puts an error to the row of the two that comes later.
func (j *judgement) clash(prefix netip.Prefix, inner taker, around netip.Prefix, outer taker) {
	mine, theirs, other := inner, outer, around
	if outer.row > inner.row {
		mine, theirs, other = outer, inner, prefix
	}
	if mine.row < 0 || j.rows[mine.row].Err != nil || theirs.row >= 0 && j.rows[theirs.row].Err != nil {
		return
	}
	by := "is reserved in IPPool " + theirs.pool
	if theirs.owner != "" {
		by = "IPClaim " + theirs.owner + " has"
	}
	j.rows[mine.row].Err = wrong("prefix", "%s overlaps %s, which %s%s", j.rows[mine.row].Prefix, other, by, j.source(theirs.row))
}

// source says which row something comes from, if from one.
func (j *judgement) source(row int) string {
	if row < 0 {
		return ""
	}
	return ", by " + j.rows[row].Source
}
