package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// AnnotationDescription keeps what a plan says of an address, at its IPClaim.
const AnnotationDescription = "kubernetes.io/description"

// wrong is what is wrong with a row's field.
func wrong(field, format string, args ...any) error {
	return fmt.Errorf(field+": "+format, args...)
}

// addRange has the row be a range of its pool.
func (j *judgement) addRange(i int, r *Row) error {
	if r.Pool == "" {
		return wrong("pool", "say in a column pool, or with --pool, which IPPool the range is of")
	}
	pool := j.pools[r.Pool]
	if pool == nil {
		if r.Purpose == "" {
			return wrong("purpose", "there is no IPPool %s; to make it, say in a column purpose, or with --purpose, what it is for", r.Pool)
		}
		pool = &Pool{IPPool: v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: r.Pool},
			Spec: v1alpha1.IPPoolSpec{Family: r.family(), Purpose: r.Purpose, Network: r.Network}}}
	}
	if err := agrees(r, pool); err != nil {
		return err
	}
	for prefix, h := range j.ranges.around(r.Prefix) {
		switch {
		case !meet(h.pool.Spec.Network, pool.Spec.Network):
		case h.row < 0 && prefix == r.Prefix && h.pool.Name == r.Pool:
			r.Skipped = "it is there already"
			return nil
		default:
			return wrong("prefix", "%s overlaps %s of IPPool %s%s", r.Prefix, prefix, h.pool.Name, j.source(h.row))
		}
	}
	j.pools[r.Pool], j.pool[i] = pool, pool
	j.ranges.add(r.Prefix, held{pool: &pool.IPPool, draining: r.Draining, row: i})
	return nil
}

// agrees holds what a row says of its pool against the pool.
func agrees(r *Row, pool *Pool) error {
	switch spec := pool.Spec; {
	case r.family() != spec.Family:
		return wrong("prefix", "%s is %s, and IPPool %s is of %s; name another pool", r.Prefix, r.family(), r.Pool, spec.Family)
	case r.Purpose != "" && r.Purpose != spec.Purpose:
		return wrong("purpose", "it is %s, and that of IPPool %s is %s", r.Purpose, r.Pool, spec.Purpose)
	case r.Network != "" && r.Network != spec.Network:
		return wrong("network", "it is %q, and that of IPPool %s is %q", r.Network, r.Pool, spec.Network)
	}
	return nil
}

// prune finds rows whose range contains one of a row before, or one that is there, and drops them.
func (j *judgement) prune() {
	for prefix, inner := range j.ranges.sorted() {
		for around, h := range j.ranges.around(prefix) {
			if around != prefix && h.row > inner.row && j.rows[h.row].Err == nil && meet(h.pool.Spec.Network, inner.pool.Spec.Network) {
				j.rows[h.row].Err = wrong("prefix", "%s overlaps %s of IPPool %s%s", around, prefix, inner.pool.Name, j.source(inner.row))
			}
		}
	}
	for prefix, all := range j.ranges {
		j.ranges[prefix] = slices.DeleteFunc(all, func(h held) bool { return h.row >= 0 && j.rows[h.row].Err != nil })
	}
}

// addReserved has the row be given to nobody.
func (j *judgement) addReserved(i int, r *Row) error {
	pool, _, err := j.poolOf(r)
	if err != nil {
		return err
	}
	if slices.Contains(j.reserved[r.Prefix], pool.Name) {
		r.Skipped = "it is there already"
		return nil
	}
	j.reserved.add(r.Prefix, pool.Name)
	j.takers.add(r.Prefix, taker{pool: pool.Name, row: i})
	j.pool[i] = pool
	return nil
}

// addClaim has the row be a static claim.
func (j *judgement) addClaim(i int, r *Row) error {
	pool, in, err := j.poolOf(r)
	switch {
	case err != nil:
		return err
	case r.Namespace == "":
		return wrong("namespace", "say in a column namespace, or with --namespace, where the IPClaim is to be")
	}
	c := claimOf(r, pool.Name)
	owner := c.Namespace + "/" + c.Name
	if has, ok := j.there[owner]; ok {
		if has != (taken{pool.Name, r.Prefix}) {
			return wrong("name", "there is an IPClaim %s already, which has or asks for something else", owner)
		}
		r.Skipped = "it is there already"
		return nil
	}
	if other, ok := j.names[owner]; ok {
		return wrong("name", "%s makes an IPClaim %s, too", j.rows[other].Source, owner)
	}
	if in.draining {
		return wrong("prefix", "%s lies in a range of IPPool %s that is being drained", r.Prefix, pool.Name)
	}
	j.names[owner], j.claim[i] = i, &c
	j.takers.add(r.Prefix, taker{pool: pool.Name, owner: owner, row: i})
	return nil
}

// poolOf is the pool that a row names, or the one that has it in a range.
func (j *judgement) poolOf(r *Row) (*Pool, held, error) {
	found := map[string]held{}
	for _, h := range j.ranges.around(r.Prefix) {
		if (r.Pool == "" || r.Pool == h.pool.Name) && (r.Network == "" || r.Network == h.pool.Spec.Network) {
			found[h.pool.Name] = h
		}
	}
	names := slices.Sorted(maps.Keys(found))
	switch {
	case len(names) == 1:
		return j.pools[names[0]], found[names[0]], nil
	case len(names) > 1:
		return nil, held{}, wrong("pool", "%s lies in the IPPools %s; say in a column pool which is meant", r.Prefix, strings.Join(names, " and "))
	case r.Pool == "":
		return nil, held{}, wrong("prefix", "%s lies in no range of an IPPool, neither one that is there nor one of a good row", r.Prefix)
	case j.pools[r.Pool] == nil:
		return nil, held{}, wrong("pool", "there is no IPPool %s, and no good row makes one", r.Pool)
	default:
		return nil, held{}, wrong("prefix", "%s lies in no range of IPPool %s", r.Prefix, r.Pool)
	}
}

func claimOf(r *Row, pool string) v1alpha1.IPClaim {
	c := v1alpha1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.name()},
		Spec: v1alpha1.IPClaimSpec{Pool: pool, Prefix: r.Prefix.String(), Zone: r.Zone}}
	if r.Description != "" {
		c.Annotations = map[string]string{AnnotationDescription: r.Description}
	}
	return c
}
