package global

import (
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// elsewhere adds environment test, with a trust domain of its own, and zone w3 whose one cluster serves nothing else.
func (d *desk) elsewhere() {
	d.environment("test")
	for _, name := range []string{"w1-0", "w2-0"} {
		c, _ := d.hub.clusters.get(name)
		c.Spec.Environments = []string{"prod"}
	}
	more := worldResources(map[string]int{"w3": 1})
	fill(d.hub.zones, more.zones)
	more.clusters[0].Spec.Environments = []string{"test"}
	fill(d.hub.clusters, more.clusters)
	d.queue.inventoryEvents().OnAdd(nil, false)
}

// TestEnvironmentsApart makes random edits, of namespaces' environments and tenants too, and holds after each helping that
// nothing in force reaches from one environment to another.
func TestEnvironmentsApart(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := newDesk(t, nil)
		d.elsewhere()
		for range rapid.IntRange(1, 12).Draw(r, "helpings") {
			for range rapid.IntRange(1, 4).Draw(r, "edits") {
				edit(r, d)
			}
			d.step()
			d.checkApart(r)
		}
	})
}

// checkApart looks at all records in force.
func (d *desk) checkApart(r *rapid.T) {
	snapshot := d.mirror.Snapshot()
	policyOf := func(name string) record.Policy {
		e, _ := snapshot.Get(record.PolicyKey(callerOf(name).Namespace, callerOf(name).Application))
		p, _ := record.DecodePolicy(e.Record)
		return p
	}
	for e := range snapshot.All(record.KindPolicy) {
		p, _ := record.DecodePolicy(e.Record)
		// An ExternalService has no identity, and knows nobody's.
		if want := d.inventory.environments[p.Environment]; p.TrustDomain != want && !isExternal(e.Key.Name) {
			r.Errorf("%s is of environment %s and trust domain %s, want %s", e.Key, p.Environment, p.TrustDomain, want)
		}
		for _, rule := range p.Rules {
			for _, c := range rule.Callers {
				if got := d.callers.tenancy.homes[c.Namespace].environment; got != p.Environment {
					r.Errorf("%s of environment %s lets in namespace %s of %s", e.Key, p.Environment, c.Namespace, got)
				}
			}
		}
	}
	for e := range snapshot.All(record.KindAssignment) {
		a, _ := record.DecodeAssignment(e.Record)
		own := policyOf(record.ServiceName(a.Namespace, a.Application)).Environment
		for _, name := range a.Dependencies {
			var got string
			if isExternal(name) {
				got = d.externalRecord(externalKey(name)).Environment
			} else {
				got = policyOf(name).Environment
			}
			if got != own {
				r.Errorf("%s of environment %s depends on %s of %s", e.Key, own, name, got)
			}
		}
		if a.Draining {
			continue
		}
		held, _ := snapshot.Get(record.RevisionKey(a.Namespace, a.Application, a.Revision))
		revision, err := record.DecodeRevision(held.Record)
		if err != nil || revision.Environment != own {
			r.Errorf("%s is of environment %s, and its policy of %s (%v)", e.Key, revision.Environment, own, err)
		}
		serves := func(c record.Cluster) bool { return slices.Contains(c.Environments, revision.Environment) }
		if !slices.ContainsFunc(d.inventory.zones[a.Zone].clusters, serves) {
			r.Errorf("%s is where no cluster serves %s", e.Key, revision.Environment)
		}
	}
}

// TestTrustDomainsTaken shows which environments may have which trust domains.
func TestTrustDomainsTaken(t *testing.T) {
	made := func(name string, second int64, domain string, share bool) *v1alpha1.Environment {
		return &v1alpha1.Environment{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(second, 0)},
			Spec: v1alpha1.EnvironmentSpec{TrustDomain: domain, ShareTrustDomain: share}}
	}
	for name, tt := range map[string]struct {
		all  []*v1alpha1.Environment
		want map[string]string
	}{
		"one of each":             {[]*v1alpha1.Environment{made("prod", 1, "", false), made("test", 2, "test.example", false)}, nil},
		"the default of both":     {[]*v1alpha1.Environment{made("a", 2, "", false), made("prod", 1, "cluster.local", false)}, map[string]string{"a": "prod"}},
		"made in the same second": {[]*v1alpha1.Environment{made("b", 1, "", false), made("a", 1, "", false)}, map[string]string{"b": "a"}},
		"of three the oldest":     {[]*v1alpha1.Environment{made("a", 3, "x.y", false), made("b", 2, "x.y", false), made("c", 1, "x.y", false)}, map[string]string{"a": "c", "b": "c"}},
		"the younger shares it":   {[]*v1alpha1.Environment{made("prod", 1, "", false), made("test", 2, "", true)}, nil},
		"the older would share":   {[]*v1alpha1.Environment{made("prod", 1, "", true), made("test", 2, "", false)}, map[string]string{"test": "prod"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := domainsTaken(tt.all); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestTrustDomainTaken refuses what is new in an environment that has another's trust domain; what runs goes on.
func TestTrustDomainTaken(t *testing.T) {
	d := newDesk(t, nil)
	d.elsewhere()
	d.place("shop", "test", "retail")
	d.put("db", nil)
	d.step()
	if got := names(d.assigned("db")); !slices.Equal(got, []string{"w3"}) {
		t.Fatalf("db is in %v, want w3", got)
	}
	before := d.assigned("db")["w3"]
	retrust := func(domain string, share bool) {
		e, _ := d.hub.environments.get("test")
		e = e.DeepCopy()
		e.Spec.TrustDomain, e.Spec.ShareTrustDomain = domain, share
		fill(d.hub.environments, []*v1alpha1.Environment{e})
		d.queue.inventoryEvents().OnAdd(nil, false)
		d.step()
	}
	retrust(defaultTrustDomain, false)
	d.put("web", nil)
	d.put("db", func(s *v1alpha1.ApplicationSpec) { s.Replicas = new(int32(7)) })
	d.step()
	for _, name := range []string{"shop/web", "shop/db"} {
		r := d.apps[name].plan.refused
		if r == nil || r.reason != v1alpha1.ReasonTrustDomainTaken || !strings.Contains(r.message, "environment test has the trust domain cluster.local of environment prod") {
			t.Errorf("%s: refused for %+v, want that the trust domain is prod's", name, r)
		}
	}
	if got := d.assigned("db")["w3"]; got.Revision != before.Revision || got.Replicas != before.Replicas {
		t.Errorf("db runs as %+v, want as before, %+v", got, before)
	}
	if len(d.assigned("web")) > 0 {
		t.Errorf("web is assigned to %v", d.assigned("web"))
	}
	retrust(defaultTrustDomain, true)
	d.step()
	if r := d.apps["shop/web"].plan.refused; r != nil || len(d.assigned("web")) == 0 {
		t.Errorf("shared: web is refused for %+v, and assigned to %v", r, d.assigned("web"))
	}
}

// TestNamespaceChangesEnvironment moves a namespace, with what runs there, to another environment.
func TestNamespaceChangesEnvironment(t *testing.T) {
	start := func(t *testing.T) *desk {
		d := newDesk(t, nil)
		d.elsewhere()
		d.place("shop", "prod", "retail")
		d.place("cafe", "prod", "retail")
		d.put("db", nil)
		d.put("web", calls("db", "cafe/bar"))
		d.putIn("cafe", "bar", calls("shop/db"))
		d.policy(testPolicy("let", ruleFor("@retail")))
		own := testPolicy("let", ruleFor("shop"))
		own.Namespace = "cafe"
		d.policy(own)
		d.step()
		d.wantDependencies("shop/web", "cafe/bar", "shop/db")
		d.wantDependencies("cafe/bar", "shop/db")
		return d
	}
	zones := func(d *desk, name string) string {
		var out []string
		for _, zone := range names(d.assigned(name)) {
			if d.assigned(name)[zone].Draining {
				zone += " (leaving)"
			}
			out = append(out, zone)
		}
		return strings.Join(out, ", ")
	}
	t.Run("what it calls and who calls it is cut at once, and it moves", func(t *testing.T) {
		d := start(t)
		d.place("shop", "test", "retail")
		d.step()
		d.wantDependencies("cafe/bar")
		d.wantRefusal("cafe/bar", v1alpha1.ReasonOtherEnvironment)
		for zone, a := range d.assigned("web") {
			if !slices.Equal(a.Dependencies, []string{"shop/db"}) {
				t.Errorf("web depends on %v in zone %s, want what moved with it alone", a.Dependencies, zone)
			}
		}
		if got, want := zones(d, "db"), "w1 (leaving), w3"; got != want {
			t.Errorf("db is in %s, want %s", got, want)
		}
		d.report(d.assigned("db")["w3"], 1)
		d.step()
		if got := zones(d, "db"); got != "w3" {
			t.Errorf("ready in w3, db is in %s", got)
		}
		d.place("cafe", "test", "retail")
		d.step()
		d.wantDependencies("cafe/bar", "shop/db")
	})
	t.Run("no cluster serves the other: it stays where it was", func(t *testing.T) {
		d := start(t)
		c, _ := d.hub.clusters.get("w3-0")
		c.Spec.Environments = []string{"prod"}
		d.queue.inventoryEvents().OnAdd(nil, false)
		d.place("shop", "test", "retail")
		d.step()
		app := d.apps["shop/db"]
		if app.plan.unplaced == nil || app.environment != "prod" {
			t.Errorf("db is of environment %s, and unplaced for %v", app.environment, app.plan.unplaced)
		}
		d.wantDependencies("cafe/bar", "shop/db")
		d.wantDependencies("shop/web", "shop/db") // cafe lets in a namespace of prod, which shop is no longer
	})
	t.Run("an environment that nobody made", func(t *testing.T) {
		d := start(t)
		d.place("shop", "nowhere", "retail")
		d.step()
		if got := zones(d, "db"); got != "w1" {
			t.Errorf("db is in %s, want w1 as before", got)
		}
		d.wantDependencies("shop/web", "shop/db") // who is of prod lets prod in, and nobody knows what shop is
		if r := d.apps["shop/db"].plan.refused; r == nil || r.reason != v1alpha1.ReasonUnknownEnvironment {
			t.Errorf("db is refused for %v", r)
		}
	})
}
