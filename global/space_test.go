package global_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// startEtcd is a store with a ledger beside it.
func startEtcd(t *testing.T) *etcd.Store {
	t.Helper()
	server, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: t.TempDir(), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s, err := server.Open(etcd.Config{Prefix: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// said describes a condition of any resource as STATUS(REASON): MESSAGE, with fields of its status before it.
func (h *hub) said(t *testing.T, kind, namespace, name, what string, fields ...string) string {
	t.Helper()
	obj, err := h.of(kind, namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, field := range fields {
		value, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "status", field)
		out = append(out, fmt.Sprint(value))
	}
	list, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, one := range list {
		c := one.(map[string]any)
		if c["type"] == what && c["observedGeneration"] == obj.GetGeneration() {
			return strings.Join(append(out, fmt.Sprintf("%s(%s): %s", c["status"], c["reason"], c["message"])), " ")
		}
	}
	return strings.Join(append(out, "nothing is known"), " ")
}

// wantSaid waits until that begins so.
func (h *hub) wantSaid(t *testing.T, want, kind, namespace, name, what string, fields ...string) {
	t.Helper()
	eventually(t, kind+" "+name, func() string {
		if got := h.said(t, kind, namespace, name, what, fields...); !strings.HasPrefix(got, want) {
			return fmt.Sprintf("got %q, want %q at its beginning", got, want)
		}
		return ""
	})
}

func (h *hub) wantClaim(t *testing.T, name, want string) {
	t.Helper()
	h.wantSaid(t, want, "IPClaim", "shop", name, "Allocated", "prefix")
}

func (h *hub) wantPool(t *testing.T, name, what, want string, fields ...string) {
	t.Helper()
	h.wantSaid(t, want, "IPPool", "", name, what, fields...)
}

func ipPool(name, ranges, more string) string {
	return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: IPPool, metadata: {name: %s}, spec: {family: IPv4, purpose: Service, quarantine: 0s, ranges: [%s]%s}}`, name, ranges, more)
}

func ipClaim(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: IPClaim, metadata: {namespace: shop, name: %s}, spec: {%s}}`, name, spec)
}

func (h *hub) remove(t *testing.T, kind, namespace, name string) {
	t.Helper()
	if err := h.of(kind, namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestAddresses gives addresses of real pools to IPClaims, applications and clusters, and takes them back.
func TestAddresses(t *testing.T) {
	h, s := startHub(t), startEtcd(t)
	g := startGlobal(t, s, h)
	west := startRegion(t, "west", g)
	h.set(t, inventory...)
	h.set(t, ipPool("services", "{cidr: 10.9.0.0/28}", ", lowWaterPercent: 50"))
	h.wantPool(t, "services", "Accepted", "True(Accepted): ")

	t.Run("claims", func(t *testing.T) {
		h.set(t, ipClaim("db", "pool: services, prefix: 10.9.0.3"))
		h.wantClaim(t, "db", "10.9.0.3/32 True(Allocated): ")
		h.set(t, ipClaim("twin", "pool: services, prefix: 10.9.0.3"))
		h.wantClaim(t, "twin", "<nil> False(PrefixTaken): ")
		h.set(t, ipClaim("large", "pool: services, length: 24"))
		h.wantClaim(t, "large", "<nil> False(TooLarge): ")
		h.set(t, ipClaim("outside", "pool: services, prefix: 192.0.2.1"))
		h.wantClaim(t, "outside", "<nil> False(OutsidePool): ")
		h.set(t, ipClaim("pods", "purpose: Pod"))
		h.wantClaim(t, "pods", "<nil> False(NoPool): ")
		h.set(t, ipClaim("unknown", "pool: tomorrow"))
		h.wantClaim(t, "unknown", "<nil> False(PoolNotFound): there is no accepted IPPool tomorrow")
		h.set(t, ipClaim("half", "pool: services, length: 29"))
		h.wantClaim(t, "half", "10.9.0.8/29 True(Allocated): ")
		h.set(t, ipClaim("more", "pool: services, length: 29"))
		h.wantClaim(t, "more", "<nil> False(PoolExhausted): ")
	})
	t.Run("an application", func(t *testing.T) {
		h.set(t, application("web", "web:1", ", address: {}"))
		eventually(t, "application web", func() string {
			app := h.application(t, "shop", "web")
			if a, err := netip.ParseAddr(app.Status.Address); err != nil || !netip.MustParsePrefix("10.9.0.0/29").Contains(a) {
				return fmt.Sprintf("the address is %q, want one of the pool", app.Status.Address)
			}
			if !meta.IsStatusConditionTrue(app.Status.Conditions, "Allocated") {
				return "it is not said to be allocated"
			}
			return ""
		})
	})
	t.Run("the pool says how it stands", func(t *testing.T) {
		h.wantPool(t, "services", "Sufficient", "16 10 0 63 False(Low): 6 of 16 addresses are neither given nor delegated", "addresses", "taken", "delegated", "percent")
	})
	t.Run("pools that cannot be", func(t *testing.T) {
		h.set(t, ipPool("twin", "{cidr: 10.9.0.0/24}", ""))
		h.wantPool(t, "twin", "Accepted", "False(PoolsOverlap): spec.ranges[0]: 10.9.0.0/24 of IPPool twin overlaps 10.9.0.0/28 of IPPool services, for all clusters")
		h.set(t, ipPool("services", "{cidr: 10.9.0.0/29}", ""))
		h.wantPool(t, "services", "Accepted", "False(InUse): 10.9.0.0/28 is in use by application/shop/web (")
		h.set(t, ipPool("services", "{cidr: 10.9.0.0/28}", ", reserved: [10.9.0.8/30]"))
		h.wantPool(t, "services", "Accepted", "False(InUse): 10.9.0.8/30 is in use by ipclaim/shop/half (10.9.0.8/29)")
		h.set(t, ipPool("services", "{cidr: 10.9.0.0/28}, {cidr: 10.8.0.0/28}", ""))
		h.wantPool(t, "services", "Accepted", "True(Accepted): ")
		h.wantClaim(t, "more", "10.8.0.")
	})
	before := h.application(t, "shop", "web").Status.Address
	west.stop()
	g.stop()
	g = startGlobal(t, s, h)
	west = startRegion(t, "west", g)
	t.Run("a restart keeps what everybody has", func(t *testing.T) {
		h.set(t, ipClaim("later", "pool: services"))
		h.wantClaim(t, "later", "10.")
		h.wantClaim(t, "db", "10.9.0.3/32 True(Allocated): ")
		if got := h.application(t, "shop", "web").Status.Address; got != before {
			t.Errorf("the application has %s, want %s as before", got, before)
		}
	})
	t.Run("what is deleted comes back", func(t *testing.T) {
		h.remove(t, "IPClaim", "shop", "db")
		h.wantClaim(t, "twin", "10.9.0.3/32 True(Allocated): ")
		for _, name := range []string{"twin", "half", "more", "later", "large", "outside", "pods", "unknown"} {
			h.remove(t, "IPClaim", "shop", name)
		}
		h.remove(t, "Application", "shop", "web")
		h.wantPool(t, "services", "Sufficient", "32 0 0 0 True(Sufficient): ", "addresses", "taken", "delegated", "percent")
		h.remove(t, "IPPool", "", "services")
		h.wantPool(t, "twin", "Accepted", "True(Accepted): ") // nothing of the other is left
	})
	t.Run("a quota", func(t *testing.T) {
		h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: TenantQuota, metadata: {name: retail}, spec: {tenant: retail, addresses: 8}}`)
		h.set(t, ipClaim("eight", "pool: twin, length: 29"))
		h.wantClaim(t, "eight", "10.9.0.")
		h.set(t, ipClaim("nine", "pool: twin"))
		h.wantClaim(t, "nine", "<nil> False(QuotaExceeded): tenant retail may have 8 addresses (TenantQuota retail), has 8, and this asks for 1 more")
		h.remove(t, "IPClaim", "shop", "eight")
		h.wantClaim(t, "nine", "10.9.0.")
	})
	t.Run("an ExternalService", func(t *testing.T) {
		h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: ExternalService, metadata: {namespace: shop, name: db}, spec: {hosts: [db.example.com],
  ports: [{name: mysql, port: 3306, appProtocol: mysql}], address: {pool: twin}}}`)
		h.wantSaid(t, "10.9.0.", "ExternalService", "shop", "db", "Allocated", "address")
	})
	t.Run("a zone's", func(t *testing.T) {
		h.set(t, ipPool("lb", "{cidr: 192.0.2.0/24}", ", delegation: {regionLength: 26, zoneLength: 28}"))
		h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: a1}, spec: {zone: west-a, network: net, environments: [prod],
  addresses: {eastWest: {pool: lb}}, mesh: {gateway: {}}}}`)
		claim := record.ClaimKey("west", "west-a", "cluster/a1/eastwest")
		eventually(t, "the zone's claim", func() string {
			if names := strings.Join(west.names(), " "); !strings.Contains(names, claim.String()) {
				return "the region has " + names
			}
			return ""
		})
		given := record.Allotment{Owner: "cluster/a1/eastwest", Region: "west", Zone: "west-a", Pool: "lb", Prefix: netip.MustParsePrefix("192.0.2.5/32")}.Record()
		west.outbox.Edit(feed.Put(&given))
		h.wantSaid(t, "[map[name:eastWest pool:lb prefix:192.0.2.5/32]] True(Accepted): ", "Cluster", "", "a1", "Accepted", "addresses")
		eventually(t, "the gateway's address", func() string {
			west.mu.Lock()
			defer west.mu.Unlock()
			c, err := record.DecodeCluster(west.records[record.ClusterKey("a1")])
			if err != nil || strings.Join(c.Mesh.Gateway.Addresses, ",") != "192.0.2.5" {
				return fmt.Sprintf("the region knows %v (%v)", c.Mesh.Gateway, err)
			}
			return ""
		})
	})
	t.Run("a region is given what it wants", func(t *testing.T) {
		demand := record.Demand{Pool: "lb", Region: "west", Want: 1, Addresses: 64, Taken: 5}.Record()
		west.outbox.Edit(feed.Put(&demand))
		eventually(t, "the region's prefix", func() string {
			if names := strings.Join(west.names(), " "); !strings.Contains(names, "prefix/west/-/lb/192.0.2.") {
				return "the region has " + names
			}
			return ""
		})
		h.wantPool(t, "lb", "Sufficient", "256 5 64 25 True(Sufficient): ", "addresses", "taken", "delegated", "percent")
	})
	t.Run("what places cannot do", func(t *testing.T) {
		demand := record.Demand{Pool: "lb", Region: "west", Want: 1, Addresses: 64, Taken: 5}
		const problem = "zone west-a: reserved: 192.0.2.0/30 of pool lb is in use by ipclaim/shop/db"
		h.wantPool(t, "lb", "InForce", "True(Accepted): ")
		demand.Problems = []string{problem}
		refused := demand.Record()
		west.outbox.Edit(feed.Put(&refused))
		h.wantPool(t, "lb", "InForce", "False(Rejected): region west: "+problem)
		demand.Problems = nil
		done := demand.Record()
		west.outbox.Edit(feed.Put(&done))
		h.wantPool(t, "lb", "InForce", "True(Accepted): ")
	})
	t.Run("a region that is there when what it had is taken back tells all again", func(t *testing.T) {
		n, err := g.ask(t, question.KindIPAMReclaim, question.IPAMReclaimRequest{Target: question.Path{Region: "west"}, Force: true})
		if err != nil || len(n.Confirmed) != 1 {
			t.Fatalf("reclaiming: got %q, %v", n.Confirmed, err)
		}
		eventually(t, "what the region has, and wants", func() string {
			n, err := g.ask(t, question.KindIPAMShow, question.IPAMShowRequest{Pool: "lb"})
			if err != nil || n.Space == nil || len(n.Space.Pools) != 1 || len(n.Space.Pools[0].Delegations) != 1 {
				return fmt.Sprintf("Global shows %+v, %v", n.Space, err)
			}
			return ""
		})
		h.wantSaid(t, "[map[name:eastWest pool:lb prefix:192.0.2.5/32]] True(Accepted): ", "Cluster", "", "a1", "Accepted", "addresses")
	})
	t.Run("pods with the same addresses", func(t *testing.T) {
		report := func(cluster, zone, ranges string) {
			r := record.Health{Cluster: cluster, Zone: zone, Region: "west", Connected: true, PodRanges: []string{ranges}}.Record()
			west.outbox.Edit(feed.Put(&r))
		}
		report("a1", "west-a", "10.200.0.0/16")
		report("b1", "west-b", "10.200.4.0/24")
		h.wantSaid(t, "False(RangesOverlap): pods of cluster b1 have addresses of 10.200.4.0/24, and those of the older cluster a1 addresses of 10.200.0.0/16",
			"Network", "", "net", "Accepted")
		h.wantSaid(t, "False(RangesOverlap): ", "Cluster", "", "b1", "RangesDisjoint")
		h.wantSaid(t, "True(Disjoint): ", "Cluster", "", "a1", "RangesDisjoint")
		report("b1", "west-b", "10.201.4.0/24")
		h.wantSaid(t, "True(Accepted): ", "Network", "", "net", "Accepted")
		h.wantSaid(t, "True(Disjoint): ", "Cluster", "", "b1", "RangesDisjoint")
	})
}
