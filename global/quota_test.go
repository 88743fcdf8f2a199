package global

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// quota plays a TenantQuota that was created or changed.
func (d *desk) quota(name, tenant string, edit func(*v1alpha1.TenantQuotaSpec)) {
	q := &v1alpha1.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha1.TenantQuotaSpec{Tenant: tenant}}
	edit(&q.Spec)
	fill(d.hub.quotas, []*v1alpha1.TenantQuota{q})
	d.queue.quotaEvents().OnAdd(q, false)
}

func (d *desk) noQuota(name string) {
	q := &v1alpha1.TenantQuota{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_ = d.hub.quotas.store.Delete(q)
	d.queue.quotaEvents().OnDelete(q)
}

func atMost(applications, replicas, consumers int64) func(*v1alpha1.TenantQuotaSpec) {
	return func(s *v1alpha1.TenantQuotaSpec) {
		for _, l := range []struct {
			field **int64
			most  int64
		}{{&s.Applications, applications}, {&s.Replicas, replicas}, {&s.Consumers, consumers}} {
			if l.most >= 0 {
				*l.field = &l.most
			}
		}
	}
}

func wants(replicas int32) func(*specOf) { return func(s *specOf) { s.Replicas = &replicas } }

// newTenants is a desk whose namespace shop is tenant retail's, cafe food's and bank money's.
func newTenants(t *testing.T) *desk {
	d := newDesk(t, nil)
	d.place("shop", "prod", "retail")
	d.place("cafe", "prod", "food")
	d.place("bank", "prod", "money")
	d.step()
	return d
}

// refusedFor holds why an application of shop is refused, "" if it is not.
func (d *desk) refusedFor(name, want string) {
	d.t.Helper()
	got := ""
	if r := d.apps["shop/"+name].plan.refused; r != nil {
		got = r.reason + ": " + r.message
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		d.t.Errorf("%s is refused for %q, want %q", name, got, want)
	}
}

func (d *desk) standing(quota string) string {
	s := d.board.quotas[quota]
	return fmt.Sprintf("%d applications, %d replicas, %d consumers, %d refused; %s", s.used.Applications, s.used.Replicas, s.used.Consumers, s.refused, s.over())
}

// TestQuota takes a tenant to its limits and back.
func TestQuota(t *testing.T) {
	d := newTenants(t)
	d.quota("retail", "retail", atMost(2, 10, -1))
	d.put("a", wants(4))
	d.put("b", wants(4))
	d.step()
	d.put("c", wants(1))
	d.put("b", wants(7))
	d.step()
	d.refusedFor("a", "")
	d.refusedFor("c", "QuotaExceeded: tenant retail may have 2 applications (TenantQuota retail), has 2, and this asks for 1 more")
	d.refusedFor("b", "QuotaExceeded: tenant retail may have 10 replicas (TenantQuota retail), has 8, and this asks for 3 more")
	if got := zonesOf(d.assigned("b")); got["w1"]+got["w2"] != 4 {
		t.Errorf("b, refused what it grows by, has %v, want 4 as before", got)
	}
	if got, want := d.standing("retail"), "2 applications, 8 replicas, 0 consumers, 2 refused; "; got != want {
		t.Errorf("retail has %q, want %q", got, want)
	}
	t.Run("another tenant has room of its own", func(t *testing.T) {
		d.putIn("cafe", "x", wants(100))
		d.step()
		if r := d.apps["cafe/x"].plan.refused; r != nil {
			t.Errorf("cafe/x is refused: %v", r)
		}
	})
	t.Run("room for one of the two appears", func(t *testing.T) {
		d.put("a", wants(3))
		if n := d.plans(func() { d.step() }); n != 2 {
			t.Errorf("%v applications were planned, want a and b", n)
		}
		d.refusedFor("b", "")
		d.refusedFor("c", "has 2, and this asks for 1 more")
	})
	t.Run("and for the other", func(t *testing.T) {
		d.quota("retail", "retail", atMost(3, 11, -1))
		d.step()
		d.refusedFor("c", "")
	})
	t.Run("what was accepted stays", func(t *testing.T) {
		d.quota("retail", "retail", atMost(1, 5, -1))
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a lower limit wrote %d times", wrote)
		}
		want := "3 applications, 11 replicas, 0 consumers, 0 refused; applications: 3 used, limit 1; replicas: 11 used, limit 5; what was accepted stays, and nothing more is accepted"
		if got := d.standing("retail"); got != want {
			t.Errorf("retail has %q, want %q", got, want)
		}
		d.put("a", func(s *specOf) { wants(3)(s); s.Template.Spec.Containers[0].Image = "main:2" })
		d.put("b", wants(6))
		d.put("c", wants(2))
		d.step()
		d.refusedFor("a", "")
		d.refusedFor("b", "")
		d.refusedFor("c", "may have 5 replicas (TenantQuota retail), has 10, and this asks for 1 more")
	})
	t.Run("the lowest of several counts", func(t *testing.T) {
		d.quota("retail", "retail", atMost(100, 100, -1))
		d.quota("eu", "retail", atMost(-1, 10, -1))
		d.step()
		d.refusedFor("c", "may have 10 replicas (TenantQuota eu), has 10")
		d.noQuota("eu")
		d.step()
		d.refusedFor("c", "")
		if _, kept := d.board.quotas["eu"]; kept {
			t.Error("the board keeps a quota that is gone")
		}
	})
	t.Run("deleted", func(t *testing.T) {
		for _, name := range []string{"a", "b", "c"} {
			d.vanish(name)
			d.deleted(name, true)
		}
		d.step()
		if got, want := d.standing("retail"), "0 applications, 0 replicas, 0 consumers, 0 refused; "; got != want {
			t.Errorf("retail has %q, want %q", got, want)
		}
		d.noQuota("retail")
		d.step()
		if len(d.quotas.accounts) != 1 || d.quotas.accounts["food"] == nil {
			t.Errorf("accounts are left: %v", names(d.quotas.accounts))
		}
	})
}

// TestQuotaByCluster counts what runs in each cluster as often as there are clusters that fit.
func TestQuotaByCluster(t *testing.T) {
	duplicated := func(s *specOf) { wants(3)(s); s.Placement.Mode = v1alpha1.PlacementDuplicated }
	tests := map[string]struct {
		edit func(*specOf)
		want int64
	}{
		"divided":                 {wants(5), 5},
		"of none":                 {wants(0), 0},
		"by default":              {nil, 1},
		"singleton":               {func(s *specOf) { wants(5)(s); s.Placement.Mode = v1alpha1.PlacementSingleton }, 5},
		"duplicated":              {duplicated, 9},
		"duplicated, in one zone": {func(s *specOf) { duplicated(s); s.Placement.Zones = byName("w2") }, 6},
		"autoscaled":              {func(s *specOf) { wants(2)(s); scaledTo(7)(s) }, 21},
		"autoscaled singleton":    {func(s *specOf) { scaledTo(7)(s); s.Placement.Mode = v1alpha1.PlacementSingleton }, 7},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := newTenants(t)
			extra := worldResources(map[string]int{"w1": 1, "w2": 2})
			fill(d.hub.clusters, extra.clusters)
			d.queue.inventoryEvents().OnAdd(nil, false)
			d.quota("retail", "retail", atMost(-1, 1000, -1))
			d.put("a", tt.edit)
			d.step()
			if got := d.quotas.accounts["retail"].replicas; got != tt.want {
				t.Errorf("counted %d, want %d", got, tt.want)
			}
		})
	}
}

func scaledTo(most int) func(*specOf) {
	return func(s *specOf) {
		s.Resources = append(s.Resources, runtime.RawExtension{Raw: fmt.Appendf(nil, `{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler",
			"metadata":{"name":"a"},"spec":{"maxReplicas":%d,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"a"}}}`, most)})
	}
}

// TestQuotaAndClusters has a cluster come: what runs in each cluster is counted, and not refused.
func TestQuotaAndClusters(t *testing.T) {
	d := newTenants(t)
	d.quota("retail", "retail", atMost(-1, 4, -1))
	d.put("a", func(s *specOf) { wants(2)(s); s.Placement.Mode = v1alpha1.PlacementDuplicated })
	d.step()
	d.refusedFor("a", "")
	more := worldResources(map[string]int{"w1": 2, "w2": 1})
	fill(d.hub.clusters, more.clusters)
	d.queue.inventoryEvents().OnAdd(nil, false)
	d.step()
	d.refusedFor("a", "")
	if got, want := d.standing("retail"), "1 applications, 6 replicas, 0 consumers, 0 refused; replicas: 6 used, limit 4; what was accepted stays, and nothing more is accepted"; got != want {
		t.Errorf("retail has %q, want %q", got, want)
	}
}

// TestResourceKinds has quotas allow kinds.
func TestResourceKinds(t *testing.T) {
	allow := func(kinds ...v1alpha1.ResourceKind) func(*v1alpha1.TenantQuotaSpec) {
		return func(s *v1alpha1.TenantQuotaSpec) { s.ResourceKinds = append([]v1alpha1.ResourceKind{}, kinds...) }
	}
	d := newTenants(t)
	d.put("a", carry("ConfigMap", "a1"))
	d.step()
	d.quota("one", "retail", allow())
	d.put("b", carry("ConfigMap", "b1"))
	d.step()
	d.refusedFor("b", "QuotaExceeded: spec.resources: tenant retail may not bring ConfigMap (TenantQuota one), allowed are: none")
	d.put("a", carry("ConfigMap", "a1", "a2"))
	d.step()
	d.refusedFor("a", "")
	d.quota("one", "retail", allow("ConfigMap", "Service"))
	d.quota("two", "retail", allow("Service"))
	d.step()
	d.refusedFor("b", "may not bring ConfigMap (TenantQuota one, two), allowed are: Service")
	d.noQuota("two")
	d.step()
	d.refusedFor("b", "")
}

// TestConsumers limits how many applications of other tenants a tenant's policies let in.
func TestConsumers(t *testing.T) {
	d := newTenants(t)
	d.quota("retail", "retail", atMost(-1, -1, 2))
	d.put("db", nil)
	for _, name := range []string{"cafe/a", "cafe/b", "bank/a", "bank/b"} {
		namespace, app, _ := strings.Cut(name, "/")
		d.putIn(namespace, app, calls("shop/db"))
	}
	d.policy(testPolicy("p", ruleFor("cafe/a")))
	d.policy(testPolicy("q", ruleFor("cafe/a", "shop")))
	d.step()
	if got, want := d.standing("retail"), "0 applications"; strings.HasPrefix(got, want) || !strings.Contains(got, "1 consumers, 0 refused; ") {
		t.Errorf("retail has %q", got)
	}
	d.policy(testPolicy("r", ruleFor("cafe"), ruleFor("bank/a")))
	d.step()
	want := "tenant retail may have 2 consumers (TenantQuota retail), has 1, and this asks for 2 more; its callers that none of the tenant's policies let in before stay out"
	if r := d.board.policies["shop/r"].refused; r == nil || r.reason != v1alpha1.ReasonQuotaExceeded || r.message != want {
		t.Errorf("r is refused for %v, want %s", r, want)
	}
	d.wantDependencies("cafe/a", "shop/db")
	d.wantDependencies("cafe/b")
	d.wantDependencies("bank/a")
	t.Run("a smaller one fits", func(t *testing.T) {
		d.policy(testPolicy("s", ruleFor("bank/b")))
		d.step()
		d.wantDependencies("bank/b", "shop/db")
	})
	t.Run("others make it more", func(t *testing.T) {
		d.policy(testPolicy("s", ruleFor("bank/b"), ruleFor("bar")))
		d.step()
		d.place("bar", "prod", "drink")
		d.putIn("bar", "x", calls("shop/db"))
		d.step()
		d.wantDependencies("bar/x", "shop/db")
		if got := d.standing("retail"); !strings.Contains(got, "consumers: 3 used, limit 2") {
			t.Errorf("retail has %q", got)
		}
	})
	t.Run("the limit goes up", func(t *testing.T) {
		d.quota("retail", "retail", atMost(-1, -1, 5))
		d.step()
		d.wantDependencies("cafe/b", "shop/db")
		d.wantDependencies("bank/a", "shop/db")
		if r := d.board.policies["shop/r"].refused; r != nil {
			t.Errorf("r is refused for %v", r)
		}
	})
	t.Run("a lower limit changes nothing", func(t *testing.T) {
		d.quota("retail", "retail", atMost(-1, -1, 0))
		if wrote := d.step(); wrote != 0 {
			t.Errorf("a lower limit wrote %d times", wrote)
		}
	})
	t.Run("policies that go make room", func(t *testing.T) {
		d.quota("retail", "retail", atMost(-1, -1, 1))
		late := testPolicy("t", ruleFor("bank/a"))
		late.CreationTimestamp = metav1.Unix(2, 0)
		d.policy(late)
		d.step()
		for _, name := range []string{"p", "q", "r", "s"} {
			p := testPolicy(name)
			_ = d.hub.policies.store.Delete(p)
			d.queue.policyEvents().OnDelete(p)
		}
		d.step()
		d.wantDependencies("bank/a", "shop/db")
		d.wantDependencies("cafe/a")
		if got := d.standing("retail"); !strings.Contains(got, "1 consumers, 0 refused; ") {
			t.Errorf("retail has %q", got)
		}
	})
	t.Run("a restart keeps who was let in", func(t *testing.T) {
		early := testPolicy("early", ruleFor("cafe/a"))
		early.CreationTimestamp = metav1.Unix(1, 0)
		d.policy(early)
		d.step()
		again := newDesk(t, d)
		if wrote := again.step(); wrote != 0 {
			t.Errorf("it wrote %d times", wrote)
		}
		if got := names(again.outsiders.refused); !slices.Equal(got, []string{"shop/early"}) {
			t.Errorf("refused are %v, want early alone, though it is the oldest", got)
		}
	})
}

// TestQuotaRandomly makes random edits and holds after each helping what must hold of quotas, whatever came before.
func TestQuotaRandomly(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDesk(t, nil)
		d.environment("test")
		used := map[string]usage{}
		for range rapid.IntRange(1, 12).Draw(r, "helpings") {
			shifted := false
			for range rapid.IntRange(1, 4).Draw(r, "edits") {
				if rapid.IntRange(0, 2).Draw(r, "quotas") > 0 {
					shifted = editQuota(r, d) || shifted
					continue
				}
				edit(r, d)
				shifted = true // a namespace may have moved, or an application come that policies let in
			}
			d.step()
			d.checkQuotas(r, used, shifted)
		}
		d.postStatuses()
		again := newDesk(t, d)
		if again.step() != 0 {
			r.Error("a restart writes")
		}
		for name, app := range d.apps {
			if got, want := again.apps[name].plan.refused, app.plan.refused; (got == nil) != (want == nil) {
				r.Errorf("%s was refused for %v, and after a restart for %v", name, want, got)
			}
		}
		if got, want := names(again.outsiders.refused), names(d.outsiders.refused); !slices.Equal(got, want) {
			r.Errorf("refused were policies %v, and after a restart %v", want, got)
		}
	})
}

// postStatuses plays that the board has written what was made of the AccessPolicies.
func (d *desk) postStatuses() {
	for _, p := range d.hub.policies.all() {
		_, _, after := d.board.accessPolicy(target{"accesspolicies", p.Namespace, p.Name})
		if status, ok := after.(v1alpha1.AccessPolicyStatus); ok {
			p.Status = status
		}
	}
}

// usage is what a tenant had after a helping.
type usage struct{ applications, replicas, consumers int64 }

// editQuota changes a quota or the replicas of an application; true where a tenant may rightly have more than its limits.
func editQuota(r *rapid.T, d *desk) bool {
	tenant := rapid.SampledFrom([]string{"x", "y"}).Draw(r, "tenant")
	name := tenant + rapid.SampledFrom([]string{"1", "2"}).Draw(r, "quota")
	most := func(what string) int64 { return rapid.Int64Range(-1, 6).Draw(r, what) }
	switch rapid.IntRange(0, 3).Draw(r, "what") {
	case 0:
		d.noQuota(name)
		return true
	case 1:
		d.quota(name, tenant, atMost(most("applications"), most("replicas"), most("consumers")))
		return true
	default:
		namespace := rapid.SampledFrom([]string{"shop", "cafe", "bank"}).Draw(r, "namespace")
		if _, ok := d.hub.namespaces.get(namespace); !ok {
			return false
		}
		app := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "app")
		if _, ok := d.hub.applications.get(namespace + "/" + app); !ok {
			return false
		}
		d.putIn(namespace, app, wants(rapid.Int32Range(0, 5).Draw(r, "replicas")))
		return false
	}
}

// checkQuotas holds the counts against the records in force, that nobody is refused for whom there is room, and that
// nobody grew beyond a limit by an edit of his own.
func (d *desk) checkQuotas(r *rapid.T, before map[string]usage, shifted bool) {
	now := map[string]usage{}
	for name := range d.apps {
		namespace, short, _ := strings.Cut(name, "/")
		zones := zonesOf(inForce(d.mirror.Snapshot(), namespace, short).assignments)
		tenant := d.callers.tenancy.homes[namespace].tenant
		if len(zones) == 0 || tenant == "" {
			continue
		}
		u := now[tenant]
		u.applications++
		for _, n := range zones {
			u.replicas += int64(n)
		}
		now[tenant] = u
	}
	for tenant, a := range d.quotas.accounts {
		u := now[tenant]
		if u.applications != a.applications || u.replicas != a.replicas {
			r.Errorf("tenant %s is said to have %d applications and %d replicas, and has %+v", tenant, a.applications, a.replicas, u)
		}
		if a.limits.consumers.by != "" {
			u.consumers = int64(len(d.letInBy(tenant)))
			if got := d.outsiders.used(tenant); got != u.consumers {
				r.Errorf("tenant %s is said to have %d consumers, and has %d", tenant, got, u.consumers)
			}
		}
		for name, b := range a.waiting {
			if a.fits(b) || d.apps[name] == nil || d.apps[name].plan.refused == nil {
				r.Errorf("%s waits with %+v where there is room", name, b)
			}
		}
		was := before[tenant]
		for what, l := range map[string]struct {
			ceiling
			was, is int64
		}{"applications": {a.limits.applications, was.applications, u.applications}, "replicas": {a.limits.replicas, was.replicas, u.replicas},
			"consumers": {a.limits.consumers, was.consumers, u.consumers}} {
			if !shifted && l.by != "" && l.is > l.most && l.is > l.was {
				r.Errorf("tenant %s has %d %s of %d, and had %d", tenant, l.is, what, l.most, l.was)
			}
		}
		now[tenant] = u
	}
	for key, why := range d.outsiders.refused {
		tenant := d.tenantOf(key)
		apps := d.letIn(d.callers.policies.specs[key])
		if !d.quotas.limitsOf(tenant).consumers.refuses(d.outsiders.used(tenant), d.outsiders.growth(key, tenant, apps)) {
			r.Errorf("policy %s is refused where there is room: %v", key, why)
		}
	}
	clear(before)
	for tenant, u := range now {
		before[tenant] = u
	}
}

// letInBy are the applications of others that a tenant's policies in force let in.
func (d *desk) letInBy(tenant string) map[string]bool {
	out := map[string]bool{}
	for key := range d.callers.policies.specs {
		if d.tenantOf(key) != tenant {
			continue
		}
		for app := range d.letIn(d.callers.policies.inForce(key)) {
			out[app] = true
		}
	}
	return out
}

// TestQuotaFromScratch holds that a planner which sees the last state alone, with no records, keeps within the limits.
func TestQuotaFromScratch(t *testing.T) {
	d := newTenants(t)
	d.quota("retail", "retail", atMost(2, -1, -1))
	for i, name := range []string{"c", "a", "b"} {
		d.put(name, nil)
		app, _ := d.hub.applications.get("shop/" + name)
		app.CreationTimestamp = metav1.Unix(int64(i+1), 0)
	}
	for range 5 {
		fresh := newDesk(t, &desk{records: mem.New(), planner: &planner{hub: d.hub}})
		fresh.step()
		fresh.refusedFor("c", "")
		fresh.refusedFor("a", "")
		fresh.refusedFor("b", "has 2, and this asks for 1 more")
	}
}

// TestConsumersOfOthers has callers move, come and go, each a policy at its limit or beside it.
func TestConsumersOfOthers(t *testing.T) {
	start := func(t *testing.T) *desk {
		d := newTenants(t)
		d.quota("retail", "retail", atMost(-1, -1, 1))
		d.put("db", nil)
		d.putIn("cafe", "a", nil)
		d.putIn("bank", "a", nil)
		d.policy(testPolicy("p", ruleFor("cafe/a")))
		d.step()
		d.policy(testPolicy("q", ruleFor("bank/a")))
		d.step()
		return d
	}
	tests := map[string]struct {
		edit func(d *desk)
		want string // consumers, and the policies that are refused
	}{
		"nothing happens":                  {func(*desk) {}, "1 [shop/q]"},
		"one is exchanged":                 {func(d *desk) { d.policy(testPolicy("p", ruleFor("bank/a"))) }, "1 []"},
		"the consumer goes":                {func(d *desk) { d.removeIn("cafe", "a") }, "1 []"},
		"the consumer becomes theirs":      {func(d *desk) { d.place("cafe", "prod", "retail") }, "1 []"},
		"its environment is another":       {func(d *desk) { d.environment("test"); d.place("cafe", "test", "food") }, "1 []"},
		"the refused one goes":             {func(d *desk) { d.removeIn("bank", "a") }, "1 []"},
		"the provider's tenant is another": {func(d *desk) { d.place("shop", "prod", "other") }, "0 []"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			tt.edit(d)
			d.step()
			if got := fmt.Sprint(d.outsiders.used("retail"), " ", names(d.outsiders.refused)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("from scratch, the oldest policy comes first", func(t *testing.T) {
		d := start(t)
		for i, name := range []string{"q", "p"} {
			p, _ := d.hub.policies.get("shop/" + name)
			p.CreationTimestamp = metav1.Unix(int64(i+1), 0)
		}
		for range 5 {
			fresh := newDesk(t, &desk{records: mem.New(), planner: &planner{hub: d.hub}})
			fresh.step()
			if got := names(fresh.outsiders.refused); !slices.Equal(got, []string{"shop/p"}) {
				t.Errorf("refused are %v, want p, the younger", got)
			}
		}
	})
}

// removeIn plays that an Application of a namespace was deleted.
func (d *desk) removeIn(namespace, name string) {
	app := testApplication(name)
	app.Namespace = namespace
	_ = d.hub.applications.store.Delete(app)
	d.queue.applicationEvents().OnDelete(app)
}

// TestQuotaAndTenants moves a namespace, with what runs and what is refused there, to another tenant.
func TestQuotaAndTenants(t *testing.T) {
	d := newTenants(t)
	d.quota("retail", "retail", atMost(-1, 3, -1))
	d.quota("other", "other", atMost(-1, 1, -1))
	d.put("a", wants(2))
	d.step()
	d.put("a", wants(5))
	d.step()
	d.refusedFor("a", "tenant retail may have 3 replicas")
	d.place("shop", "prod", "other")
	d.step()
	d.refusedFor("a", "tenant other may have 1 replicas (TenantQuota other), has 2, and this asks for 3 more")
	for quota, want := range map[string]string{"retail": "0 applications, 0 replicas, 0 consumers, 0 refused; ",
		"other": "1 applications, 2 replicas, 0 consumers, 1 refused; replicas: 2 used, limit 1; what was accepted stays, and nothing more is accepted"} {
		if got := d.standing(quota); got != want {
			t.Errorf("%s has %q, want %q", quota, got, want)
		}
	}
}
