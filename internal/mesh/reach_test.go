package mesh_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	security "istio.io/client-go/pkg/apis/security/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/policy"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestReachIsThePolicys holds what is compiled of a policy against policy.Decide: the proxies let in exactly the calls that
// it allows, the network lets in every caller that may make some call at a port, and none that may make no call at all.
func TestReachIsThePolicys(t *testing.T) {
	spec := cartSpec(func(s *v1alpha1.ApplicationSpec) {
		s.Ports = []v1alpha1.Port{{Name: "http", Port: 80, TargetPort: 8080}, {Name: "admin", Port: 81, TargetPort: 9090},
			{Name: "dns", Port: 80, TargetPort: 5353, Protocol: "UDP"}}
	})
	in := inputOf(meshed(), bound(1), decode(t, "shop", "cart", spec))
	namespaces, names := []string{"shop", "web", "ops"}, []string{"front", "admin"}
	rule := rapid.Custom(func(t *rapid.T) record.Rule {
		callers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record.Caller {
			return record.Caller{Namespace: rapid.SampledFrom(namespaces).Draw(t, "namespace"),
				Application: rapid.SampledFrom(append(names, "")).Draw(t, "application")}
		}), 0, 3).Draw(t, "callers")
		slices.SortFunc(callers, func(a, b record.Caller) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Application, b.Application))
		})
		return record.Rule{Policy: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "policy"), Index: rapid.Int32Range(0, 3).Draw(t, "index"),
			Callers: callers,
			Ports:   rapid.SliceOfN(rapid.SampledFrom([]int32{80, 81, 82}), 0, 2).Draw(t, "ports"),
			Methods: rapid.SliceOfN(rapid.SampledFrom([]string{"GET", "POST"}), 0, 2).Draw(t, "methods"),
			Paths:   rapid.SliceOfN(rapid.SampledFrom([]string{"/v1/*", "/", "*/health"}), 0, 2).Draw(t, "paths")}
	})
	rapid.Check(t, func(t *rapid.T) {
		in.Policy.Rules = rapid.SliceOfN(rule, 0, 4).Draw(t, "rules")
		in.Policy.IsolatedBy = rapid.SampledFrom([][]string{nil, {"strict"}}).Draw(t, "isolated by")
		meshed := rapid.Bool().Draw(t, "meshed")
		in.Cluster.Mesh.Dataplane = map[bool]string{true: "Sidecar", false: "None"}[meshed]
		objects, err := in.try()
		if err != nil {
			t.Fatal(err)
		}
		networks := kindsOf[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")
		without := networks[:1] // what holds for pods that have no proxy yet
		for _, namespace := range namespaces {
			for _, name := range names {
				caller := record.Caller{Namespace: namespace, Application: name}
				for _, port := range [][2]int32{{80, 8080}, {81, 9090}} {
					some := false
					for _, method := range []string{"GET", "POST", "PUT"} {
						for _, path := range []string{"/", "/v1/x", "/x/health"} {
							want := policy.Decide(in.Policy, policy.Call{Caller: caller, Port: port[0], Method: method, Path: path}).Allowed
							if meshed && proxyAllows(kindOf[security.AuthorizationPolicy](t, objects, "AuthorizationPolicy"), caller, port[1], method, path) != want {
								t.Fatalf("%v %s %d%s: the proxy says %t, the policy %t", caller, method, port[0], path, !want, want)
							}
							some = some || want
						}
					}
					always := policy.Decide(in.Policy, policy.Call{Caller: caller, Port: port[0], Opaque: true}).Allowed
					want := map[bool]bool{true: some, false: always}[meshed]
					if got := networkAllows(networks, caller, port[1], "TCP"); got != want {
						t.Fatalf("%v port %d: the network says %t, want %t", caller, port[0], got, want)
					}
					if got := networkAllows(without, caller, port[1], "TCP"); got != always {
						t.Fatalf("%v port %d: to pods without a proxy the network says %t, want %t", caller, port[0], got, always)
					}
				}
				want := policy.Decide(in.Policy, policy.Call{Caller: caller, Port: 80, Opaque: true}).Allowed
				if got := networkAllows(networks, caller, 5353, "UDP"); got != want {
					t.Fatalf("%v UDP: the network says %t, want %t", caller, got, want)
				}
			}
		}
	})
}

// kindOf reads the first object of a kind with the type of those who use it.
func kindOf[T any](t interface{ Fatalf(string, ...any) }, objects []mesh.Object, kind string) *T {
	all := kindsOf[T](t, objects, kind)
	if len(all) == 0 {
		t.Fatalf("no %s among %v", kind, kinds(objects))
	}
	return all[0]
}

// kindsOf reads all objects of a kind, in the order of their names.
func kindsOf[T any](t interface{ Fatalf(string, ...any) }, objects []mesh.Object, kind string) (all []*T) {
	for _, o := range objects {
		if o.ID.Kind == kind {
			out := new(T)
			if err := json.Unmarshal(o.Record.Content, out); err != nil {
				t.Fatalf("%s: %v", o.ID, err)
			}
			all = append(all, out)
		}
	}
	return all
}

// proxyAllows reads an AuthorizationPolicy as Istio does.
func proxyAllows(p *security.AuthorizationPolicy, caller record.Caller, port int32, method, path string) bool {
	matches := func(list []string, value string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(want string) bool {
			prefix, isPrefix := strings.CutSuffix(want, "*")
			suffix, isSuffix := strings.CutPrefix(want, "*")
			return want == value || isPrefix && strings.HasPrefix(value, prefix) || isSuffix && strings.HasSuffix(value, suffix)
		})
	}
	for _, rule := range p.Spec.Rules {
		from := len(rule.From) == 0
		for _, f := range rule.From {
			principal := fmt.Sprintf("prod.example/ns/%s/sa/%s", caller.Namespace, caller.Application)
			from = from || matches(f.Source.Principals, principal) && matches(f.Source.Namespaces, caller.Namespace)
		}
		to := len(rule.To) == 0
		for _, o := range rule.To {
			to = to || matches(o.Operation.Ports, strconv.Itoa(int(port))) && matches(o.Operation.Methods, method) && matches(o.Operation.Paths, path)
		}
		if from && to {
			return true
		}
	}
	return false
}

// networkAllows reads the NetworkPolicies of a pod as Kubernetes does: any of them lets in.
func networkAllows(policies []*networkingv1.NetworkPolicy, caller record.Caller, port int32, protocol string) bool {
	return slices.ContainsFunc(policies, func(p *networkingv1.NetworkPolicy) bool { return policyAllows(p, caller, port, protocol) })
}

func policyAllows(p *networkingv1.NetworkPolicy, caller record.Caller, port int32, protocol string) bool {
	picks := func(s *metav1.LabelSelector, set labels.Set) bool {
		selector, err := metav1.LabelSelectorAsSelector(s)
		return err == nil && selector.Matches(set)
	}
	pod := labels.Set{object.LabelApplication: caller.Application}
	for _, rule := range p.Spec.Ingress {
		from := len(rule.From) == 0
		for _, peer := range rule.From {
			inNamespace := caller.Namespace == p.Namespace
			if peer.NamespaceSelector != nil {
				inNamespace = picks(peer.NamespaceSelector, labels.Set{"kubernetes.io/metadata.name": caller.Namespace})
			}
			from = from || inNamespace && (peer.PodSelector == nil || picks(peer.PodSelector, pod))
		}
		to := len(rule.Ports) == 0
		for _, p := range rule.Ports {
			to = to || p.Port.IntVal == port && string(*p.Protocol) == protocol
		}
		if from && to {
			return true
		}
	}
	return false
}
