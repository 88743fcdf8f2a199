package global

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// carry has an application bring objects of one kind and these names.
func carry(kind string, objects ...string) func(*v1alpha1.ApplicationSpec) {
	return func(s *v1alpha1.ApplicationSpec) {
		for _, name := range objects {
			s.Resources = append(s.Resources, runtime.RawExtension{Raw: fmt.Appendf(nil,
				`{"apiVersion":"v1","kind":%q,"metadata":{"name":%q}}`, kind, name)})
		}
	}
}

// calls has an application depend on others, NAME or NAMESPACE/NAME.
func calls(names ...string) func(*v1alpha1.ApplicationSpec) {
	return func(s *v1alpha1.ApplicationSpec) {
		for _, name := range names {
			namespace, short, ok := strings.Cut(name, "/")
			if !ok {
				namespace, short = "", name
			}
			s.DependsOn = append(s.DependsOn, v1alpha1.Dependency{Namespace: namespace, Name: short})
		}
	}
}

// TestRestartBesideARefusal restarts Global while the provider's last change is refused: what ran before can still be
// called, and nothing is written.
func TestRestartBesideARefusal(t *testing.T) {
	d := newDesk(t, nil)
	d.put("web", calls("db"))
	d.put("db", nil)
	d.step()
	d.put("db", carry("Secret", "x"))
	d.step()
	if d.apps["shop/db"].plan.refused == nil {
		t.Fatal("db's change is not refused")
	}
	again := newDesk(t, d)
	if wrote := again.step(); wrote != 0 {
		t.Errorf("a restart with nothing changed wrote %d times", wrote)
	}
	if got := again.assigned("web")["w1"].Dependencies; !slices.Equal(got, []string{"shop/db"}) {
		t.Errorf("web depends on %v after the restart, want shop/db", got)
	}
	if why := again.apps["shop/web"].plan.unresolved; why != nil {
		t.Errorf("web's dependencies are not resolved: %v", why)
	}
}

// TestCacheAheadOfQueue plans an application whose spec has left the hub's cache before its deletion came: only the
// deletion, with its cause, removes anything.
func TestCacheAheadOfQueue(t *testing.T) {
	for name, seen := range map[string]bool{"deleted": true, "found missing": false} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.put("web", nil)
			d.put("db", nil)
			d.step()
			d.vanish("web")
			d.queue.inventoryEvents().OnAdd(nil, false)
			if wrote := d.step(); wrote != 0 || len(d.assigned("web")) == 0 {
				t.Errorf("before the event, web is assigned %v after %d writes", names(d.assigned("web")), wrote)
			}
			d.deleted("web", seen)
			d.step()
			if got := d.assigned("web"); len(got) != 0 {
				t.Errorf("after the event, web is assigned %v", names(got))
			}
		})
	}
}

// TestDeletedAndCreatedAgain has the new spec in the cache when the deletion is worked on.
func TestDeletedAndCreatedAgain(t *testing.T) {
	d := newDesk(t, nil)
	d.put("web", nil)
	d.step()
	d.deleted("web", true)
	if wrote := d.step(); wrote != 0 {
		t.Errorf("%d writes for an application that is there again as it was", wrote)
	}
	d.deleted("web", true)
	d.put("web", nil)
	if w := d.queue.take(); len(w.removed) != 0 || !w.applications["shop/web"] {
		t.Errorf("the queue has %+v, want web changed, and not removed", w)
	}
}

// TestMakeBeforeBreak takes a zone away from an application by a taint, which is no new revision.
func TestMakeBeforeBreak(t *testing.T) {
	autoscaler := runtime.RawExtension{Raw: []byte(`{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler",
		"metadata":{"name":"web"},"spec":{"maxReplicas":9,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}`)}
	tests := map[string]struct {
		scaled bool
		last   int32 // replicas that the zone that stays said it runs
		let    bool
	}{
		"its last word is of before": {false, 2, false},
		"all replicas are there":     {false, 4, true},
		"an autoscaler wants fewer":  {true, 2, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.put("web", func(s *v1alpha1.ApplicationSpec) {
				four := int32(4)
				s.Replicas = &four
				if tt.scaled {
					s.Resources = append(s.Resources, autoscaler)
				}
			})
			d.step()
			d.report(d.assigned("web")["w1"], tt.last)
			d.step()
			tainted, _ := d.hub.clusters.get("w2-0")
			tainted = tainted.DeepCopy()
			tainted.Spec.Taints = []v1alpha1.Taint{{Key: "repair", Effect: v1alpha1.TaintNoExecute}}
			fill(d.hub.clusters, []*v1alpha1.Cluster{tainted})
			d.queue.clusterEvents().OnAdd(tainted, false)
			d.step()
			got := d.assigned("web")
			if got["w1"].Replicas != 4 {
				t.Errorf("w1 has %d replicas, want 4", got["w1"].Replicas)
			}
			if _, kept := got["w2"]; kept == tt.let || kept && !got["w2"].Draining {
				t.Errorf("w2 is %+v, want it let go: %v", got["w2"], tt.let)
			}
			d.report(got["w1"], 4)
			d.step()
			if got := names(d.assigned("web")); !slices.Equal(got, []string{"w1"}) {
				t.Errorf("web is in %v once w1 is ready, want w1", got)
			}
		})
	}
}

// leaving has web with four replicas leave w2 for w1.
func leaving(t *testing.T) *desk {
	d := newDesk(t, nil)
	four := int32(4)
	d.put("web", func(s *v1alpha1.ApplicationSpec) { s.Replicas = &four })
	d.step()
	d.put("web", func(s *v1alpha1.ApplicationSpec) {
		s.Replicas, s.Placement.Zones = &four, byName("w1")
	})
	d.step()
	if got := d.assigned("web"); !got["w2"].Draining || got["w1"].Replicas != 4 {
		t.Fatalf("web is assigned %+v, want w2 draining and 4 replicas in w1", got)
	}
	return d
}

// TestWordOfAnEarlierTerm reports in one term that w1 is ready, and has web leave w2 in the next: w2 is let go when the
// region has told all again.
func TestWordOfAnEarlierTerm(t *testing.T) {
	d := leaving(t)
	d.report(d.assigned("web")["w1"], 4)
	d.reports.begin()
	d.step()
	if got := names(d.assigned("web")); !slices.Equal(got, []string{"w1", "w2"}) {
		t.Errorf("web is in %v by what was told before, want w2 kept", got)
	}
	d.told("w")
	d.step()
	if got := names(d.assigned("web")); !slices.Equal(got, []string{"w1"}) {
		t.Errorf("web is in %v when all is told again, want w1", got)
	}
}

// TestReportsOnTheWay plays reports of progress on an application that leaves a zone: it is planned when they let it.
func TestReportsOnTheWay(t *testing.T) {
	d := leaving(t)
	before := counted(t, d.metrics.planned)
	for ready := range int32(4) {
		d.report(d.assigned("web")["w1"], ready)
		d.step()
	}
	if got := counted(t, d.metrics.planned) - before; got != 0 {
		t.Errorf("planned %v times by reports that change nothing", got)
	}
	d.report(d.assigned("web")["w1"], 4)
	d.step()
	if got := counted(t, d.metrics.planned) - before; got != 1 || len(d.assigned("web")) != 1 {
		t.Errorf("planned %v times when web is ready, and is in %v; want once, and w1", got, names(d.assigned("web")))
	}
}

func counted(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// TestInForce reads an application's records again: what has not changed is not decoded again, what has is.
func TestInForce(t *testing.T) {
	d := newDesk(t, nil)
	d.put("db", nil)
	d.put("web", calls("db"))
	d.step()
	before := d.apps["shop/web"].now
	d.queue.inventoryEvents().OnAdd(nil, false)
	d.step()
	first := d.apps["shop/web"].now
	again := first.read(d.mirror.Snapshot(), "shop", "web")
	if len(before.assignments) != 0 || len(first.assignments) == 0 {
		t.Fatalf("web is assigned %v, then %v, want none, then some", before.assignments, first.assignments)
	}
	for zone, a := range first.assignments {
		if b := again.assignments[zone]; &a.Dependencies[0] != &b.Dependencies[0] {
			t.Errorf("the assignment to %s was decoded again", zone)
		}
	}
	d.put("web", nil)
	d.step()
	for zone, a := range again.read(d.mirror.Snapshot(), "shop", "web").assignments {
		if len(a.Dependencies) != 0 {
			t.Errorf("in %s, web depends on %v still", zone, a.Dependencies)
		}
	}
}

// TestUnplacedKeepsItsObjects changes a spec so that it fits nowhere: what runs on keeps the objects that it owns.
func TestUnplacedKeepsItsObjects(t *testing.T) {
	d := newDesk(t, nil)
	d.put("web", carry("ConfigMap", "x"))
	d.step()
	d.put("thief", carry("ConfigMap", "x"))
	d.put("web", func(s *v1alpha1.ApplicationSpec) { s.Placement.Zones = byName("nowhere") })
	for range 2 {
		d.step()
		if d.apps["shop/web"].plan.unplaced == nil || d.apps["shop/thief"].plan.refused == nil {
			t.Errorf("web is unplaced by %v, thief refused by %v", d.apps["shop/web"].plan.unplaced, d.apps["shop/thief"].plan.refused)
		}
		d.queue.inventoryEvents().OnAdd(nil, false)
	}
	d.put("web", nil)
	d.step()
	if why := d.apps["shop/thief"].plan.refused; why != nil {
		t.Errorf("thief is refused what web let go: %v", why)
	}
}

// TestClusterComesBack removes a Cluster that is there again by the time it is worked on.
func TestClusterComesBack(t *testing.T) {
	d := newDesk(t, nil)
	d.put("web", nil)
	d.step()
	cluster, _ := d.hub.clusters.get("w1-0")
	d.queue.clusterEvents().OnDelete(cluster)
	if wrote := d.step(); wrote != 0 {
		t.Errorf("%d writes for a Cluster that is there", wrote)
	}
	if _, ok := d.mirror.Snapshot().Get(record.ClusterKey("w1-0")); !ok {
		t.Error("the cluster's record is gone")
	}

	all := d.hub.clusters.all()
	for _, c := range all {
		_ = d.hub.clusters.store.Delete(c)
		d.queue.clusterEvents().OnDelete(missed(c))
	}
	_ = d.hub.applications.store.Delete(testApplication("web"))
	d.deleted("web", false)
	d.step()
	if held := names(d.guard.list()); len(held) != 3 {
		t.Fatalf("held are %v, want all", held)
	}
	fill(d.hub.clusters, all[:1])
	d.queue.clusterEvents().OnAdd(all[0], false)
	d.queue.add(func(w *work) { w.confirmed = true })
	d.step()
	if got := names(d.inventory.clusters); !slices.Equal(got, []string{all[0].Name}) {
		t.Errorf("clusters are %v, want %s alone", got, all[0].Name)
	}
	if _, ok := d.mirror.Snapshot().Get(record.ClusterKey(all[0].Name)); !ok || len(d.assigned("web")) != 0 {
		t.Errorf("the cluster that came back has a record: %v; web is assigned %v", ok, names(d.assigned("web")))
	}
}

// missed is the event of a deletion that nobody saw.
func missed(obj metav1.Object) cache.DeletedFinalStateUnknown {
	key, _ := cache.MetaNamespaceKeyFunc(obj)
	return cache.DeletedFinalStateUnknown{Key: key, Obj: obj}
}

// TestQueueMerges plays events in turn.
func TestQueueMerges(t *testing.T) {
	q := newQueue()
	app, zone := testApplication("web"), &v1alpha1.Zone{ObjectMeta: metav1.ObjectMeta{Name: "w1", UID: "1", Generation: 1}}
	events := q.applicationEvents()
	events.OnUpdate(app, app)
	q.inventoryEvents().OnUpdate(zone, zone)
	if w := q.take(); len(w.applications) != 0 || w.inventory {
		t.Errorf("updates that change nothing are noted: %+v", w)
	}
	again := zone.DeepCopy()
	again.UID = "2"
	q.inventoryEvents().OnUpdate(zone, again)
	reborn := testApplication("web")
	reborn.UID = "2"
	events.OnUpdate(app, reborn)
	if w := q.take(); !w.applications["shop/web"] || !w.inventory {
		t.Errorf("objects created again are not noted: %+v", w)
	}
	events.OnAdd(app, false)
	events.OnDelete(app)
	if w := q.take(); len(w.applications) != 0 || w.removed["shop/web"] != record.CausePerson {
		t.Errorf("after a deletion: %+v", w)
	}
	events.OnDelete(missed(app))
	if w := q.take(); len(w.removed) != 1 || w.removed["shop/web"] != record.CauseFound {
		t.Errorf("after a deletion that was missed: %+v", w)
	}
	if w := q.take(); len(w.removed) != 0 {
		t.Errorf("taken twice: %+v", w)
	}
}
