package clusteragent

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// lingerer is what keeps a pod in its termination until a test has it end.
const lingerer = "test.meridian.dev/lingers"

// lingering is a Deployment whose pods take as long to end as a test likes.
func lingering(t *testing.T, namespace, name string) *record.Record {
	r := deployment(t, namespace, name, "nginx:1", 2)
	var body fields
	if err := json.Unmarshal(r.Content, &body); err != nil {
		t.Fatal(err)
	}
	template := body["spec"].(fields)["template"].(fields)
	template["metadata"].(fields)["finalizers"] = []any{lingerer}
	id, _ := object.FromKey(r.Key)
	return compiled(t, id, name, fields{"spec": body["spec"]})
}

// guarded is an application of two pods that linger, all that guards them, and what of its namespace does; workload first,
// namespace last.
func guarded(t *testing.T, namespace, name string) []*record.Record {
	matching := fields{"matchLabels": fields{"app": name}}
	return []*record.Record{
		lingering(t, namespace, name),
		compiled(t, idOf("", "Service", namespace, name), name,
			fields{"spec": fields{"selector": fields{"app": name}, "ports": []any{fields{"name": "http", "port": 80}}}}),
		compiled(t, idOf("networking.k8s.io", "NetworkPolicy", namespace, name), name,
			fields{"spec": fields{"podSelector": matching, "policyTypes": []any{"Ingress"}}}),
		compiled(t, idOf("security.istio.io", "AuthorizationPolicy", namespace, name), name,
			fields{"spec": fields{"selector": matching}}),
		compiled(t, idOf("security.istio.io", "PeerAuthentication", namespace, "default"), "",
			fields{"spec": fields{"mtls": fields{"mode": "STRICT"}}}),
		compiled(t, idOf("", "ServiceAccount", namespace, name), name, nil),
		namespaceRecord(t, namespace),
	}
}

// stay tells whether all objects are there and none is on its way out.
func (a admin) stay(t *testing.T, records []*record.Record) {
	t.Helper()
	for _, r := range records {
		if u, err := a.get(r.Key); err != nil || u.GetDeletionTimestamp() != nil {
			t.Errorf("%s while pods of its application run: deleted %t, %v; want it in place", r.Key.Name, err == nil, err)
		}
	}
}

func (a admin) away(records []*record.Record) bool {
	return !slices.ContainsFunc(records, func(r *record.Record) bool { _, err := a.get(r.Key); return !apierrors.IsNotFound(err) })
}

func (a admin) pods(namespace string) dynamic.ResourceInterface {
	return a.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace)
}

// ending waits until so many pods of a namespace are in their termination.
func (a admin) ending(namespace string, n int) {
	a.t.Helper()
	eventually(a.t, "pods that terminate", func() bool {
		list, err := a.pods(namespace).List(a.t.Context(), metav1.ListOptions{})
		if err != nil {
			a.t.Fatal(err)
		}
		ending := 0
		for _, p := range list.Items {
			if p.GetDeletionTimestamp() != nil {
				ending++
			}
		}
		return ending == n
	})
}

// end lets pods of a namespace end that are in their termination.
func (a admin) end(namespace string, n int) {
	a.t.Helper()
	list, err := a.pods(namespace).List(a.t.Context(), metav1.ListOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.GetDeletionTimestamp() == nil || n == 0 {
			continue
		}
		n--
		patch := []byte(`{"metadata":{"finalizers":null}}`)
		if _, err := a.pods(namespace).Patch(a.t.Context(), p.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// runs puts an application and waits for its pods.
func (a admin) runs(z *zone, namespace string, app []*record.Record) {
	a.t.Helper()
	z.put(app...)
	for _, r := range app {
		if reason := z.rejection(r.Key); reason != "" {
			a.t.Fatalf("%s was rejected: %s", r.Key, reason)
		}
	}
	eventually(a.t, "pods", func() bool {
		list, err := a.pods(namespace).List(a.t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 2
	})
}

// TestGuardsOutlivePods removes applications whose pods take their time, in a cluster with controllers.
func TestGuardsOutlivePods(t *testing.T) {
	c := localkube.ForTest(t, localkube.Config{Nodes: 1, AuditLog: true})
	if err := c.InstallIstioCRDs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := installRole(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	whole, z, a := t, newZone(t), newAdmin(t, c)
	running := startAgent(t, c, z, "guards")

	t.Run("removed with all its namespace", func(t *testing.T) {
		app := guarded(t, "all", "web")
		a.runs(z, "all", app)
		before := len(agentWrites(t, c, 0))
		z.remove(keysOf(app)...) // acknowledged, or later batches would wait as long as the pods take
		a.ending("all", 2)
		other := configMap(t, "meanwhile", "other", "1")
		z.put(namespaceRecord(t, "meanwhile"), other)
		z.remove(other.Key)
		a.stay(t, app[1:])
		if n := z.ask(t, question.KindApplication, `{"namespace":"all","name":"web"}`); n.Application == nil || n.Application.Converged != 0 {
			t.Errorf("the application that is ending: %+v, want it known and not converged", n.Application)
		}
		a.end("all", 1)
		a.ending("all", 1)
		a.stay(t, app[1:])
		a.end("all", 1)
		eventually(t, "the end of it all", func() bool { return a.away(app) })
		got := slices.DeleteFunc(agentWrites(t, c, before), func(w localkube.Write) bool {
			return w.Namespace != "all" && w.Name != "all" || w.Code >= 300 // a conflict with a controller is tried again
		})
		want := []string{"delete deployments", "delete services", "delete authorizationpolicies", "delete networkpolicies",
			"delete peerauthentications", "delete serviceaccounts", "delete namespaces"}
		policies := resources(got)
		slices.Sort(policies[min(2, len(policies)):min(5, len(policies))]) // one class: in any order
		if !slices.Equal(policies, want) {
			t.Errorf("removed in the order %v, want %v", resources(got), want)
		}
	})

	t.Run("the rest in a later batch, beside another application", func(t *testing.T) {
		app, beside := guarded(t, "later", "web"), configMap(t, "later", "beside", "1")
		a.runs(z, "later", append(app, beside))
		z.remove(app[0].Key)
		a.ending("later", 2)
		z.remove(app[3].Key, app[4].Key, beside.Key)
		if _, err := a.get(beside.Key); !apierrors.IsNotFound(err) {
			t.Errorf("another application's object: %v, want it gone", err)
		}
		a.stay(t, app[1:])
		a.end("later", 2)
		eventually(t, "the end of both policies", func() bool { return a.away(app[3:5]) })
		a.stay(t, slices.Concat(app[1:3], app[5:]))
	})

	t.Run("put again while it ends", func(t *testing.T) {
		app := guarded(t, "again", "web")
		a.runs(z, "again", app)
		was := a.mustGet(app[0].Key).GetUID()
		z.remove(keysOf(app)...)
		a.ending("again", 2)
		before := len(agentWrites(t, c, 0))
		z.put(app...)
		for _, r := range app {
			want := ""
			if r == app[0] {
				want = reasonTerminating
			}
			if got := z.rejection(r.Key); got != want {
				t.Errorf("%s while the old one ends: rejected for %q, want %q", r.Key.Name, got, want)
			}
		}
		a.end("again", 2)
		eventually(t, "another Deployment", func() bool {
			u, err := a.get(app[0].Key)
			return err == nil && u.GetUID() != was && u.GetDeletionTimestamp() == nil && z.rejection(app[0].Key) == ""
		})
		a.stay(t, app)
		for _, w := range agentWrites(t, c, before) {
			if w.Verb == "delete" || w.Resource == "deployments" && w.Code != 201 {
				t.Errorf("%s %s %s, answered %d: want nothing deleted, and the Deployment created once", w.Verb, w.Resource, w.Name, w.Code)
			}
		}
	})

	t.Run("an agent that restarts meanwhile", func(t *testing.T) {
		app := guarded(t, "restarted", "web")
		a.runs(z, "restarted", app)
		z.remove(keysOf(app)...)
		a.ending("restarted", 2)
		running.stop()
		running = startAgent(whole, c, z, "guards")
		running.settle()
		a.stay(t, app[1:])
		a.end("restarted", 2)
		eventually(t, "the end of it all", func() bool { return a.away(app) })
	})

	t.Run("a workload that may not be removed", func(t *testing.T) {
		app := guarded(t, "forbidden", "web")
		a.runs(z, "forbidden", app)
		allow := a.forbidRemoval("forbidden")
		z.remove(keysOf(app)...)
		if got := z.rejection(app[0].Key); got != string(metav1.StatusReasonInvalid) {
			t.Errorf("the Deployment's removal was rejected for %q, want %q", got, metav1.StatusReasonInvalid)
		}
		a.stay(t, app)
		allow()
		a.ending("forbidden", 2)
		a.stay(t, app[1:])
		a.end("forbidden", 2)
		eventually(t, "the end of it all", func() bool { return a.away(app) })
	})
}

// forbidRemoval keeps the Deployments of a namespace from being deleted, until what it returns is called.
func (a admin) forbidRemoval(namespace string) (allow func()) {
	a.t.Helper()
	at := func(resource string) dynamic.ResourceInterface {
		return a.Resource(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resource})
	}
	create := func(resource, kind string, spec fields) {
		u := &unstructured.Unstructured{Object: fields{"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
			"metadata": fields{"name": "keep"}, "spec": spec}}
		if _, err := at(resource).Create(a.t.Context(), u, metav1.CreateOptions{}); err != nil {
			a.t.Fatal(err)
		}
	}
	create("validatingadmissionpolicies", "ValidatingAdmissionPolicy", fields{
		"matchConstraints": fields{"resourceRules": []any{fields{"apiGroups": []any{"apps"}, "apiVersions": []any{"v1"},
			"operations": []any{"DELETE"}, "resources": []any{"deployments"}}}},
		"validations": []any{fields{"expression": "request.namespace != '" + namespace + "'"}}})
	create("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding",
		fields{"policyName": "keep", "validationActions": []any{"Deny"}})
	deployments := a.at(idOf("apps", "Deployment", namespace, ""))
	// Policies reach admission by a watch, a moment later.
	eventually(a.t, "the policy", func() bool {
		return apierrors.IsInvalid(deployments.Delete(a.t.Context(), "web", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
	})
	return func() {
		if err := at("validatingadmissionpolicybindings").Delete(a.t.Context(), "keep", metav1.DeleteOptions{}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// TestLateWorkload tells of a workload that does not end, once, and that it has ended.
func TestLateWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := idOf("apps", "Deployment", "shop", "cart")
		d := newDesk(slog.New(slog.DiscardHandler))
		var told [][]record.Problem
		d.leaving.tell = func(p []record.Problem) { told = append(told, p) }
		done := make(chan struct{})
		go func() {
			defer close(done)
			for key, ok := d.next(); ok; key, ok = d.next() {
				if task, ok := d.take(key); ok {
					d.finish(task, result{seen: task.seen}) // as the API server takes a deletion
				}
				d.release(key)
			}
		}()
		defer func() {
			d.close()
			<-done
		}()
		at := func(version string) *sighting {
			return &sighting{uid: "1", resourceVersion: version, label: true, self: true, manager: true, application: "cart"}
		}
		d.see(id, at("1"))
		removed := 0
		d.remove(id, func(*feed.Rejection) { removed++ })
		synctest.Wait()
		ends := at("2")
		ends.deleting = true
		d.see(id, ends)
		time.Sleep(terminatingAfter - time.Second)
		synctest.Wait()
		if removed != 1 || len(told) != 0 {
			t.Fatalf("before its time: %d acknowledgements, told %v; want one and nothing", removed, told)
		}
		time.Sleep(time.Minute * 10)
		synctest.Wait()
		if len(told) != 1 || len(told[0]) != 1 || told[0][0].Reason != reasonTerminating || !strings.Contains(told[0][0].Object, "shop/cart") {
			t.Fatalf("after its time: told %v, want one problem with the Deployment", told)
		}
		if got := d.late(); got != 1 {
			t.Errorf("%d workloads are late, want 1", got)
		}
		if s := d.survey("shop", "cart"); len(s) != 1 || s[0].ends == nil || !s[0].outstanding {
			t.Errorf("survey: %+v, want it outstanding and late", s)
		}
		d.vanish(id, "3")
		if len(told) != 2 || len(told[1]) != 0 {
			t.Errorf("after its end: told %v, want that there is no problem", told)
		}
		if n := len(d.leaving.left) + len(d.leaving.waiting) + len(d.leaving.late) + len(d.entries); n != 0 {
			t.Errorf("%d things are remembered of what is gone, want none", n)
		}
	})
}
