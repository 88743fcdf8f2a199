package clusteragent

import (
	"cmp"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// workloads keeps the state of the workloads of each application, and what the zone is told of it: one status record
// for each application that has workloads, changed only when its content changes.
type workloads struct {
	outbox *feed.Outbox

	mu   sync.Mutex // guards all below
	apps map[types.NamespacedName]map[object.ID]*workload
	of   map[object.ID]types.NamespacedName
}

// workload is one of them.
type workload struct {
	record.Workload
	uid             types.UID
	resourceVersion string
	// observed is the generation that the counts are of.
	observed int64
	problems []record.Problem
}

func newWorkloads(outbox *feed.Outbox) *workloads {
	return &workloads{outbox: outbox, apps: map[types.NamespacedName]map[object.ID]*workload{},
		of: map[object.ID]types.NamespacedName{}}
}

// see takes a Deployment as the watch shows it.
func (w *workloads) see(id object.ID, d *appsv1.Deployment, version record.Version) {
	name := d.Labels[object.LabelApplication]
	if name == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l, known := w.workload(id, types.NamespacedName{Namespace: id.Namespace, Name: name})
	if known && !newer(d.ResourceVersion, l.resourceVersion) {
		return
	}
	l.uid, l.resourceVersion = d.UID, d.ResourceVersion
	l.observed = d.Status.ObservedGeneration
	if l.observed < d.Generation {
		version = record.Version{}
	}
	l.reads(version)
	l.count(d)
	l.problems = problems(id, d)
	if complete(d) && !version.IsZero() && l.ReadyAt.IsZero() {
		l.ReadyAt = time.Now()
		if !known { // it was complete before this agent looked
			l.ReadyAt = completedAt(d)
		}
	}
	w.publish(w.of[id])
}

// applied takes what a write left behind. Counts of an earlier generation must not be taken for those of the new one,
// so this is called before anybody is told that the write took effect.
func (w *workloads) applied(id object.ID, m manifest, obj *metav1.PartialObjectMetadata) {
	if id.Group != appsv1.GroupName || m.application == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l, known := w.workload(id, types.NamespacedName{Namespace: id.Namespace, Name: m.application})
	if known && !newer(obj.ResourceVersion, l.resourceVersion) {
		return
	}
	if l.uid != obj.UID {
		l.observed = 0
	}
	l.uid, l.resourceVersion = obj.UID, obj.ResourceVersion
	var version record.Version
	if l.observed >= obj.Generation {
		version = look(id, obj).version
	}
	l.reads(version)
	w.publish(w.of[id])
}

// vanish takes the end of a workload.
func (w *workloads) vanish(id object.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	app, known := w.of[id]
	if !known {
		return
	}
	w.leave(id, app)
	w.publish(app)
}

func (w *workloads) workload(id object.ID, app types.NamespacedName) (l *workload, known bool) {
	if old, ok := w.of[id]; ok && old != app {
		w.leave(id, old)
		w.publish(old)
	}
	if l, known = w.apps[app][id]; known {
		return l, true
	}
	if w.apps[app] == nil {
		w.apps[app] = map[object.ID]*workload{}
	}
	l = &workload{Workload: record.Workload{Key: id.Key()}}
	w.apps[app][id], w.of[id] = l, app
	return l, false
}

func (w *workloads) leave(id object.ID, app types.NamespacedName) {
	delete(w.of, id)
	delete(w.apps[app], id)
	if len(w.apps[app]) == 0 {
		delete(w.apps, app)
	}
}

// reads sets the version that the counts speak for. Another version was never complete.
func (l *workload) reads(version record.Version) {
	if version != l.Version {
		l.Version, l.ReadyAt = version, time.Time{}
	}
}

// count reads the counts. Those of old pods beside the updated ones are not told apart by the API, so as many of the
// available ones as there are old pods are taken for old.
func (l *workload) count(d *appsv1.Deployment) {
	s := d.Status
	l.Desired = desired(d)
	l.Updated = s.UpdatedReplicas
	l.Ready = max(0, min(s.AvailableReplicas-(s.Replicas-s.UpdatedReplicas), s.UpdatedReplicas))
}

func desired(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// complete is the rule of kubectl rollout status.
func complete(d *appsv1.Deployment) bool {
	s, n := d.Status, desired(d)
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n
}

// completedAt is when the controller noted the end of the rollout, to the second; now if it has not.
func completedAt(d *appsv1.Deployment) time.Time {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "NewReplicaSetAvailable" && !c.LastUpdateTime.IsZero() {
			return c.LastUpdateTime.Time
		}
	}
	return time.Now()
}

// problems are the conditions that a person should know of.
func problems(id object.ID, d *appsv1.Deployment) []record.Problem {
	var out []record.Problem
	for _, c := range d.Status.Conditions {
		bad := c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue ||
			c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
		if bad {
			out = append(out, record.Problem{Object: id.Short(), Reason: c.Reason, Message: c.Message})
		}
	}
	return out
}

// publish tells the zone how an application does now. The removal of a status passes the zone's guard: it removes
// nothing.
func (w *workloads) publish(app types.NamespacedName) {
	all, ok := w.apps[app]
	if !ok {
		w.outbox.Edit(feed.Remove(record.StatusKey(app.Namespace, app.Name), record.CausePerson))
		return
	}
	status := record.Status{Namespace: app.Namespace, Application: app.Name}
	for _, l := range all {
		status.Workloads = append(status.Workloads, l.Workload)
		status.Problems = append(status.Problems, l.problems...)
	}
	slices.SortFunc(status.Workloads, func(a, b record.Workload) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(status.Problems, func(a, b record.Problem) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Reason, b.Reason))
	})
	status.Problems = status.Problems[:min(len(status.Problems), record.MaxProblems)]
	r := status.Record()
	w.outbox.Edit(feed.Put(&r))
}

// of application returns its workloads' state.
func (w *workloads) application(namespace, name string) []record.Workload {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []record.Workload
	for _, l := range w.apps[types.NamespacedName{Namespace: namespace, Name: name}] {
		out = append(out, l.Workload)
	}
	slices.SortFunc(out, func(a, b record.Workload) int { return a.Key.Compare(b.Key) })
	return out
}

// count is the number of applications that have workloads here.
func (w *workloads) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.apps)
}
