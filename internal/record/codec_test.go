package record_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// TestRoundTrip encodes and decodes one full model of each kind.
func TestRoundTrip(t *testing.T) {
	at := time.Unix(12, 34)
	prefix := netip.MustParsePrefix("10.1.0.0/16")
	counts := record.Counts{Revision: "r", Desired: 3, Updated: 2, Ready: 1, Clusters: 4, Converged: 3,
		AppliedAt: at, ReadyAt: at}
	problem := record.Problem{Zone: "z", Cluster: "c", Object: "o", Reason: "R", Message: "m"}
	tests := map[string]struct {
		model  interface{ Record() record.Record }
		decode func(record.Record) (any, error)
	}{
		"revision": {record.Revision{Namespace: "n", Application: "a", Environment: "e", Tenant: "t", Spec: []byte("{}")},
			func(r record.Record) (any, error) { return record.DecodeRevision(r) }},
		"policy": {record.Policy{Namespace: "n", Application: "a", Environment: "e", TrustDomain: "td", IsolatedBy: []string{"p"},
			Rules: []record.Rule{{Policy: "p", Index: 1, Callers: []record.Caller{{Namespace: "m", Application: "b"}, {Namespace: "o"}},
				Ports: []int32{80}, Methods: []string{"GET"}, Paths: []string{"/x/*"}}}},
			func(r record.Record) (any, error) { return record.DecodePolicy(r) }},
		"audience": {record.Audience{Namespace: "n", Application: "a", Namespaces: []string{"m"}, Zones: []string{"z"},
			Networks: []string{"w"}},
			func(r record.Record) (any, error) { return record.DecodeAudience(r) }},
		"audience of everyone": {record.Audience{Namespace: "n", Application: "a", Everyone: true, Zones: []string{"z"},
			Networks: []string{"w"}},
			func(r record.Record) (any, error) { return record.DecodeAudience(r) }},
		"place": {record.Place{Cluster: "c", Region: "r", Zone: "z", Network: "w", Gateways: []string{"192.0.2.1"}, Primary: "c",
			StaleSince: at},
			func(r record.Record) (any, error) { return record.DecodePlace(r) }},
		"location": {record.Location{Namespace: "n", Application: "a", Cluster: "c", Zone: "z", Region: "r", Epoch: 1 << 63, Sequence: 7,
			Ready: []record.Ready{{Version: "v1", Endpoints: 3}}},
			func(r record.Record) (any, error) { return record.DecodeLocation(r) }},
		"chunk of a location": {record.Location{Namespace: "n", Application: "a", Cluster: "c", Chunk: "x1", Zone: "z", Region: "r",
			Endpoints: []record.Endpoint{{Address: "10.0.0.1", Version: "v1"}}},
			func(r record.Record) (any, error) { return record.DecodeLocation(r) }},
		"grant": {record.Grant{Path: "region/r/zone/z/cluster/c", Generation: 3, Enrolled: true, Token: "t"},
			func(r record.Record) (any, error) { return record.DecodeGrant(r) }},
		"token": {record.Token{ID: "t", Hash: [32]byte{1}, Path: "region/r", Expires: at, Uses: 2, Spent: [][32]byte{{2}, {3}},
			Generation: 4, Mode: record.TokenReplica, CreatedBy: "ann", Created: at},
			func(r record.Record) (any, error) { return record.DecodeToken(r) }},
		"trust": {record.Trust{Roots: [][]byte{{1}, {2}}, Active: [32]byte{4}},
			func(r record.Record) (any, error) { return record.DecodeTrust(r) }},
		"pool": {record.Pool{Name: "p", Ranges: []record.Range{{Prefix: prefix, Draining: true}}, Reserved: []netip.Prefix{prefix},
			Purpose: record.PurposePod, Network: "w", RegionLength: 12, ZoneLength: 16, ClaimLength: 24, LowWater: 20, HighWater: 60,
			Quarantine: time.Minute},
			func(r record.Record) (any, error) { return record.DecodePool(r) }},
		"prefix of a zone": {record.Prefix{Pool: "p", Region: "r", Zone: "z", Prefix: prefix, Draining: true, Epoch: 1 << 63},
			func(r record.Record) (any, error) { return record.DecodePrefix(r) }},
		"prefix of a region": {record.Prefix{Pool: "p", Region: "r", Prefix: netip.MustParsePrefix("fd00::/48")},
			func(r record.Record) (any, error) { return record.DecodePrefix(r) }},
		"claim": {record.Claim{Owner: "ipclaim/n/c", Region: "r", Zone: "z", Pool: "p", Purpose: record.PurposePod, Network: "w", IPv6: true,
			Length: 24, Prefix: prefix, Tenant: "t"},
			func(r record.Record) (any, error) { return record.DecodeClaim(r) }},
		"claim at Global": {record.Claim{Owner: "application/n/a"},
			func(r record.Record) (any, error) { return record.DecodeClaim(r) }},
		"allotment": {record.Allotment{Owner: "ipclaim/n/c", Region: "r", Zone: "z", Pool: "p", Prefix: prefix, Reason: "R", Message: "m"},
			func(r record.Record) (any, error) { return record.DecodeAllotment(r) }},
		"demand": {record.Demand{Pool: "p", Region: "r", Zone: "z", Want: 2, Length: 20, Returned: []netip.Prefix{prefix}, Addresses: 1e30,
			Taken: 7, Epoch: 1 << 63, Revision: 9, Held: []netip.Prefix{prefix}, Problems: []string{"a", "b"}},
			func(r record.Record) (any, error) { return record.DecodeDemand(r) }},
		"service": {record.Service{Namespace: "n", Application: "a", Environment: "e", Tenant: "t", ServiceAccount: "a", Unproxied: true,
			Ports: []record.Port{{Name: "http", Port: 80, TargetPort: 8080, Protocol: "TCP", AppProtocol: "http"}}},
			func(r record.Record) (any, error) { return record.DecodeService(r) }},
		"external service": {record.Service{Namespace: "n", Application: record.ExternalName("e"), Environment: "e",
			Ports: []record.Port{{Name: "redis", Port: 6379, TargetPort: 6380, AppProtocol: "redis"}},
			External: &record.External{Hosts: []string{"redis.example.com"}, Address: "10.0.0.1",
				Endpoints: []record.ExternalEndpoint{{Address: "192.0.2.1", Region: "r", Zone: "z"}},
				TLS:       &record.ExternalTLS{Mutual: true, CredentialName: "c", SNI: "s", SubjectAltNames: []string{"a"}}}},
			func(r record.Record) (any, error) { return record.DecodeService(r) }},
		"cluster": {record.Cluster{Name: "c", Region: "r", Zone: "z", Environments: []string{"prod"}, Network: "n",
			Labels: map[string]string{"a": "1", "b": "2"}, Taints: []record.Taint{{Key: "k", Value: "v", Effect: "e"}},
			PodRanges: []string{"10.0.0.0/8"},
			Mesh: record.Mesh{Dataplane: "Sidecar", PlatformHosts: []string{"a/b"}, DefaultSidecar: true, RootNamespace: "i", Primary: "p",
				Gateway: record.Gateway{Addresses: []string{"192.0.2.1"}, Namespace: "g", Selector: map[string]string{"k": "v"}}}},
			func(r record.Record) (any, error) { return record.DecodeCluster(r) }},
		"assignment": {record.Assignment{Namespace: "n", Application: "a", Zone: "z", Region: "r", Revision: "h",
			Replicas: 3, Generation: 1, Dependencies: []string{"n/b"}, Draining: true, AcceptedAt: at},
			func(r record.Record) (any, error) { return record.DecodeAssignment(r) }},
		"binding": {record.Binding{Namespace: "n", Application: "a", Cluster: "c", Revision: "h", Replicas: 3,
			Generation: 1, Dependencies: []string{"n/b"}, Draining: true},
			func(r record.Record) (any, error) { return record.DecodeBinding(r) }},
		"status": {record.Status{Namespace: "n", Application: "a", Counts: counts, Problems: []record.Problem{problem},
			Lines:     []record.Line{{Zone: "z", Region: "r", Counts: counts}},
			Workloads: []record.Workload{{Key: record.Key{Kind: "object", Name: "x"}, Version: record.VersionOf([]byte("x")), Desired: 1, Updated: 1, Ready: 1, ReadyAt: at}}},
			func(r record.Record) (any, error) { return record.DecodeStatus(r) }},
		"health": {record.Health{Cluster: "c", Zone: "z", Region: "r", Connected: true, Nodes: 5, KubernetesVersion: "v1",
			Applications: 2, Problems: []record.Problem{problem}, PodRanges: []string{"10.0.0.0/16", "fd00::/64"},
			ServiceRanges: []string{"10.96.0.0/12"}},
			func(r record.Record) (any, error) { return record.DecodeHealth(r) }},
		"standing of an application": {record.Standing{Cluster: "c", Epoch: 1 << 63, Fence: 7, Replicas: 2, Assumed: true,
			Status: &record.Status{Namespace: "n", Application: "a", Counts: counts, Problems: []record.Problem{problem}}},
			func(r record.Record) (any, error) { return record.DecodeStanding(r) }},
		"standing of a location": {record.Standing{Cluster: "c", Epoch: 1, Fence: 7, Location: &record.Location{Namespace: "n",
			Application: "a", Cluster: "c", Ready: []record.Ready{{Endpoints: 3}}}},
			func(r record.Record) (any, error) { return record.DecodeStanding(r) }},
		"standing of a chunk": {record.Standing{Cluster: "c", Epoch: 1, Fence: 7, Location: &record.Location{Namespace: "n",
			Application: "a", Cluster: "c", Chunk: "a-x1", Endpoints: []record.Endpoint{{Address: "10.0.0.1"}}}},
			func(r record.Record) (any, error) { return record.DecodeStanding(r) }},
		"standing of a cluster": {record.Standing{Cluster: "c", Epoch: 1, Fence: 7, Told: true, Locations: 4,
			Health: &record.Health{Cluster: "c", Nodes: 5}},
			func(r record.Record) (any, error) { return record.DecodeStanding(r) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := tt.model.Record()
			if again := tt.model.Record(); again.Version != r.Version {
				t.Errorf("second encoding has version %s, first %s", again.Version, r.Version)
			}
			if key, err := record.ParseKey(r.Key.String()); err != nil || key != r.Key {
				t.Errorf("ParseKey(%q) = %v, %v", r.Key, key, err)
			}
			if err := record.Validate(r); err != nil {
				t.Errorf("Validate: %v", err)
			}
			got, err := tt.decode(r)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.model) {
				t.Errorf("decoded %+v, want %+v", got, tt.model)
			}
		})
	}
}

// TestValidateRefuses shows that what cannot be decoded names its key, and that unknown kinds pass.
func TestValidateRefuses(t *testing.T) {
	revision := record.Revision{Namespace: "n", Application: "a", Spec: []byte("{}")}.Record()
	renamed := revision
	renamed.Key.Name = "n/a/0123"
	everyone := record.Audience{Namespace: "n", Application: "a", Namespaces: []string{"m"}, Everyone: true}
	crowd := record.Audience{Namespace: "n", Application: "a", Namespaces: make([]string, record.MaxAudience+1)}
	counted := record.Location{Namespace: "n", Application: "a", Cluster: "c", Chunk: "x1", Ready: []record.Ready{{Endpoints: 1}}}
	negative := record.Location{Namespace: "n", Application: "a", Cluster: "c", Ready: []record.Ready{{Endpoints: -1}}}
	crowded := record.Location{Namespace: "n", Application: "a", Cluster: "c", Chunk: "x1",
		Endpoints: make([]record.Endpoint, record.MaxEndpoints+1)}
	wide := record.Health{Cluster: "c", ServiceRanges: []string{"10.96.0.0/33"}}
	troubled := record.Demand{Pool: "p", Region: "r", Problems: make([]string, record.MaxPoolProblems+1)}
	tests := map[string]struct {
		record record.Record
		want   string
	}{
		"too many ranges": {record.Health{Cluster: "c", PodRanges: make([]string, record.MaxRanges+1)}.Record(),
			"pod ranges: 65 prefixes, at most 64 are told"},
		"too many problems of a pool": {troubled.Record(), "problems: got 5, want at most 4"},
		"a range that is none":        {wide.Record(), "service ranges: netip.ParsePrefix"},
		"a standing's range that is none": {record.Standing{Cluster: "c", Health: &wide}.Record(),
			"decoding record standing/c: service ranges: netip.ParsePrefix"},
		"everyone and some":   {everyone.Record(), "everyone, and 1 namespaces"},
		"too many namespaces": {crowd.Record(), "51 namespaces, at most 50 are named"},
		"counts in a chunk":   {counted.Record(), "counts of 1 versions in a chunk"},
		"less than no pods":   {negative.Record(), "-1 endpoints of version"},
		"too many addresses":  {crowded.Record(), "101 addresses, at most 100 fit"},
		"name too short":      {record.New(record.Key{Kind: record.KindAssignment, Name: "n/a"}, nil), "has 2 parts, want 3"},
		"not protobuf":        {record.New(record.ClusterKey("c"), []byte{0xff}), "decoding record cluster/c"},
		"hash differs":        {renamed, "its content has the hash " + revision.Version.String()},
		"standing of nothing": {record.New(record.StandingKey("c", "n/a"), nil), "want a status or a location for an application"},
		"location of nothing": {record.New(record.LocatedKey("c", "n/a", "x"), nil), "want a status or a location for an application"},
		"unknown kind":        {record.New(record.Key{Kind: "tomorrow", Name: "x"}, []byte{0xff}), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := record.Validate(tt.record)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Validate = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSite(t *testing.T) {
	for key, want := range map[record.Key]string{
		record.PlaceKey("c"):                    "c",
		record.LocationKey("n", "a", "c", ""):   "c",
		record.LocationKey("n", "a", "c", "x1"): "c",
		record.ClusterKey("c"):                  "",
		{Kind: record.KindLocation, Name: "n"}:  "",
	} {
		if got := key.Site(); got != want {
			t.Errorf("the site of %s: got %q, want %q", key, got, want)
		}
	}
}

// TestProblemTextIsMadeFit shows that a foreign message cannot break the encoding.
func TestProblemTextIsMadeFit(t *testing.T) {
	s := record.Status{Namespace: "n", Application: "a",
		Problems: []record.Problem{{Message: strings.Repeat("x", 511) + "\xff\xfe" + strings.Repeat("y", 4000)}}}
	got, err := record.DecodeStatus(s.Record())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Problems[0].Message); n > 520 {
		t.Errorf("message has %d bytes, want at most 520", n)
	}
}

func FuzzValidate(f *testing.F) {
	for _, kind := range []record.Kind{record.KindRevision, record.KindCluster, record.KindStatus, record.KindHealth} {
		f.Add(string(kind), "a/b", []byte{8, 1})
	}
	f.Fuzz(func(t *testing.T, kind, name string, content []byte) {
		_ = record.Validate(record.New(record.Key{Kind: record.Kind(kind), Name: name}, content))
	})
}

func TestGrantOfNoPlace(t *testing.T) {
	for _, name := range []string{"region", "region/", "region/r/zone", "zone/z", "region/r/zone/z/cluster/c/x/y", "region/r/cluster/c"} {
		r := record.Grant{Path: name}.Record()
		if _, err := record.DecodeGrant(r); err == nil || !strings.Contains(err.Error(), "region/REGION") {
			t.Errorf("%s: got %v, want an error that shows what a path is", name, err)
		}
	}
	if _, err := record.DecodeGrant(record.Grant{Path: "global"}.Record()); err != nil {
		t.Errorf("global: got %v, want no error", err)
	}
}

func TestRecordsOfNoPlace(t *testing.T) {
	for _, key := range []record.Key{
		{Kind: record.KindClaim, Name: "r/z"},
		{Kind: record.KindClaim, Name: "-/z/owner"},
		{Kind: record.KindPrefix, Name: "r//p/10.0.0.0/8"},
		{Kind: record.KindPrefix, Name: "r/z/p/10.0.0.0/33"},
		{Kind: record.KindDemand, Name: "r/z/"},
	} {
		if err := record.Validate(record.New(key, nil)); err == nil {
			t.Errorf("%s: got no error, want one", key)
		}
	}
	for key, want := range map[record.Key][2]string{
		record.ClaimKey("", "", "a"):                      {},
		record.ClaimKey("r", "", "a/b"):                   {"r", ""},
		record.DemandKey("r", "z", "p"):                   {"r", "z"},
		record.GrantKey("region/r/zone/z/cluster/c"):      {"r", "z"},
		{Kind: record.KindPrefix, Name: "r//p/1.0.0.0/8"}: {},
	} {
		if region, zone := key.Place(); [2]string{region, zone} != want {
			t.Errorf("%s: got place %q %q, want %q", key, region, zone, want)
		}
	}
}
