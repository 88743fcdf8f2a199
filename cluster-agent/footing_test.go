package clusteragent

import (
	"encoding/json"
	"log/slog"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// runningAs is a Deployment whose pods run as an account, or with kind CronJob one whose jobs' pods do.
func runningAs(t *testing.T, kind, namespace, name, account string) *record.Record {
	var body fields
	if err := json.Unmarshal(deployment(t, namespace, name, "nginx:1", 1).Content, &body); err != nil {
		t.Fatal(err)
	}
	spec := body["spec"].(fields)
	pod := spec["template"].(fields)["spec"].(fields)
	pod["serviceAccountName"] = account
	if kind == "Deployment" {
		return compiled(t, idOf("apps", kind, namespace, name), name, fields{"spec": spec})
	}
	pod["restartPolicy"] = "Never"
	return compiled(t, idOf("batch", kind, namespace, name), name, fields{"spec": fields{"schedule": "0 3 * * *",
		"jobTemplate": fields{"spec": fields{"template": spec["template"]}}}})
}

// TestFooting has a zone put workloads where somebody else has a namespace, and as an account that somebody else made, to
// which any rights may have been given.
func TestFooting(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "footing")
	account := func(namespace string, annotations ...string) *record.Record {
		return compiled(t, idOf("", "ServiceAccount", namespace, "issuer"), "issuer", nil, annotations...)
	}
	refused := func(t *testing.T, r *record.Record) {
		t.Helper()
		if got := z.rejection(r.Key); got != reasonForeign {
			t.Errorf("%s: rejected for %q, want %q", r.Key.Name, got, reasonForeign)
		}
		if _, err := a.get(r.Key); !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v, want it never applied", r.Key.Name, err)
		}
	}
	applied := func(t *testing.T, r *record.Record) {
		t.Helper()
		eventually(t, r.Key.Name+" after the obstacle went", func() bool { _, err := a.get(r.Key); return err == nil && z.rejection(r.Key) == "" })
	}

	t.Run("another's namespace", func(t *testing.T) {
		a.create(idOf("", "Namespace", "", "footing-theirs"), nil)
		app := []*record.Record{namespaceRecord(t, "footing-theirs"), account("footing-theirs"), runningAs(t, "Deployment", "footing-theirs", "issuer", "issuer")}
		z.put(app...)
		refused(t, app[2])
		z.put(compiled(t, idOf("", "Namespace", "", "footing-theirs"), "", nil, object.AnnotationAdopt))
		applied(t, app[2])
	})
	t.Run("another's account", func(t *testing.T) {
		z.put(namespaceRecord(t, "footing"))
		a.create(idOf("", "ServiceAccount", "footing", "issuer"), nil)
		theirs := account("footing")
		workloads := []*record.Record{runningAs(t, "Deployment", "footing", "issuer", "issuer"), runningAs(t, "CronJob", "footing", "nightly", "issuer")}
		z.put(append(workloads, theirs)...)
		if got := z.rejection(theirs.Key); got != reasonForeign {
			t.Errorf("the account was rejected for %q, want %q", got, reasonForeign)
		}
		for _, r := range workloads {
			refused(t, r)
		}
		a.delete(theirs.Key)
		for _, r := range workloads {
			applied(t, r)
		}
	})
	t.Run("an account that the zone never sent", func(t *testing.T) {
		a.create(idOf("", "ServiceAccount", "footing", "privileged"), nil)
		r := runningAs(t, "Deployment", "footing", "climber", "privileged")
		z.put(r)
		refused(t, r)
	})
}

// TestKindsThatGiveRights has a zone ask for what agents do not manage.
func TestKindsThatGiveRights(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	startAgent(t, shared, z, "rights")
	rbac := "rbac.authorization.k8s.io"
	all := []*record.Record{namespaceRecord(t, "rights")}
	for _, id := range []object.ID{idOf(rbac, "Role", "rights", "a"), idOf(rbac, "RoleBinding", "rights", "a"), idOf(rbac, "ClusterRole", "", "a"),
		idOf(rbac, "ClusterRoleBinding", "", "a"), idOf("", "Secret", "rights", "a"), idOf("", "Pod", "rights", "a"),
		idOf("apps", "DaemonSet", "rights", "a"), idOf("batch", "Job", "rights", "a"), idOf("", "Node", "", "a"),
		idOf("", "PersistentVolume", "", "a"), idOf("apiextensions.k8s.io", "CustomResourceDefinition", "", "a"),
		idOf("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "", "a"), idOf("networking.istio.io", "EnvoyFilter", "rights", "a")} {
		all = append(all, compiled(t, id, "a", nil))
	}
	before, err := shared.AuditWrites("")
	if err != nil {
		t.Fatal(err)
	}
	z.put(all...)
	for _, r := range all[1:] {
		if got := z.rejection(r.Key); got != reasonKind {
			t.Errorf("%s: rejected for %q, want %q", r.Key.Name, got, reasonKind)
		}
	}
	after, err := shared.AuditWrites("")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range after[len(before):].Without("leases", "namespaces", "serviceaccounts", "configmaps") {
		if w.Namespace == "rights" || w.Name == "a" {
			t.Errorf("%s tried to %s %s %s", w.User, w.Verb, w.Resource, w.Name)
		}
	}
}

// TestAccountOfManifest reads which account the pods of a manifest run as.
func TestAccountOfManifest(t *testing.T) {
	old := compiled(t, idOf("apps", "Deployment", "shop", "cart"), "cart",
		fields{"spec": fields{"template": fields{"spec": fields{"serviceAccount": "old"}}}})
	for name, tt := range map[string]struct {
		record *record.Record
		want   string
	}{
		"a Deployment":     {runningAs(t, "Deployment", "shop", "cart", "a"), "a"},
		"a CronJob":        {runningAs(t, "CronJob", "shop", "cart", "b"), "b"},
		"the old spelling": {old, "old"},
		"none":             {deployment(t, "shop", "cart", "nginx", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			id, _ := object.FromKey(tt.record.Key)
			m, err := parseManifest(id, tt.record.Version, tt.record.Content)
			if err != nil || m.account != tt.want {
				t.Errorf("account = %q, %v; want %q", m.account, err, tt.want)
			}
		})
	}
}

// TestFootingComes has what lacked a footing tried at once when that has come, and nothing else.
func TestFootingComes(t *testing.T) {
	account, namespace := idOf("", "ServiceAccount", "shop", "cart"), idOf("", "Namespace", "", "shop")
	deployment, config := idOf("apps", "Deployment", "shop", "cart"), idOf("", "ConfigMap", "shop", "cart")
	for name, tt := range map[string]struct {
		footing, other object.ID
		reason         string
		want           int // tried at once
	}{
		"an account, for a workload that lacked it":      {account, deployment, reasonForeign, 1},
		"an account, for a workload refused otherwise":   {account, deployment, "Invalid", 0},
		"an account, for what has none":                  {account, config, reasonForeign, 0},
		"a namespace, for all that is in it":             {namespace, config, reasonNamespace, 1},
		"something else, for a workload that lacks much": {config, deployment, reasonForeign, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(slog.New(slog.DiscardHandler))
			defer d.close()
			try := func(id object.ID, r result) {
				d.put(id, &record.Record{Key: id.Key(), Version: record.Version{1}}, func(*feed.Rejection) {})
				key, _ := d.next()
				work, ok := d.take(key)
				if !ok || work.id != id {
					t.Fatalf("took %v, want %v", work.id, id)
				}
				d.finish(work, r)
				d.release(key)
			}
			try(tt.other, result{err: refuse(tt.reason, "no")})
			try(tt.footing, result{seen: &sighting{label: true, self: true, manager: true}})
			if got := d.queue.Len(); got != tt.want {
				t.Errorf("%d are tried at once, want %d", got, tt.want)
			}
		})
	}
}
