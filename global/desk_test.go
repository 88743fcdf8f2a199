package global

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/enrol"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// desk is a planner on an in-memory store, with a hub whose watches the test plays.
type desk struct {
	*planner
	t       testing.TB
	records *mem.Store
	reports *reports
	first   bool
}

// newDesk starts a planner on the records and the resources of an earlier one, or on none. The inventory is zones w1 and
// w2 with a cluster each, and namespace shop.
func newDesk(t testing.TB, before *desk) *desk {
	t.Helper()
	d := &desk{t: t, records: mem.New(), reports: newReports(), first: true}
	h := &hub{applications: played[*v1alpha1.Application](), environments: played[*v1alpha1.Environment](),
		networks: played[*v1alpha1.Network](), regions: played[*v1alpha1.Region](), zones: played[*v1alpha1.Zone](),
		clusters: played[*v1alpha1.Cluster](), namespaces: played[*corev1.Namespace](), policies: played[*v1alpha1.AccessPolicy](), quotas: played[*v1alpha1.TenantQuota](),
		pools: played[*v1alpha1.IPPool](), ipclaims: played[*v1alpha1.IPClaim](), externals: played[*v1alpha1.ExternalService]()}
	if before != nil {
		d.records, h = before.records, before.hub
	}
	log := slog.New(slog.DiscardHandler)
	s := d.records.Open()
	mirror := store.NewMirror(s, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mirror.Run(ctx)
	}()
	if err := mirror.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	term, err := s.Campaign(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	g := &Global{log: log, mirror: mirror, space: newSpace(), queue: newQueue(), guard: newGuard(), reports: d.reports,
		register: enrol.New(mirror, log), sessions: children.NewTable(), ledgers: map[string]*feed.Ledger{},
		metrics: newMetrics(prometheus.NewRegistry()), cfg: Config{AudienceDelay: time.Hour}}
	b := newBoard(g, h)
	d.planner = newPlanner(g, h, store.NewWriter(s, mirror, term), b)
	t.Cleanup(func() {
		b.queue.ShutDown()
		cancel()
		<-done
	})
	if before == nil {
		r := worldResources(map[string]int{"w1": 1, "w2": 1})
		fill(h.environments, r.environments)
		fill(h.networks, r.networks)
		fill(h.regions, r.regions)
		fill(h.zones, r.zones)
		fill(h.clusters, r.clusters)
		fill(h.namespaces, []*corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "shop",
			Labels: map[string]string{v1alpha1.LabelEnvironment: "prod"}}}})
	}
	return d
}

func played[T runtime.Object]() *kind[T] {
	return &kind[T]{store: cache.NewStore(cache.MetaNamespaceKeyFunc)}
}

func fill[T runtime.Object](k *kind[T], objects []T) {
	for _, o := range objects {
		if err := k.store.Add(o); err != nil {
			panic(err)
		}
	}
}

// put plays the watch of an Application that was created or changed.
func (d *desk) put(name string, edit func(*v1alpha1.ApplicationSpec)) {
	d.t.Helper()
	app := testApplication(name)
	if edit != nil {
		edit(&app.Spec)
	}
	fill(d.hub.applications, []*v1alpha1.Application{app})
	d.queue.applicationEvents().OnAdd(app, false)
}

// vanish takes an Application out of the hub's cache; its event has not come yet.
func (d *desk) vanish(name string) {
	_ = d.hub.applications.store.Delete(testApplication(name))
}

// deleted plays the event of a deletion.
func (d *desk) deleted(name string, seen bool) {
	app := testApplication(name)
	if seen {
		d.queue.applicationEvents().OnDelete(app)
		return
	}
	d.queue.applicationEvents().OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/" + name, Obj: app})
}

func testApplication(name string) *v1alpha1.Application {
	return &v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: 1},
		Spec: v1alpha1.ApplicationSpec{
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "main:1"}}}},
			Ports:    []v1alpha1.Port{{Name: "http", Port: 80}}}}
}

// step has the planner do what is queued, and returns how many records that changed.
func (d *desk) step() int64 {
	d.t.Helper()
	before := d.mirror.Snapshot().Position().Revision
	w := d.queue.take()
	if d.first {
		d.first = false
		d.restore()
		w.inventory = true
		for _, app := range d.hub.applications.all() {
			w.applications[record.ServiceName(app.Namespace, app.Name)] = true
		}
		for _, external := range d.hub.externals.all() {
			w.externals[externalName(external.Namespace+"/"+external.Name)] = true
		}
		d.missing(&w)
	}
	if err := d.work(d.t.Context(), w); err != nil {
		d.t.Fatal(err)
	}
	return d.mirror.Snapshot().Position().Revision - before
}

// assigned are the assignments in force of one application, by zone.
func (d *desk) assigned(name string) map[string]record.Assignment {
	return inForce(d.mirror.Snapshot(), "shop", name).assignments
}

// report plays a zone's word: all of these replicas run a revision. Its region has told all by then.
func (d *desk) report(a record.Assignment, replicas int32) {
	d.t.Helper()
	d.told(a.Region)
	s := record.Status{Namespace: a.Namespace, Application: a.Application, Lines: []record.Line{{Zone: a.Zone,
		Region: a.Region, Counts: record.Counts{Revision: a.Revision, Desired: replicas, Updated: replicas,
			Ready: replicas, Clusters: 1, Converged: 1}}}}
	if err := d.reports.take(d.mirror.Snapshot(), a.Region, s.Record()); err != nil {
		d.t.Fatal(err)
	}
	d.queue.add(func(w *work) { w.reported[record.ServiceName(a.Namespace, a.Application)] = true })
}

// told plays that a region has told all.
func (d *desk) told(region string) {
	if d.reports.told(region) {
		d.queue.add(func(w *work) { w.regions[region] = true })
	}
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
