package clusteragent

import (
	"encoding/json"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// agentWrites are the writes of agents since an earlier call's end, but for the Lease.
func agentWrites(t testing.TB, c *localkube.Cluster, from int) localkube.Writes {
	t.Helper()
	all, err := c.AuditWrites(localkube.AgentUser)
	if err != nil {
		t.Fatal(err)
	}
	return all.Without("leases")[from:]
}

func resources(writes localkube.Writes) []string {
	var out []string
	for _, w := range writes {
		out = append(out, w.Verb+" "+w.Resource)
	}
	return out
}

// TestOrder applies one object of each class in one batch, the wrong way round, and removes them again.
func TestOrder(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	before := len(agentWrites(t, shared, 0))
	startAgent(t, shared, z, "order")
	app := application(t, "order", "web")
	z.put(app...)
	for _, r := range app {
		if reason := z.rejection(r.Key); reason != "" {
			t.Errorf("%s was rejected: %s", r.Key, reason)
		}
	}
	applied := agentWrites(t, shared, before)
	want := []string{"patch namespaces", "patch serviceaccounts", "patch configmaps", "patch services", "patch sidecars",
		"patch deployments"}
	if got := resources(applied); !slices.Equal(got, want) {
		t.Errorf("applied in the order %v, want %v", got, want)
	}

	z.remove(keysOf(app)...)
	namespace := app[len(app)-1].Key
	eventually(t, "the end of the namespace", func() bool { _, err := newAdmin(t, shared).get(namespace); return apierrors.IsNotFound(err) })
	removed := agentWrites(t, shared, before+len(applied))
	want = []string{"delete deployments", "delete sidecars", "delete services", "delete configmaps",
		"delete serviceaccounts", "delete namespaces"}
	if got := resources(removed); !slices.Equal(got, want) {
		t.Errorf("removed in the order %v, want %v", got, want)
	}
}

// TestMarks holds what was applied against what the zone sent.
func TestMarks(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	startAgent(t, shared, z, "marks")
	cm := configMap(t, "marks", "a", "1")
	z.put(namespaceRecord(t, "marks"), cm)
	id, _ := object.FromKey(cm.Key)
	s := look(id, newAdmin(t, shared).mustGet(cm.Key))
	if !s.ours() || s.version != cm.Version || s.shared {
		t.Errorf("the object is seen as %+v, want all marks, version %s, and no other manager", s, cm.Version)
	}
}

// TestForeign shows that an object of somebody else's is never touched, whatever labels and annotations it has copied.
func TestForeign(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	ns := namespaceRecord(t, "foreign")
	startAgent(t, shared, z, "foreign")
	z.put(ns)

	marked := configMap(t, "foreign", "marked", "ours")
	id, _ := object.FromKey(marked.Key)
	theirs := map[record.Key]*unstructured.Unstructured{
		marked.Key: a.create(id, fields{"data": fields{"key": "theirs"}, "metadata": fields{
			"labels": fields{object.LabelManaged: object.ManagedValue},
			"annotations": fields{object.AnnotationSelf: id.String(),
				object.AnnotationVersion: marked.Version.String()}}}),
	}
	plain := configMap(t, "foreign", "plain", "ours")
	id, _ = object.FromKey(plain.Key)
	theirs[plain.Key] = a.create(id, fields{"data": fields{"other": "theirs"}})

	z.put(marked, plain)
	for key, before := range theirs {
		if got := z.rejection(key); got != reasonForeign {
			t.Errorf("%s: rejected for %q, want %q", key, got, reasonForeign)
		}
		if after := a.mustGet(key); after.GetResourceVersion() != before.GetResourceVersion() {
			t.Errorf("%s was written to: %v", key, after.Object)
		}
	}
	z.remove(marked.Key)
	if _, err := a.get(marked.Key); err != nil {
		t.Errorf("a foreign object after the removal of its key: %v, want it untouched", err)
	}

	a.delete(plain.Key)
	eventually(t, "the rejected object after the obstacle went", func() bool { return z.rejection(plain.Key) == "" })
	if got, _, _ := unstructured.NestedString(a.mustGet(plain.Key).Object, "data", "key"); got != "ours" {
		t.Errorf("data.key = %q, want ours", got)
	}
}

// TestAdopt takes over an object because its manifest says so.
func TestAdopt(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "adopt")
	cm := configMap(t, "adopt", "a", "ours", object.AnnotationAdopt)
	id, _ := object.FromKey(cm.Key)
	z.put(namespaceRecord(t, "adopt"))
	a.create(id, fields{"data": fields{"key": "theirs", "other": "theirs"}})
	z.put(cm)
	if reason := z.rejection(cm.Key); reason != "" {
		t.Errorf("rejected for %q, want it adopted", reason)
	}
	data, _, _ := unstructured.NestedStringMap(a.mustGet(cm.Key).Object, "data")
	if data["key"] != "ours" || data["other"] != "theirs" {
		t.Errorf("data = %v, want our key and their other", data)
	}
}

// TestRejections shows what an API server refuses, and that it holds up nothing else.
func TestRejections(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	startAgent(t, shared, z, "rejections")
	good := configMap(t, "rejections", "good", "1")
	bad := map[string]*record.Record{
		"Invalid":       deployment(t, "rejections", "bad", "nginx", -1),
		reasonNamespace: configMap(t, "rejections-missing", "a", "1"),
		reasonKind: compiled(t, object.ID{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "rejections",
			Name: "a"}, "app", nil),
		reasonManifest: {Key: idOf("", "ConfigMap", "rejections", "other").Key(), Version: good.Version, Content: good.Content},
	}
	all := []*record.Record{namespaceRecord(t, "rejections"), good}
	for _, r := range bad {
		all = append(all, r)
	}
	z.put(all...)
	if reason := z.rejection(good.Key); reason != "" {
		t.Errorf("the good object was rejected for %q", reason)
	}
	for want, r := range bad {
		if got := z.rejection(r.Key); got != want {
			t.Errorf("%s: rejected for %q, want %q", r.Key, got, want)
		}
	}
	z.put(namespaceRecord(t, "rejections-missing"))
	missing := bad[reasonNamespace].Key
	eventually(t, "the object after its namespace came", func() bool { return z.rejection(missing) == "" })
	if _, err := newAdmin(t, shared).get(missing); err != nil {
		t.Error(err)
	}
	z.remove(bad["Invalid"].Key)
	if _, err := newAdmin(t, shared).get(bad["Invalid"].Key); !apierrors.IsNotFound(err) {
		t.Errorf("get = %v, want not found", err)
	}
}

// TestHandover gives up the replicas without scaling down in between.
func TestHandover(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "handover")
	three := deployment(t, "handover", "web", "nginx", 3)
	z.put(namespaceRecord(t, "handover"), three)
	replicas := func() int64 {
		n, _, _ := unstructured.NestedInt64(a.mustGet(three.Key).Object, "spec", "replicas")
		return n
	}
	id, _ := object.FromKey(three.Key)
	var none fields
	if err := json.Unmarshal(three.Content, &none); err != nil {
		t.Fatal(err)
	}
	delete(none["spec"].(fields), "replicas")
	autoscaled := compiled(t, id, "web", fields{"spec": none["spec"]})
	z.put(autoscaled)
	if got := replicas(); got != 3 {
		t.Errorf("replicas without ours = %d, want the 3 there were", got)
	}
	// As an autoscaler does.
	scale := []byte(`{"spec":{"replicas":5}}`)
	_, err := a.at(id).Patch(t.Context(), id.Name, types.MergePatchType, scale, metav1.PatchOptions{}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	none["spec"].(fields)["paused"] = true
	z.put(compiled(t, id, "web", fields{"spec": none["spec"]}))
	if got := replicas(); got != 5 {
		t.Errorf("replicas after the autoscaler = %d, want its 5", got)
	}
	two := deployment(t, "handover", "web", "nginx", 2)
	z.put(two)
	if got := replicas(); got != 2 {
		t.Errorf("replicas with ours again = %d, want 2", got)
	}
}
