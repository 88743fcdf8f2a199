package global

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

type (
	specOf = v1alpha1.ApplicationSpec
	ruleOf = v1alpha1.AccessRule
)

func ruleFor(callers ...string) ruleOf { return ruleOf{From: from(callers...)} }

// place plays the watch of a Namespace; one without an environment has no labels.
func (d *desk) place(name, environment, tenant string) {
	d.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if environment != "" {
		ns.Labels = map[string]string{v1alpha1.LabelEnvironment: environment, v1alpha1.LabelTenant: tenant}
	}
	fill(d.hub.namespaces, []*corev1.Namespace{ns})
	d.queue.namespaceEvents().OnAdd(ns, false)
}

// policy plays the watch of an AccessPolicy that was created or changed.
func (d *desk) policy(p *v1alpha1.AccessPolicy) {
	d.t.Helper()
	fill(d.hub.policies, []*v1alpha1.AccessPolicy{p})
	d.queue.policyEvents().OnAdd(p, false)
}

// repeal plays that an AccessPolicy of namespace shop was deleted.
func (d *desk) repeal(name string) {
	p := testPolicy(name)
	_ = d.hub.policies.store.Delete(p)
	d.queue.policyEvents().OnDelete(p)
}

// putIn plays the watch of an Application of a namespace.
func (d *desk) putIn(namespace, name string, edit func(*specOf)) {
	d.t.Helper()
	app := testApplication(name)
	app.Namespace = namespace
	if edit != nil {
		edit(&app.Spec)
	}
	fill(d.hub.applications, []*v1alpha1.Application{app})
	d.queue.applicationEvents().OnAdd(app, false)
}

// inForce describes the policy record of an application of namespace shop.
func (d *desk) inForce(name string) string {
	e, ok := d.mirror.Snapshot().Get(record.PolicyKey("shop", name))
	if !ok {
		return "none"
	}
	p, err := record.DecodePolicy(e.Record)
	if err != nil {
		d.t.Fatal(err)
	}
	return describe(p)
}

// dependsOn lists what the assignments of NAMESPACE/NAME say; all say the same.
func (d *desk) dependsOn(name string) []string {
	d.t.Helper()
	var out []string
	for e := range d.mirror.Snapshot().Prefix(record.KindAssignment, name+"/") {
		a, err := record.DecodeAssignment(e.Record)
		if err != nil {
			d.t.Fatal(err)
		}
		out = a.Dependencies
	}
	return out
}

func (d *desk) wantDependencies(name string, want ...string) {
	d.t.Helper()
	if got := d.dependsOn(name); !slices.Equal(got, want) {
		d.t.Errorf("%s depends on %v, want %v", name, got, want)
	}
}

// wantRefusal holds why an application's dependencies are not resolved; "" if they are.
func (d *desk) wantRefusal(name, reason string) {
	d.t.Helper()
	why := d.apps[name].plan.unresolved
	if why == nil {
		why = &refusal{}
	}
	if why.reason != reason {
		d.t.Errorf("%s is unresolved by %+v, want %q", name, why, reason)
	}
}

// plans counts the applications that fn has planned in one step.
func (d *desk) plans(fn func()) float64 {
	d.t.Helper()
	before := counted(d.t, d.metrics.planned)
	fn()
	d.step()
	return counted(d.t, d.metrics.planned) - before
}

// shopAndBar has bar of cafe depend on shop/db, which lets it, with an application beside each.
func shopAndBar(t *testing.T) *desk {
	d := newDesk(t, nil)
	d.place("cafe", "prod", "food")
	d.put("db", nil)
	d.put("web", calls("db"))
	d.putIn("cafe", "bar", calls("shop/db"))
	d.putIn("cafe", "kitchen", nil)
	d.policy(testPolicy("open", ruleFor("@food")))
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	d.wantRefusal("cafe/bar", "")
	return d
}

// TestPolicyDeleted takes away the policy that a call depends on.
func TestPolicyDeleted(t *testing.T) {
	d := shopAndBar(t)
	if got := d.plans(func() { d.repeal("open") }); got != 3 {
		t.Errorf("%v applications were planned, want db and web, which it concerns, and bar", got)
	}
	d.wantDependencies("cafe/bar")
	d.wantRefusal("cafe/bar", v1alpha1.ReasonDependencyDenied)
	d.wantDependencies("shop/web", "shop/db")
	if got := d.inForce("db"); got != "" {
		t.Errorf("in force for db is %q", got)
	}
	d.policy(testPolicy("again", ruleFor("cafe/bar")))
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	again := newDesk(t, d)
	if wrote := again.step(); wrote != 0 {
		t.Errorf("a restart wrote %d times", wrote)
	}
}

// TestTenantMoves relabels the namespace that calls.
func TestTenantMoves(t *testing.T) {
	d := shopAndBar(t)
	if got := d.inForce("db"); got != "open0: cafe" {
		t.Errorf("in force for db is %q", got)
	}
	if got := d.plans(func() { d.place("other", "prod", "drink") }); got != 0 {
		t.Errorf("%v applications were planned for a namespace that nothing names", got)
	}
	d.place("cafe", "prod", "drink")
	d.step()
	d.wantDependencies("cafe/bar")
	if got := d.inForce("db"); got != "" {
		t.Errorf("in force for db is %q once cafe has moved", got)
	}
	d.place("cafe", "prod", "food")
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
}

// TestEnvironmentCrossed moves the caller's namespace to another environment, and the callee's after it.
func TestEnvironmentCrossed(t *testing.T) {
	d := shopAndBar(t)
	d.environment("test")
	d.policy(testPolicy("open", ruleFor("cafe")))
	d.step()
	d.place("cafe", "test", "food")
	d.step()
	d.wantDependencies("cafe/bar")
	d.wantRefusal("cafe/bar", v1alpha1.ReasonOtherEnvironment)
	d.place("shop", "test", "")
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	d.wantDependencies("shop/web", "shop/db")
	d.place("cafe", "", "")
	d.step()
	if d.apps["cafe/bar"].plan.refused == nil {
		t.Error("bar is accepted in a namespace without environment")
	}
	d.wantDependencies("cafe/bar") // it runs on, and may not call any more
}

// environment adds an Environment that all clusters serve.
func (d *desk) environment(name string) {
	fill(d.hub.environments, []*v1alpha1.Environment{{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.EnvironmentSpec{TrustDomain: name + ".example"}}})
	for _, c := range d.hub.clusters.all() {
		c = c.DeepCopy()
		c.Spec.Environments = append(c.Spec.Environments, name)
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
	}
	d.queue.inventoryEvents().OnAdd(nil, false)
}

// TestIsolation takes away calls inside a namespace, of one application and then of all.
func TestIsolation(t *testing.T) {
	d := shopAndBar(t)
	d.put("cache", nil)
	d.put("web", calls("db", "cache"))
	only := isolating(testPolicy("shut"))
	only.Spec.Applications = []string{"cache"}
	d.policy(only)
	d.step()
	d.wantDependencies("shop/web", "shop/db")
	d.wantRefusal("shop/web", v1alpha1.ReasonDependencyDenied)
	if got := d.apps["shop/web"].plan.unresolved.message; !strings.Contains(got, "AccessPolicy shop/shut has sameNamespace: Deny") {
		t.Errorf("the message is %q", got)
	}
	all := isolating(testPolicy("shut", ruleFor("shop/web")))
	d.policy(all)
	d.step()
	d.wantDependencies("shop/web", "shop/cache", "shop/db")
	d.wantDependencies("cafe/bar", "shop/db")
}

// TestPolicyBesideARefusal changes policies while the provider's and the consumer's last specs are refused: what runs is
// narrowed all the same, and widened again.
func TestPolicyBesideARefusal(t *testing.T) {
	d := shopAndBar(t)
	d.put("db", carry("Secret", "x"))
	d.putIn("cafe", "bar", carry("Secret", "x"))
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	d.repeal("open")
	d.step()
	d.wantDependencies("cafe/bar")
	if got := d.inForce("db"); got != "" {
		t.Errorf("in force for db is %q", got)
	}
	d.policy(testPolicy("open", ruleFor("cafe")))
	d.step()
	d.wantDependencies("cafe/bar", "shop/db")
	if again := newDesk(t, d); again.step() != 0 {
		t.Error("a restart wrote")
	}
}

// TestCircle has applications depend on each other.
func TestCircle(t *testing.T) {
	d := newDesk(t, nil)
	d.put("a", calls("b", "a"))
	d.put("b", calls("a"))
	d.step()
	d.wantDependencies("shop/a", "shop/a", "shop/b")
	d.wantDependencies("shop/b", "shop/a")
}

// TestJudgement holds what is said of policies.
func TestJudgement(t *testing.T) {
	d := shopAndBar(t)
	named := testPolicy("named", ruleFor("cafe/bar", "cafe/gone", "shop/web"), ruleFor("nowhere", "bare", "@food", "@nobody"))
	named.Spec.Applications = []string{"db", "ghost"}
	d.place("bare", "", "")
	d.policy(named)
	lost := testPolicy("lost")
	lost.Namespace = "bare"
	d.policy(lost)
	many := testPolicy("many", slices.Repeat([]ruleOf{ruleFor("cafe")}, 512)...)
	d.policy(many)
	d.step()
	for key, want := range map[string]judgement{
		"shop/open": {generation: 1, applications: 2},
		"shop/named": {generation: 1, applications: 1, note: "Applications that do not exist: cafe/gone, shop/ghost; namespaces that do not exist: nowhere; " +
			"namespaces that are not of environment prod: bare; tenants without a namespace in environment prod: nobody"},
		"bare/lost": {generation: 1, refused: &refusal{reason: v1alpha1.ReasonNamespaceHasNoEnvironment}},
		"shop/many": {generation: 1, applications: 2, refused: &refusal{reason: v1alpha1.ReasonTooManyRules}},
	} {
		got := d.board.policies[key]
		reason := func(r *refusal) string {
			if r == nil {
				return ""
			}
			return r.reason
		}
		if got.generation != want.generation || got.applications != want.applications || got.note != want.note || reason(got.refused) != reason(want.refused) {
			t.Errorf("%s: got %+v (%+v), want %+v", key, got, got.refused, want)
		}
	}
	if got := d.inForce("db"); !strings.HasPrefix(got, "named0:") || strings.Contains(got, "many") || !strings.Contains(got, "open0: cafe") {
		t.Errorf("in force for db is %q, want all but the surplus", got)
	}
	d.put("ghost", nil)
	d.putIn("cafe", "gone", nil)
	d.repeal("many")
	d.step()
	if got := d.board.policies["shop/named"]; got.applications != 2 || strings.Contains(got.note, "Applications") {
		t.Errorf("once they are there: %+v", got)
	}
	if _, left := d.board.policies["shop/many"]; left || len(d.callers.surplus) > 0 {
		t.Errorf("of the deleted policy is left: %v, %v", left, d.callers.surplus)
	}
}

// TestSequence narrows one policy, widens another, and lets a consumer in.
func TestSequence(t *testing.T) {
	d := shopAndBar(t)
	d.put("shutting", nil)
	d.step()
	rec := func(name string, callers ...string) record.Record {
		p, _, _ := compilePolicy(callee{"shop", name, "prod", "cluster.local", nil}, []*v1alpha1.AccessPolicy{testPolicy("p", ruleFor(callers...))}, d.callers.tenancy)
		return p.Record()
	}
	assignment := record.Assignment{Namespace: "cafe", Application: "bar", Zone: "w1"}.Record()
	fresh, wide, narrow := rec("fresh", "cafe"), record.Policy{}, rec("shutting")
	e, _ := d.mirror.Snapshot().Get(record.PolicyKey("shop", "db"))
	wide, _ = record.DecodePolicy(e.Record)
	wide.Rules = append(wide.Rules, record.Rule{Policy: "z", Callers: []record.Caller{{Namespace: "shop"}}})
	grown, shrunk := record.Audience{Namespace: "shop", Application: "db"}.Record(), record.Audience{Namespace: "shop", Application: "web"}.Record()
	got := sequence(d.mirror.Snapshot(), []store.Write{{Record: grown}}, map[string][]store.Write{
		"cafe/bar": {{Record: assignment}}, "shop/db": {{Record: wide.Record()}}, "shop/shutting": {{Record: narrow}}, "shop/fresh": {{Record: fresh}},
		"shop/gone": {{Record: record.Record{Key: record.PolicyKey("shop", "gone")}, Delete: true}},
	}, []store.Write{{Record: shrunk}})
	var keys []string
	for _, w := range got {
		keys = append(keys, w.Key.String())
	}
	want := []string{"policy/shop/fresh", "policy/shop/shutting", "audience/shop/db", "assignment/cafe/bar/w1", "policy/shop/gone", "policy/shop/db", "audience/shop/web"}
	if !slices.Equal(keys, want) {
		t.Errorf("got  %v\nwant %v", keys, want)
	}
}

// BenchmarkConsumer has one of n consumers of a provider come and go: what is planned is that one.
func BenchmarkConsumer(b *testing.B) {
	for _, n := range []int{500, 5_000} {
		b.Run(fmt.Sprintf("consumers=%d", n), func(b *testing.B) {
			d := popular(b, n)
			b.ReportAllocs()
			for b.Loop() {
				d.putIn("n0", "web", nil)
				d.step()
				d.putIn("n0", "web", calls("shop/db"))
				d.step()
			}
		})
	}
}

// popular has n consumers of shop/db in 100 namespaces.
func popular(t testing.TB, n int) *desk {
	d := newDesk(t, nil)
	d.put("db", nil)
	for i := range 100 {
		d.place(fmt.Sprint("n", i), "prod", "many")
	}
	d.policy(testPolicy("open", ruleFor("@many")))
	d.putIn("n0", "web", calls("shop/db"))
	for i := range n - 1 {
		d.putIn(fmt.Sprint("n", i%100), fmt.Sprint("web", i), calls("shop/db"))
	}
	d.step()
	return d
}

// TestPopular has 5,000 consumers of one provider.
func TestPopular(t *testing.T) {
	d := popular(t, 5_000)
	d.wantAudience("db", "everyone[w1][net]")
	if planned := d.plans(func() { d.putIn("n7", "late", calls("shop/db")) }); planned != 1 {
		t.Errorf("%v applications were planned for a new consumer, want 1", planned)
	}
	d.putIn("n8", "later", calls("shop/db"))
	if wrote := d.step(); wrote != 1 {
		t.Errorf("%d transactions for a new consumer, want 1", wrote)
	}
	d.wantDependencies("n8/later", "shop/db")
}
