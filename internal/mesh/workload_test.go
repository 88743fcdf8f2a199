package mesh_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	security "istio.io/client-go/pkg/apis/security/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// withGateway is a cluster on network blue that others reach.
func withGateway() record.Cluster {
	c := meshed()
	c.Network, c.PodRanges = "blue", []string{"10.1.0.0/16"}
	c.Mesh.Gateway = record.Gateway{Addresses: []string{"192.0.2.1"}, Namespace: "gateways", Selector: map[string]string{"istio": "eastwest"}}
	return c
}

func TestExportTo(t *testing.T) {
	for name, c := range map[string]struct {
		edit     func(*record.Cluster)
		audience record.Audience
		want     string
	}{
		"nobody":                {audience: record.Audience{}, want: "."},
		"own namespace":         {audience: record.Audience{Namespaces: []string{"shop"}, Networks: []string{"blue"}}, want: "."},
		"others":                {audience: record.Audience{Namespaces: []string{"web", "shop", "ops", "web"}}, want: ".,ops,web"},
		"another network":       {audience: record.Audience{Namespaces: []string{"web"}, Networks: []string{"blue", "green"}}, want: ".,gateways,web"},
		"everyone":              {audience: record.Audience{Everyone: true}, want: "*"},
		"everyone, everywhere":  {audience: record.Audience{Everyone: true, Networks: []string{"green"}}, want: "*"},
		"gateway calls too":     {audience: record.Audience{Namespaces: []string{"gateways"}, Networks: []string{"green"}}, want: ".,gateways"},
		"gateway of no address": {func(c *record.Cluster) { c.Mesh.Gateway.Addresses = nil }, record.Audience{Networks: []string{"green"}}, "."},
		"gateway in the same":   {func(c *record.Cluster) { c.Mesh.Gateway.Namespace = "shop" }, record.Audience{Networks: []string{"green"}}, "."},
		"no mesh":               {func(c *record.Cluster) { c.Mesh.Dataplane = "None" }, record.Audience{Networks: []string{"green"}}, "."},
	} {
		t.Run(name, func(t *testing.T) {
			in := inputOf(withGateway(), bound(1), decode(t, "shop", "cart", cartSpec()))
			in.Audience = c.audience
			if c.edit != nil {
				c.edit(&in.Cluster)
			}
			service := find(t, in.compile(t), "Service")
			if got := annotation(t, service, "networking.istio.io/exportTo"); got != c.want {
				t.Errorf("exportTo %q, want %q", got, c.want)
			}
		})
	}
}

func annotation(t *testing.T, o mesh.Object, key string) string {
	t.Helper()
	live := kindOf[struct {
		Metadata struct{ Annotations map[string]string }
	}](t, []mesh.Object{o}, o.ID.Kind)
	return live.Metadata.Annotations[key]
}

// TestStubBecomesReal: the Service of an application that is called only is the one that it has where it runs.
func TestStubBecomesReal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spec := cartSpec(func(s *v1alpha1.ApplicationSpec) {
			s.Ports = nil
			for i := range rapid.IntRange(1, 4).Draw(rt, "ports") {
				s.Ports = append(s.Ports, v1alpha1.Port{Name: fmt.Sprintf("p-%d", i), Port: int32(80 + i), TargetPort: rapid.Int32Range(0, 9).Draw(rt, "target")})
			}
			s.Ports[0].AppProtocol = rapid.SampledFrom([]string{"", "grpc"}).Draw(rt, "protocol")
		})
		in := inputOf(withGateway(), bound(1), decode(t, "shop", "cart", spec))
		in.Audience = record.Audience{Namespaces: rapid.SliceOf(rapid.SampledFrom([]string{"shop", "web", "ops"})).Draw(rt, "namespaces"),
			Everyone: rapid.Bool().Draw(rt, "everyone"), Networks: rapid.SampledFrom([][]string{{"blue"}, {"blue", "green"}}).Draw(rt, "networks")}
		service := record.Service{Namespace: "shop", Application: "cart", ServiceAccount: "cart"}
		for _, p := range spec.Ports {
			port := tcpPort(p.Name, p.Port)
			port.AppProtocol = p.AppProtocol
			if p.TargetPort != 0 {
				port.TargetPort = p.TargetPort
			}
			service.Ports = append(service.Ports, port)
		}
		stub, err := mesh.Stub(mesh.StubInput{Cluster: in.Cluster, Service: service, Audience: in.Audience})
		if err != nil || len(stub) != 1 {
			rt.Fatalf("got %v, %v, want a Service", idsOf(stub), err)
		}
		if diff := cmp.Diff(find(t, in.compile(t), "Service"), stub[0]); diff != "" {
			rt.Fatalf("(-real +stub):\n%s", diff)
		}
	})
}

func TestStubOfNothing(t *testing.T) {
	plain := withGateway()
	plain.Mesh.Dataplane = "None"
	cart := record.Service{Namespace: "shop", Application: "cart", Ports: []record.Port{tcpPort("http", 80)}}
	for name, in := range map[string]mesh.StubInput{
		"no mesh":  {Cluster: plain, Service: cart},
		"no ports": {Cluster: withGateway(), Service: record.Service{Namespace: "shop", Application: "cart"}},
	} {
		if got, err := mesh.Stub(in); err != nil || got != nil {
			t.Errorf("%s: got %v, %v, want nothing", name, idsOf(got), err)
		}
	}
	cart.Ports[0].Name = "HTTP"
	if got, err := mesh.Stub(mesh.StubInput{Cluster: withGateway(), Service: cart}); err == nil {
		t.Errorf("got %v of a port that cannot be, want an error", idsOf(got))
	}
}

// TestNobodyMayCall: where no rule holds, the policies are there and let nobody in.
func TestNobodyMayCall(t *testing.T) {
	for name, rules := range map[string][]record.Rule{
		"no rules":        nil,
		"no callers":      {{Policy: "a"}},
		"ports of others": {{Policy: "a", Callers: []record.Caller{{Namespace: "web"}}, Ports: []int32{8080}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := inputOf(meshed(), bound(1), decode(t, "shop", "cart", cartSpec()))
			in.Policy.Rules, in.Policy.IsolatedBy = rules, []string{"strict"}
			p := kindOf[security.AuthorizationPolicy](t, in.compile(t), "AuthorizationPolicy")
			if len(p.Spec.Rules) > 0 || p.Spec.Action.String() != "ALLOW" || p.Spec.Selector.MatchLabels["meridian.dev/application"] != "cart" {
				t.Errorf("the proxies' policy is %v, want one that allows nothing", &p.Spec)
			}
			in.Cluster.Mesh.Dataplane = "None"
			n := kindOf[networkingv1.NetworkPolicy](t, in.compile(t), "NetworkPolicy")
			want := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
			if len(n.Spec.Ingress) > 0 || !slices.Equal(n.Spec.PolicyTypes, want) {
				t.Errorf("the network's policy is %v, want one that lets nothing in", n.Spec)
			}
		})
	}
}

// TestPodsWithoutProxy holds the policy of pods to which the mesh gives no proxy against that of a cluster without a mesh:
// nobody would look at requests or at who sends them.
func TestPodsWithoutProxy(t *testing.T) {
	inject := func(value string) map[string]string { return map[string]string{"sidecar.istio.io/inject": value} }
	for name, c := range map[string]struct {
		edit    func(*v1alpha1.ApplicationSpec)
		proxied bool
		label   string
	}{
		"nothing said":     {func(*v1alpha1.ApplicationSpec) {}, true, "true"},
		"label":            {func(s *v1alpha1.ApplicationSpec) { s.Template.Labels = inject("true") }, true, "true"},
		"label, none":      {func(s *v1alpha1.ApplicationSpec) { s.Template.Labels = inject("false") }, false, "false"},
		"label, empty":     {func(s *v1alpha1.ApplicationSpec) { s.Template.Labels = inject("") }, false, ""},
		"annotation":       {func(s *v1alpha1.ApplicationSpec) { s.Template.Annotations = inject("true") }, true, "true"},
		"annotation, none": {func(s *v1alpha1.ApplicationSpec) { s.Template.Annotations = inject("false") }, false, ""},
		"label and annotation": {func(s *v1alpha1.ApplicationSpec) {
			s.Template.Labels, s.Template.Annotations = inject("true"), inject("false")
		}, true, "true"},
		"host's network": {func(s *v1alpha1.ApplicationSpec) { s.Template.Spec.HostNetwork = true }, false, ""},
		"host's, and label": {func(s *v1alpha1.ApplicationSpec) {
			s.Template.Spec.HostNetwork, s.Template.Labels = true, inject("true")
		}, false, "true"},
	} {
		t.Run(name, func(t *testing.T) {
			in := inputOf(withGateway(), bound(1), decode(t, "shop", "cart", cartSpec(c.edit)))
			in.Audience.Networks = []string{"blue", "green"}
			in.Policy.Rules = []record.Rule{{Policy: "a", Callers: []record.Caller{{Namespace: "web"}}, Methods: []string{"GET"}}}
			ingress := func() []networkingv1.NetworkPolicyIngressRule {
				return kindOf[networkingv1.NetworkPolicy](t, in.compile(t), "NetworkPolicy").Spec.Ingress
			}
			got := ingress()
			all := kindsOf[networkingv1.NetworkPolicy](t, in.compile(t), "NetworkPolicy")
			if want := map[bool]int{true: 2, false: 1}[c.proxied]; len(all) != want {
				t.Fatalf("there are %d NetworkPolicies, want %d", len(all), want)
			}
			if pods := all[len(all)-1].Spec.PodSelector.MatchLabels; c.proxied && pods["sidecar.istio.io/inject"] != "true" {
				t.Errorf("what only a proxy can judge is let in to the pods %v, want those with a proxy alone", pods)
			}
			deployment := kindOf[appsv1.Deployment](t, in.compile(t), "Deployment")
			if label := deployment.Spec.Template.Labels["sidecar.istio.io/inject"]; label != c.label {
				t.Errorf("the pods' label is %q, want %q", label, c.label)
			}
			in.Cluster.Mesh.Dataplane = "None"
			if same := cmp.Equal(ingress(), got); same == c.proxied {
				t.Errorf("what is let in is that of a cluster without a mesh: %t, want %t: %v", same, !c.proxied, got)
			}
		})
	}
}

// TestWayToIstiod opens what is known of where a proxy's configuration comes from.
func TestWayToIstiod(t *testing.T) {
	for name, c := range map[string]struct {
		primary string
		istiod  []string
		want    []string
	}{
		"its own":                   {istiod: []string{"198.51.100.7"}, want: []string{"namespace istio-system"}},
		"another cluster's":         {primary: "west-a-2", istiod: []string{"198.51.100.7"}, want: []string{"10.1.0.0/16", "198.51.100.7/32"}},
		"another's, address wrong":  {primary: "west-a-2", istiod: []string{"gateway"}, want: []string{"anywhere"}},
		"another's, no address yet": {primary: "west-a-2", want: []string{"anywhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := cart(t)
			in.Cluster.Mesh.Primary, in.Istiod, in.Cluster.PodRanges = c.primary, c.istiod, []string{"10.1.0.0/16"}
			objects, err := mesh.Workload(in.WorkloadInput)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, rule := range kindOf[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy").Spec.Egress {
				if len(rule.Ports) != 1 || rule.Ports[0].Port.IntVal != 15012 {
					continue
				}
				if len(rule.To) == 0 {
					got = append(got, "anywhere")
				}
				for _, to := range rule.To {
					if to.IPBlock != nil {
						got = append(got, to.IPBlock.CIDR)
					} else {
						got = append(got, "namespace "+to.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("istiod is reached at %q, want %q", got, c.want)
			}
		})
	}
}

// TestWayToGateways opens the addresses that are a host's, whatever else places say of themselves.
func TestWayToGateways(t *testing.T) {
	in := cart(t)
	in.Remotes = []record.Place{{Cluster: "east-a-1", Network: "green", Gateways: []string{"gw.example.com", "198.51.100.2", "0.0.0.0"}},
		{Cluster: "north-a-1", Network: "red", Gateways: []string{"224.0.0.1", "198.51.100.1"}}}
	var got []string
	for _, rule := range kindOf[networkingv1.NetworkPolicy](t, in.compile(t), "NetworkPolicy").Spec.Egress {
		for _, peer := range rule.To {
			if peer.IPBlock != nil {
				got = append(got, peer.IPBlock.CIDR)
			}
		}
	}
	if want := []string{"198.51.100.1/32", "198.51.100.2/32"}; !slices.Equal(got, want) {
		t.Errorf("the blocks are %v, want %v", got, want)
	}
}

func TestWorkloadRefuses(t *testing.T) {
	rules := func(n int) []record.Rule {
		var out []record.Rule
		for i := range n {
			out = append(out, record.Rule{Policy: "a", Index: int32(i), Callers: []record.Caller{{Namespace: "web"}}})
		}
		return out
	}
	rule := func(r record.Rule) func(*input) {
		return func(in *input) { in.Policy.Rules = []record.Rule{r} }
	}
	web := []record.Caller{{Namespace: "web", Application: "front"}}
	for name, c := range map[string]struct {
		edit func(*input)
		want string
	}{
		"no policy":          {func(in *input) { in.Policy = record.Policy{} }, "the policy is of /"},
		"another's policy":   {func(in *input) { in.Policy.Application = "user" }, "the policy is of shop/user"},
		"no trust domain":    {func(in *input) { in.Policy.TrustDomain, in.Policy.Rules = "", []record.Rule{{Callers: web}} }, `policy: trustDomain: "" is not a DNS name`},
		"any trust domain":   {func(in *input) { in.Policy.TrustDomain, in.Policy.Rules = "*", []record.Rule{{Callers: web}} }, `policy: trustDomain: "*" is not`},
		"any namespace":      {rule(record.Rule{Policy: "p", Index: 2, Callers: []record.Caller{{Namespace: "*"}}}), `AccessPolicy p, rules[2]: callers[0].namespace: "*" is not`},
		"no namespace":       {rule(record.Rule{Callers: []record.Caller{{Application: "front"}}}), `callers[0].namespace: "" is not`},
		"any application":    {rule(record.Rule{Callers: []record.Caller{{Namespace: "web", Application: "*"}}}), `callers[0].application: "*" is not`},
		"any method":         {rule(record.Rule{Callers: web, Methods: []string{"GET", "*"}}), `methods[1]: "*" is not an HTTP method`},
		"any path":           {rule(record.Rule{Callers: web, Paths: []string{"*"}}), `paths[0]: "*" is not a path`},
		"star in a path":     {rule(record.Rule{Callers: web, Paths: []string{"/a/*/b"}}), `paths[0]: "/a/*/b" is not a path`},
		"template of a path": {rule(record.Rule{Callers: web, Paths: []string{"/a/{**}"}}), `paths[0]: "/a/{**}" is not a path`},
		"too many rules":     {func(in *input) { in.Policy.Rules = rules(512) }, "policy: 513 rules, more than the 512"},
		"audience":           {func(in *input) { in.Audience.Namespaces = []string{"a,*"} }, `namespaces[0]: "a,*" is not a DNS label`},
		"gateway's namespace": {func(in *input) {
			in.Cluster, in.Audience.Networks = withGateway(), []string{"green"}
			in.Cluster.Mesh.Gateway.Namespace = "*"
		}, `cluster west-a-1: mesh.gateway.namespace: "*" is not`},
		"gateway's pods": {func(in *input) {
			in.Cluster, in.Audience.Networks = withGateway(), []string{"green"}
			in.Cluster.Mesh.Gateway.Selector = nil
		}, "mesh.gateway.selector: it is empty"},
		"pod ranges": {func(in *input) {
			in.Cluster, in.Audience.Networks = withGateway(), []string{"blue"}
			in.Cluster.PodRanges = []string{"10.1.0.0/16", "10.2.0.0"}
		}, `podRanges[1]: "10.2.0.0" is not a CIDR`},
		"locate": {func(in *input) { in.Locate = "all" }, `locate: "all" is neither`},
		"dependency's port": {func(in *input) {
			in.Services = []record.Service{{Namespace: "shop", Application: "cache", Ports: []record.Port{{Name: "tcp", Port: 1, TargetPort: 1}}}}
		}, `service shop/cache: ports[0].protocol: "" is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			in := cart(t)
			c.edit(in)
			objects, err := in.try()
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "compiling shop/cart: ") {
				t.Fatalf("got %v, %v, want an error with %q", idsOf(objects), err, c.want)
			}
		})
	}
	in := cart(t)
	in.Policy.Rules = rules(511)
	if got := kindOf[security.AuthorizationPolicy](t, in.compile(t), "AuthorizationPolicy"); len(got.Spec.Rules) != 512 {
		t.Errorf("%d rules, want 512", len(got.Spec.Rules))
	}
}

func TestGateway(t *testing.T) {
	for name, c := range map[string]struct {
		edit     func(*record.Cluster)
		exported []string
		part     string
		want     []string
		err      string
	}{
		"two":          {exported: []string{"shop/cart", "pay/api-13", "shop/cart"}, want: []string{"api-13.pay.svc.cluster.local", "cart.shop.svc.cluster.local"}},
		"none":         {},
		"no addresses": {edit: func(c *record.Cluster) { c.Mesh.Gateway.Addresses = nil }, exported: []string{"shop/cart"}},
		"no mesh":      {edit: func(c *record.Cluster) { c.Mesh.Dataplane = "None" }, exported: []string{"shop/cart"}},
		"all":          {exported: []string{"shop/*"}, err: `exported application "shop/*" is not NAMESPACE/APPLICATION`},
		"no selector":  {edit: func(c *record.Cluster) { c.Mesh.Gateway.Selector = nil }, exported: []string{"shop/cart"}, err: "selector: it is empty"},
		"no namespace": {edit: func(c *record.Cluster) { c.Mesh.Gateway.Namespace = "" }, exported: []string{"shop/cart"}, err: `namespace: "" is not`},
		"another part": {exported: []string{"shop/cart"}, part: "-", err: `exported application shop/cart belongs to part`},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := withGateway()
			if c.edit != nil {
				c.edit(&cluster)
			}
			part := mesh.GatewayPart("shop/cart")
			if c.part != "" {
				part = c.part
			}
			objects, err := mesh.Gateway(mesh.GatewayInput{Cluster: cluster, Part: part, Exported: c.exported})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if len(objects) > 0 {
				server := kindOf[networking.Gateway](t, objects, "Gateway").Spec.Servers[0]
				got = server.Hosts
				if server.Port.Number != 15443 || server.Tls.Mode.String() != "AUTO_PASSTHROUGH" {
					t.Errorf("the server is %v, want port 15443 and AUTO_PASSTHROUGH", server)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnyOrder has every list of an input in another order: the bytes are the same.
func TestAnyOrder(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name(), func(t *testing.T) {
			in, _ := g.input(t)
			want := g.compileInput(t, in)
			rapid.Check(t, func(rt *rapid.T) {
				in, _ := g.input(t)
				permute(rt, &in.Services)
				permute(rt, &in.Remotes)
				permute(rt, &in.Policy.Rules)
				for i := range in.Policy.Rules {
					permute(rt, &in.Policy.Rules[i].Callers)
					permute(rt, &in.Policy.Rules[i].Methods, &in.Policy.Rules[i].Paths, &in.Binding.Dependencies)
				}
				permute(rt, &in.Audience.Namespaces, &in.Audience.Networks, &in.Audience.Zones, &in.Cluster.PodRanges,
					&in.Cluster.Mesh.PlatformHosts, &in.exported)
				for i := range in.Remotes {
					permute(rt, &in.Remotes[i].Gateways)
				}
				if diff := cmp.Diff(want, g.compileInput(t, in)); diff != "" {
					rt.Fatalf("in another order (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func permute[T any](t *rapid.T, lists ...*[]T) {
	for _, list := range lists {
		*list = rapid.Permutation(*list).Draw(t, "order")
	}
}
