package global

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// quotas keep what each tenant has beside what its TenantQuotas allow. What is in force is charged, whatever the limits
// are; what would grow beyond one is refused, and waits until its tenant has room.
type quotas struct {
	specs    map[string]*v1alpha1.TenantQuota // by name
	accounts map[string]*account              // by tenant; of those that have something, or a quota
	charges  map[string]charge                // by application, IPClaim or ExternalService
	// freed are tenants that may have room for what waits, touched those whose quotas' statuses may have changed.
	freed, touched map[string]bool
}

// account is what one tenant has and may have.
type account struct {
	quotas                 []string // names, sorted
	limits                 limits
	applications, replicas int64
	addresses              int64
	waiting                map[string]bid // by application, IPClaim or ExternalService
}

// charge is what one application has in force, or with claim one IPClaim or ExternalService.
type charge struct {
	claim               bool
	addresses           int64
	tenant, environment string
	spec                *v1alpha1.ApplicationSpec // nobody writes to it
	zones               map[string]int32          // as place returns them
	replicas            int64                     // over all clusters
}

func (c charge) applications() int64 {
	if c.claim {
		return 0
	}
	return 1
}

// bid is what an application or an IPClaim asks for, beyond what it has.
type bid struct {
	created                time.Time
	applications, replicas int64
	addresses              int64
	kinds                  []string // that it brings and did not bring before
}

// ceiling is the most of something, and the TenantQuota that says so; without one there is none.
type ceiling struct {
	most int64
	by   string
}

// refuses tells whether growth goes beyond the ceiling. What does not grow is never refused.
func (l ceiling) refuses(used, growth int64) bool {
	return l.by != "" && growth > 0 && used+growth > l.most
}

// limits are the lowest of a tenant's quotas.
type limits struct {
	applications, replicas, consumers ceiling
	addresses                         ceiling
	kinds                             []v1alpha1.ResourceKind // allowed ones, where kindsBy says so
	kindsBy                           string
}

func newQuotas() *quotas {
	return &quotas{specs: map[string]*v1alpha1.TenantQuota{}, accounts: map[string]*account{}, charges: map[string]charge{},
		freed: map[string]bool{}, touched: map[string]bool{}}
}

// account of a tenant, a new one if need be; nil for no tenant.
func (q *quotas) account(tenant string) *account {
	if tenant == "" {
		return nil
	}
	a := q.accounts[tenant]
	if a == nil {
		a = &account{waiting: map[string]bid{}}
		q.accounts[tenant] = a
	}
	q.touched[tenant] = true
	return a
}

// limitsOf are a tenant's, all absent for one without quotas.
func (q *quotas) limitsOf(tenant string) limits {
	if a := q.accounts[tenant]; a != nil {
		return a.limits
	}
	return limits{}
}

// set notes what a TenantQuota says now, nil if it is gone, and returns the tenants that this concerns.
func (q *quotas) set(name string, now *v1alpha1.TenantQuota) []string {
	before := q.specs[name]
	if before == now {
		return nil
	}
	var tenants []string
	if before != nil {
		a := q.account(before.Spec.Tenant)
		a.quotas = slices.DeleteFunc(a.quotas, func(n string) bool { return n == name })
		tenants = append(tenants, before.Spec.Tenant)
	}
	if q.specs[name] = now; now == nil {
		delete(q.specs, name)
	} else {
		a := q.account(now.Spec.Tenant)
		i, _ := slices.BinarySearch(a.quotas, name)
		a.quotas = slices.Insert(a.quotas, i, name)
		tenants = append(tenants, now.Spec.Tenant)
	}
	for _, tenant := range slices.Compact(tenants) {
		q.accounts[tenant].limits = q.lowest(q.accounts[tenant].quotas)
		q.freed[tenant] = true
		q.prune(tenant)
	}
	return slices.Compact(tenants)
}

// lowest brings the limits of some quotas together.
func (q *quotas) lowest(names []string) (out limits) {
	lower := func(l *ceiling, most *int64, by string) {
		if most != nil && (l.by == "" || *most < l.most) {
			*l = ceiling{*most, by}
		}
	}
	for _, name := range names {
		spec := q.specs[name].Spec
		lower(&out.applications, spec.Applications, name)
		lower(&out.replicas, spec.Replicas, name)
		lower(&out.consumers, spec.Consumers, name)
		lower(&out.addresses, spec.Addresses, name)
		switch {
		case spec.ResourceKinds == nil:
		case out.kindsBy == "":
			out.kinds, out.kindsBy = slices.Clone(spec.ResourceKinds), name
		default:
			out.kinds = slices.DeleteFunc(out.kinds, func(k v1alpha1.ResourceKind) bool { return !slices.Contains(spec.ResourceKinds, k) })
			out.kindsBy += ", " + name
		}
	}
	return out
}

// forbidden are those of some kinds that the limits do not allow.
func (l limits) forbidden(kinds []string) []string {
	if l.kindsBy == "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return slices.Contains(l.kinds, v1alpha1.ResourceKind(k)) })
}

// fits tells whether there is room for a bid.
func (a *account) fits(b bid) bool {
	return !a.limits.applications.refuses(a.applications, b.applications) && !a.limits.replicas.refuses(a.replicas, b.replicas) &&
		!a.limits.addresses.refuses(a.addresses, b.addresses) && len(a.limits.forbidden(b.kinds)) == 0
}

// afford refuses what a tenant with quotas has no room for, and has the application wait.
func (q *quotas) afford(name, tenant string, b bid) *refusal {
	a := q.accounts[tenant]
	if a.fits(b) {
		return nil
	}
	a.waiting[name] = b
	q.touched[tenant] = true
	var why []string
	say := func(what string, l ceiling, used, growth int64) {
		if l.refuses(used, growth) {
			why = append(why, exceeded(tenant, what, l, used, growth))
		}
	}
	say("applications", a.limits.applications, a.applications, b.applications)
	say("replicas", a.limits.replicas, a.replicas, b.replicas)
	say("addresses", a.limits.addresses, a.addresses, b.addresses)
	if kinds := a.limits.forbidden(b.kinds); len(kinds) > 0 {
		allowed := make([]string, 0, len(a.limits.kinds))
		for _, k := range a.limits.kinds {
			allowed = append(allowed, string(k))
		}
		why = append(why, fmt.Sprintf("spec.resources: tenant %s may not bring %s (TenantQuota %s), allowed are: %s",
			tenant, listed(kinds), a.limits.kindsBy, cmp.Or(listed(allowed), "none")))
	}
	return &refusal{v1alpha1.ReasonQuotaExceeded, strings.Join(why, "; ")}
}

// exceeded names limit, used and asked.
func exceeded(tenant, what string, l ceiling, used, growth int64) string {
	return fmt.Sprintf("tenant %s may have %d %s (TenantQuota %s), has %d, and this asks for %d more", tenant, l.most, what, l.by, used, growth)
}

// bid is what an application would have more than it has, by a spec and its zones.
func (q *quotas) bid(name string, app *v1alpha1.Application, replicas int64) bid {
	held, has := q.charges[name]
	out := bid{created: app.CreationTimestamp.Time, replicas: replicas - held.replicas, addresses: addressesAsked(&app.Spec) - held.addresses}
	var before []string
	if has {
		before = kindsOf(held.spec)
	} else {
		out.applications = 1
	}
	for _, k := range kindsOf(&app.Spec) {
		if !slices.Contains(before, k) {
			out.kinds = append(out.kinds, k)
		}
	}
	return out
}

// charge notes what an application has in force now.
func (q *quotas) charge(name string, now charge) {
	q.release(name)
	q.charges[name] = now
	if a := q.account(now.tenant); a != nil {
		a.applications += now.applications()
		a.replicas += now.replicas
		a.addresses += now.addresses
	}
}

// release notes that an application has nothing in force.
func (q *quotas) release(name string) {
	held, has := q.charges[name]
	if !has {
		return
	}
	delete(q.charges, name)
	if a := q.account(held.tenant); a != nil {
		a.applications -= held.applications()
		a.replicas -= held.replicas
		a.addresses -= held.addresses
		q.freed[held.tenant] = true
		q.prune(held.tenant)
	}
}

// move notes whose an application is now.
func (q *quotas) move(name, tenant string) {
	if held, has := q.charges[name]; has && held.tenant != tenant {
		held.tenant = tenant
		q.charge(name, held)
	}
}

// settle has an application of a tenant no longer wait.
func (q *quotas) settle(name, tenant string) {
	if a := q.accounts[tenant]; a != nil {
		if _, waits := a.waiting[name]; waits {
			delete(a.waiting, name)
			q.touched[tenant] = true
			q.prune(tenant)
		}
	}
}

// prune forgets a tenant that has nothing.
func (q *quotas) prune(tenant string) {
	if a := q.accounts[tenant]; a.applications == 0 && a.addresses == 0 && len(a.quotas)+len(a.waiting) == 0 {
		delete(q.accounts, tenant)
	}
}

// ready lists the applications and IPClaims of the tenants named that wait and that there is room for, the oldest first.
func (q *quotas) ready(tenants map[string]bool) []string {
	var out []string
	for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
		a := q.accounts[tenant]
		if a == nil {
			continue
		}
		room := *a
		for _, name := range slices.SortedFunc(maps.Keys(a.waiting), func(x, y string) int {
			return cmp.Or(a.waiting[x].created.Compare(a.waiting[y].created), cmp.Compare(x, y))
		}) {
			if b := a.waiting[name]; room.fits(b) {
				room.applications += b.applications
				room.replicas += max(b.replicas, 0)
				room.addresses += max(b.addresses, 0)
				out = append(out, name)
			}
		}
	}
	return out
}
