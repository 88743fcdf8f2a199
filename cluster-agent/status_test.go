package clusteragent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

var (
	nodeResource        = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	serviceCIDRResource = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "servicecidrs"}
)

// statusOf is what the agent last reported of an application.
func (z *zone) statusOf(t testing.TB, namespace, name string) (record.Status, bool) {
	t.Helper()
	r, ok := z.reported(record.StatusKey(namespace, name))
	if !ok {
		return record.Status{}, false
	}
	s, err := record.DecodeStatus(*r)
	if err != nil {
		t.Fatal(err)
	}
	return s, true
}

// TestWholeCluster runs Deployments to Ready in a cluster with controllers and nodes, and without Istio.
func TestWholeCluster(t *testing.T) {
	c := localkube.ForTest(t, localkube.Config{Nodes: 2, AuditLog: true, ServiceCIDR: "10.98.0.0/16"})
	if err := installRole(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	whole, z := t, newZone(t)
	a := newAdmin(t, c)
	first := startAgent(t, c, z, "whole")
	app := application(t, "whole", "web")
	z.put(app...)
	web, sidecar := app[0], app[1]
	if got := z.rejection(sidecar.Key); got != reasonKind {
		t.Errorf("the Sidecar was rejected for %q, want %q", got, reasonKind)
	}

	ready := func(r *record.Record, n int32) func() bool {
		return func() bool {
			s, ok := z.statusOf(t, "whole", "web")
			if !ok || len(s.Workloads) != 1 {
				return false
			}
			w := s.Workloads[0]
			return w.Version == r.Version && w.Desired == n && w.Updated == n && w.Ready == n && !w.ReadyAt.IsZero()
		}
	}
	eventually(t, "one replica ready", ready(web, 1))
	eventually(t, "the cluster's health", func() bool {
		r, ok := z.reported(record.HealthKey("c"))
		if !ok {
			return false
		}
		h, err := record.DecodeHealth(*r)
		return err == nil && h.Nodes == 2 && h.KubernetesVersion != ""
	})

	t.Run("the ranges of pods and Services", func(t *testing.T) {
		ranges := func(pods, services []string) func() bool {
			return func() bool {
				r, ok := z.reported(record.HealthKey("c"))
				if !ok {
					return false
				}
				h, err := record.DecodeHealth(*r)
				return err == nil && slices.Equal(h.PodRanges, pods) && slices.Equal(h.ServiceRanges, services)
			}
		}
		eventually(t, "the Services' range, and none of pods", ranges(nil, []string{"10.98.0.0/16"}))
		list, err := a.Resource(nodeResource).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, node := range list.Items {
			cidrs := fmt.Sprintf(`{"spec":{"podCIDR":"10.77.%d.0/24","podCIDRs":["10.77.%d.0/24","fd00:77:0:%d::/64"]}}`, i, i, i)
			if _, err := a.Resource(nodeResource).Patch(t.Context(), node.GetName(), types.MergePatchType, []byte(cidrs),
				metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the nodes' ranges, as one of each family", ranges([]string{"10.77.0.0/23", "fd00:77::/63"}, []string{"10.98.0.0/16"}))
		extra := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
			"metadata": map[string]any{"name": "extra"}, "spec": map[string]any{"cidrs": []any{"10.99.0.0/16"}}}}
		if _, err := a.Resource(serviceCIDRResource).Create(t.Context(), extra, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a range more of Services", ranges([]string{"10.77.0.0/23", "fd00:77::/63"}, []string{"10.98.0.0/15"}))
	})

	t.Run("counts of an old generation are not reported for a new one", func(t *testing.T) {
		scaled := deployment(t, "whole", "web", "nginx:2", 3)
		z.put(scaled)
		s, ok := z.statusOf(t, "whole", "web")
		if !ok || len(s.Workloads) != 1 {
			t.Fatalf("status = %+v", s)
		}
		if w := s.Workloads[0]; w.Version == scaled.Version && w.Desired != 3 {
			t.Errorf("workload = %+v at the acknowledgement: old counts under the new version", w)
		}
		eventually(t, "three replicas ready", ready(scaled, 3))
		web = scaled
	})

	t.Run("definitions come later", func(t *testing.T) {
		if err := c.InstallIstioCRDs(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the Sidecar", func() bool { return z.rejection(sidecar.Key) == "" })
	})

	t.Run("endpoints are counted where the Service asks for it", func(t *testing.T) {
		located := func() (n int32, ok bool) {
			r, ok := z.reported(record.LocationKey("whole", "web", "c", ""))
			if !ok {
				return 0, false
			}
			l, err := record.DecodeLocation(*r)
			if err != nil {
				t.Fatal(err)
			}
			return l.Total(), true
		}
		label := func(value string) {
			a.edit(app[2].Key, func(u *unstructured.Unstructured) {
				labels := u.GetLabels()
				labels[object.LabelLocate] = value
				if value == "" {
					delete(labels, object.LabelLocate)
				}
				u.SetLabels(labels)
			})
		}
		if n, ok := located(); ok {
			t.Errorf("%d endpoints are told of and nobody asked", n)
		}
		label(locateCounts)
		eventually(t, "three endpoints", func() bool { n, ok := located(); return ok && n == 3 })
		label("")
		eventually(t, "nobody asks", func() bool { _, ok := located(); return !ok })
	})

	t.Run("a question", func(t *testing.T) {
		id, _ := object.FromKey(web.Key)
		before := a.mustGet(web.Key).GetGeneration()
		n := z.ask(t, question.KindApplication, `{"namespace":"whole","name":"web"}`)
		if n.Application == nil || n.Application.Ready != 3 || n.Application.Converged != 1 || len(n.Application.Objects) != 5 {
			t.Errorf("the answer about %s is %+v, want 3 ready, converged, and 5 objects", id.Short(), n.Application)
		}
		if got := a.mustGet(web.Key).GetGeneration(); got != before {
			t.Errorf("generation %d, want %d", got, before)
		}
	})

	t.Run("a restart", func(t *testing.T) {
		at := func() time.Time { s, _ := z.statusOf(t, "whole", "web"); return s.Workloads[0].ReadyAt }
		was, before := at(), len(agentWrites(t, c, 0))
		first.stop()
		startAgent(whole, c, z, "whole").settle()
		eventually(t, "three replicas ready", ready(web, 3))
		if writes := agentWrites(t, c, before); len(writes) != 0 {
			t.Errorf("writes %v after a restart, want none", resources(writes))
		}
		if d := at().Sub(was).Abs(); d > 30*time.Second {
			t.Errorf("ready at %s, was at %s: want about the same", at(), was)
		}
	})

	t.Run("removal", func(t *testing.T) {
		z.remove(keysOf(app)...)
		eventually(t, "the end of the status", func() bool { _, ok := z.statusOf(t, "whole", "web"); return !ok })
		eventually(t, "the end of the namespace", func() bool { _, err := a.get(app[5].Key); return err != nil })
	})
}
