package mesh_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// db is a database outside the mesh, with an address and two endpoints; edits change it before it is returned.
func db(edits ...func(*record.Service)) record.Service {
	s := record.Service{Namespace: "payments", Application: record.ExternalName("db"), Environment: "prod",
		Ports: []record.Port{{Name: "mysql", Port: 3306, TargetPort: 13306, Protocol: "TCP", AppProtocol: "mysql"}},
		External: &record.External{Hosts: []string{"db.example.com"}, Address: "10.9.0.7",
			Endpoints: []record.ExternalEndpoint{{Address: "192.0.2.11"}, {Address: "192.0.2.12"}}}}
	for _, edit := range edits {
		edit(&s)
	}
	return s
}

func external(t *testing.T, cluster record.Cluster, s record.Service) ([]mesh.Object, []record.Problem) {
	t.Helper()
	objects, problems, err := mesh.External(mesh.ExternalInput{Cluster: cluster, Service: s, Audience: audienceOf(s, "shop", "web")})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		for _, wrong := range violations(t, o) {
			t.Errorf("%s: %s", o.ID.Short(), wrong)
		}
	}
	return objects, problems
}

func audienceOf(s record.Service, namespaces ...string) record.Audience {
	return record.Audience{Namespace: s.Namespace, Application: s.Application, Namespaces: namespaces}
}

// TestExternalWaitsForAddress: a port that does not tell hosts apart is called once there is an address, others before.
func TestExternalWaitsForAddress(t *testing.T) {
	pending := db(func(s *record.Service) { s.External.Address = "" })
	objects, problems := external(t, meshed(), pending)
	if len(objects) != 0 || len(problems) != 1 || problems[0].Reason != mesh.ReasonAddressPending ||
		problems[0].Object != "ExternalService payments/db" || !strings.Contains(problems[0].Message, "port mysql") {
		t.Errorf("without an address: %v, problems %+v; want no object, and one problem that names the port", idsOf(objects), problems)
	}
	pending.Ports = append(pending.Ports, record.Port{Name: "admin", Port: 80, TargetPort: 80, Protocol: "TCP", AppProtocol: "http"})
	objects, problems = external(t, meshed(), pending)
	if got := portsOf(t, find(t, objects, "ServiceEntry")); !slices.Equal(got, []string{"admin"}) || len(problems) != 1 {
		t.Errorf("with another port: called at %v, problems %+v; want admin alone, and one problem", got, problems)
	}
	pending.External.Address = "10.9.0.7"
	objects, problems = external(t, meshed(), pending)
	if got := portsOf(t, find(t, objects, "ServiceEntry")); !slices.Equal(got, []string{"mysql", "admin"}) || len(problems) != 0 {
		t.Errorf("with an address: called at %v, problems %+v; want both ports and no problem", got, problems)
	}
}

func portsOf(t *testing.T, o mesh.Object) []string {
	t.Helper()
	var out []string
	for _, p := range strictly[networking.ServiceEntry](t, o).Spec.Ports {
		out = append(out, p.Name)
	}
	return out
}

// TestExternalWithoutMesh: there is nothing for an istiod, and the network lets callers out all the same, at every port where
// it listens.
func TestExternalWithoutMesh(t *testing.T) {
	plain := meshed()
	plain.Mesh.Dataplane = "None"
	pending := db(func(s *record.Service) { s.External.Address = "" })
	if objects, problems := external(t, plain, pending); len(objects)+len(problems) > 0 {
		t.Errorf("got %v and problems %+v, want nothing", idsOf(objects), problems)
	}
	in := caller(t, pending)
	if got := egressTo(t, in, 13306); len(got) != 0 {
		t.Errorf("with a mesh, before there is an address, the network lets out to %v, want nothing", got)
	}
	in.Cluster = plain
	if diff := cmp.Diff([]string{"192.0.2.11/32", "192.0.2.12/32"}, egressTo(t, in, 13306)); diff != "" {
		t.Errorf("without a mesh the network lets out to (-want +got):\n%s", diff)
	}
}

// caller depends on an ExternalService.
func caller(t *testing.T, s record.Service) *input {
	t.Helper()
	in := cart(t)
	in.Binding.Dependencies = []string{record.ServiceName(s.Namespace, s.Application)}
	in.Services = []record.Service{s}
	return in
}

// egressTo are the blocks that a NetworkPolicy lets out to at a port, each with its exceptions.
func egressTo(t *testing.T, in *input, port int32) []string {
	t.Helper()
	var out []string
	for _, rule := range strictly[networkingv1.NetworkPolicy](t, find(t, in.compile(t), "NetworkPolicy")).Spec.Egress {
		for _, p := range rule.Ports {
			if p.Port.IntVal != port {
				continue
			}
			for _, to := range rule.To {
				out = append(out, strings.Join(append([]string{to.IPBlock.CIDR}, to.IPBlock.Except...), " but "))
			}
		}
	}
	return out
}

// TestExternalByDNS lets callers out to everywhere but the pods, whose policies are their own, and the machine's own services.
func TestExternalByDNS(t *testing.T) {
	in := caller(t, db(func(s *record.Service) { s.External.Endpoints = nil }))
	if diff := cmp.Diff([]string{"0.0.0.0/0 but 169.254.0.0/16", "::/0 but fe80::/10"}, egressTo(t, in, 13306)); diff != "" {
		t.Errorf("pods not known (-want +got):\n%s", diff)
	}
	in.Cluster.PodRanges = []string{"10.2.0.0/16", "fd00::/48", "10.1.0.0/16"}
	if diff := cmp.Diff([]string{"0.0.0.0/0 but 169.254.0.0/16 but 10.1.0.0/16 but 10.2.0.0/16", "::/0 but fe80::/10 but fd00::/48"}, egressTo(t, in, 13306)); diff != "" {
		t.Errorf("pods known (-want +got):\n%s", diff)
	}
	in.Cluster.PodRanges = []string{"0.0.0.0/0"} // nothing is smaller than everything
	if diff := cmp.Diff([]string{"0.0.0.0/0 but 169.254.0.0/16", "::/0 but fe80::/10"}, egressTo(t, in, 13306)); diff != "" {
		t.Errorf("pods everywhere (-want +got):\n%s", diff)
	}
}

// TestExternalTLS: each caller's own rule has its credential; that of the ExternalService's namespace begins TLS without, so
// that nobody who has no rule of its own sends in the clear.
func TestExternalTLS(t *testing.T) {
	tests := map[string]struct {
		tls            *record.ExternalTLS
		shared, caller *api.ClientTLSSettings
	}{
		"none": {},
		"simple": {tls: &record.ExternalTLS{},
			shared: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_SIMPLE, Sni: "db.example.com", SubjectAltNames: []string{"db.example.com"}}},
		"named": {tls: &record.ExternalTLS{SNI: "a.example", SubjectAltNames: []string{"c", "b", "c"}},
			shared: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_SIMPLE, Sni: "a.example", SubjectAltNames: []string{"b", "c"}}},
		"an authority of one's own": {tls: &record.ExternalTLS{CredentialName: "ca"},
			shared: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_SIMPLE, Sni: "db.example.com", SubjectAltNames: []string{"db.example.com"}},
			caller: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_SIMPLE, Sni: "db.example.com", SubjectAltNames: []string{"db.example.com"},
				CredentialName: "ca"}},
		"mutual": {tls: &record.ExternalTLS{Mutual: true, CredentialName: "client"},
			shared: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_SIMPLE, Sni: "db.example.com", SubjectAltNames: []string{"db.example.com"}},
			caller: &api.ClientTLSSettings{Mode: api.ClientTLSSettings_MUTUAL, Sni: "db.example.com", SubjectAltNames: []string{"db.example.com"},
				CredentialName: "client"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := db(func(s *record.Service) {
				s.External.TLS = tt.tls
				s.Ports = append(s.Ports, record.Port{Name: "own", Port: 443, TargetPort: 443, Protocol: "TCP", AppProtocol: "tls"})
			})
			shared, _ := external(t, meshed(), s)
			holdTLS(t, "payments", shared, tt.shared)
			own := caller(t, s).compile(t)
			for _, o := range own {
				for _, wrong := range violations(t, o) {
					t.Errorf("%s: %s", o.ID.Short(), wrong)
				}
			}
			holdTLS(t, "shop", own, tt.caller)
		})
	}
}

// holdTLS holds the one DestinationRule of a namespace to what its plain port should have, nil being no rule.
func holdTLS(t *testing.T, namespace string, objects []mesh.Object, want *api.ClientTLSSettings) {
	t.Helper()
	var rules []mesh.Object
	for _, o := range objects {
		if o.ID.Kind == "DestinationRule" {
			rules = append(rules, o)
		}
	}
	if want == nil {
		if len(rules) > 0 {
			t.Errorf("there are %v, want no rule", idsOf(rules))
		}
		return
	}
	if len(rules) != 1 || rules[0].ID.Namespace != namespace {
		t.Fatalf("there are %v, want one rule in %s", idsOf(rules), namespace)
	}
	ports := strictly[networking.DestinationRule](t, rules[0]).Spec.TrafficPolicy.PortLevelSettings
	if len(ports) != 1 || ports[0].Port.Number != 3306 || ports[0].Tls.String() != want.String() {
		t.Errorf("in %s the ports have %v, want 3306 alone with %v", namespace, ports, want)
	}
}

// TestExternalInvalid: what cannot be compiled is an error of the ExternalService alone; its callers are compiled without it.
func TestExternalInvalid(t *testing.T) {
	port := func(edit func(*record.Port)) func(*record.Service) {
		return func(s *record.Service) { s.Ports = slices.Clone(s.Ports); edit(&s.Ports[0]) }
	}
	hosts := func(list ...string) func(*record.Service) { return func(s *record.Service) { s.External.Hosts = list } }
	tls := func(v record.ExternalTLS) func(*record.Service) {
		return func(s *record.Service) { s.External.TLS = &v }
	}
	at := func(v record.ExternalEndpoint) func(*record.Service) {
		return func(s *record.Service) { s.External.Endpoints = []record.ExternalEndpoint{v} }
	}
	for name, tt := range map[string]struct {
		edit func(*record.Service)
		want string
	}{
		"no record of where":   {func(s *record.Service) { s.External = nil }, "does not say where"},
		"an application's":     {func(s *record.Service) { s.Application = "db" }, "not named as"},
		"namespace":            {func(s *record.Service) { s.Namespace = "Payments" }, "not named as"},
		"no host":              {hosts(), "hosts: 0"},
		"17 hosts":             {hosts(slices.Repeat([]string{"a.example"}, 17)...), "hosts: 17"},
		"a wildcard":           {hosts("*.example.com"), "hosts[0]"},
		"an address as host":   {hosts("192.0.2.1"), "hosts[0]"},
		"one label":            {hosts("db"), "hosts[0]"},
		"a cluster's host":     {hosts("cart.shop.svc.cluster.local"), "outside the mesh"},
		"a Service":            {hosts("cart.shop.svc"), "outside the mesh"},
		"a set of clusters'":   {hosts("cart.shop.svc.clusterset.local"), "outside the mesh"},
		"a number at the end":  {hosts("db.10"), "hosts[0]: \"db.10\" ends with a label that is a number"},
		"numbers alone":        {hosts("1.2.3"), "hosts[0]"},
		"hosts of one port":    {hosts("a.example", "b.example"), "tell 2 hosts apart"},
		"no port":              {func(s *record.Service) { s.Ports = nil }, "ports: 0"},
		"UDP":                  {port(func(p *record.Port) { p.Protocol = "UDP" }), "ports[0].protocol"},
		"unknown protocol":     {port(func(p *record.Port) { p.AppProtocol = "kafka" }), "ports[0].appProtocol"},
		"no target":            {port(func(p *record.Port) { p.TargetPort = 0 }), "ports[0].targetPort"},
		"address":              {func(s *record.Service) { s.External.Address = "10.0.0.0/8" }, "address"},
		"endpoint by name":     {at(record.ExternalEndpoint{Address: "db.example.com"}), "endpoints[0].address"},
		"region of two parts":  {at(record.ExternalEndpoint{Address: "192.0.2.1", Region: "a/b"}), "endpoints[0].region"},
		"65 endpoints":         {func(s *record.Service) { s.External.Endpoints = many(65) }, "endpoints: 65"},
		"mutual without proof": {tls(record.ExternalTLS{Mutual: true}), "tls.credentialName"},
		"credential":           {tls(record.ExternalTLS{CredentialName: "kubernetes://x"}), "tls.credentialName"},
		"sni":                  {tls(record.ExternalTLS{SNI: "a b"}), "tls.sni"},
		"no name":              {tls(record.ExternalTLS{SubjectAltNames: []string{""}}), "tls.subjectAltNames"},
	} {
		t.Run(name, func(t *testing.T) {
			s := db(tt.edit)
			if err := mesh.CheckExternal(s); tt.want != "not named as" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("its check says %v, want %q", err, tt.want)
			}
			objects, _, err := mesh.External(mesh.ExternalInput{Cluster: meshed(), Service: s})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v and error %v, want one about %q", idsOf(objects), err, tt.want)
			}
			if s.Application == "db" {
				return
			}
			in := caller(t, s)
			if diff := cmp.Diff([]string{"shop/cart.shop.svc.cluster.local"}, hostsOf(t, in.compile(t))); diff != "" {
				t.Errorf("the caller's hosts (-want +got):\n%s", diff)
			}
			if got := egressTo(t, in, 13306); len(got) > 0 {
				t.Errorf("the caller is let out to %v", got)
			}
		})
	}
	for name, edit := range map[string]func(*record.Service){
		"64 endpoints":       func(s *record.Service) { s.External.Endpoints = many(64) },
		"numbers in a label": hosts("10.db2.2example"),
		"a domain of .local": hosts("db.office.local"),
		"svc elsewhere":      hosts("db.svc.example.com"),
	} {
		if err := mesh.CheckExternal(db(edit)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func many(n int) []record.ExternalEndpoint {
	out := make([]record.ExternalEndpoint, n)
	for i := range out {
		out[i].Address = fmt.Sprintf("192.0.2.%d", i+1)
	}
	return out
}

// TestExternalNames: the objects about an ExternalService, about an application of the same name, and about its calls of that
// and of another are all different ones.
func TestExternalNames(t *testing.T) {
	credential := func(s *record.Service) { s.External.TLS = &record.ExternalTLS{CredentialName: "ca"} }
	one := db(credential, func(s *record.Service) { s.Namespace, s.Application = "shop", record.ExternalName("cart") })
	other := db(credential, func(s *record.Service) { s.Namespace = "shop" })
	in := cart(t)
	in.Services = []record.Service{one, other}
	in.Binding.Dependencies = []string{"shop/cart.external", "shop/db.external"}
	seen := map[string]bool{}
	objects := in.compile(t)
	for _, s := range in.Services {
		more, _ := external(t, meshed(), s)
		objects = append(objects, more...)
	}
	callee, _, err := mesh.Callee(mesh.CalleeInput{Cluster: meshed(), Service: record.Service{Namespace: "shop", Application: "cart", Ports: []record.Port{tcpPort("http", 80)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range append(objects, callee...) {
		if seen[o.ID.String()] {
			t.Errorf("%s is written twice", o.ID)
		}
		seen[o.ID.String()] = true
	}
	if len(seen) != 13 {
		t.Errorf("there are %d objects, want 13", len(seen))
	}
}

// TestExternalIsDeterministic compiles random ExternalServices with their lists in other orders: the bytes are the same, and
// hold to all rules.
func TestExternalIsDeterministic(t *testing.T) {
	protocols := []string{"", "http", "http2", "grpc", "grpc-web", "https", "tls", "tcp", "mongo", "mysql", "redis"}
	rapid.Check(t, func(r *rapid.T) {
		s := db()
		s.External.Hosts = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a.example", "b.example", "c.d.example"}), 1, 3, rapid.ID[string]).Draw(r, "hosts")
		if rapid.Bool().Draw(r, "pending") {
			s.External.Address = ""
		}
		s.Ports = nil
		for i := range rapid.IntRange(1, 3).Draw(r, "ports") {
			s.Ports = append(s.Ports, record.Port{Name: fmt.Sprint("p", i), Port: int32(80 + i), TargetPort: rapid.Int32Range(80, 82).Draw(r, "target"),
				Protocol: "TCP", AppProtocol: rapid.SampledFrom(protocols).Draw(r, "protocol")})
		}
		s.External.Endpoints = rapid.Permutation([]record.ExternalEndpoint{{Address: "192.0.2.1", Region: "west", Zone: "a"},
			{Address: "::ffff:192.0.2.1", Region: "west", Zone: "a"}, {Address: "192.0.2.2"}, {Address: "2001:db8::1", Zone: "a"}}).Draw(r, "endpoints")[:rapid.IntRange(0, 4).Draw(r, "n")]
		if rapid.Bool().Draw(r, "tls") {
			s.External.TLS = &record.ExternalTLS{CredentialName: rapid.SampledFrom([]string{"", "ca"}).Draw(r, "credential"),
				SubjectAltNames: rapid.Permutation([]string{"x", "y"}).Draw(r, "names")}
		}
		in := mesh.ExternalInput{Cluster: meshed(), Service: s, Audience: audienceOf(s, "web", "shop")}
		first, _, err := mesh.External(in)
		if err != nil {
			return // several hosts at one port
		}
		for _, o := range first {
			if wrong := violations(t, o); len(wrong) > 0 {
				r.Fatalf("%s: %s\n%s", o.ID.Short(), wrong, o.Record.Content)
			}
		}
		turned := *s.External
		turned.Hosts, turned.Endpoints = slices.Clone(turned.Hosts), slices.Clone(turned.Endpoints)
		slices.Reverse(turned.Hosts)
		slices.Reverse(turned.Endpoints)
		in.Service.External = &turned
		in.Audience = audienceOf(s, "shop", "web")
		second, _, err := mesh.External(in)
		if err != nil || len(second) != len(first) {
			r.Fatalf("in another order: %v, %v", idsOf(second), err)
		}
		for i := range first {
			if !bytes.Equal(first[i].Record.Content, second[i].Record.Content) {
				r.Fatalf("in another order %s is\n%s\nnot\n%s", first[i].ID.Short(), second[i].Record.Content, first[i].Record.Content)
			}
		}
	})
}
