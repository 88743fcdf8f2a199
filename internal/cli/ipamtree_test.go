package cli_test

import (
	"errors"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/region"
)

// startAddresses starts Global, region west and its zone west-a on stores in one etcd, with ledgers beside them. Zone west-b is
// in the inventory alone.
func startAddresses(t *testing.T) tree {
	t.Helper()
	tm := startServer(t)
	hub, err := clientcmd.BuildConfigFromFlags("", tm.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	server, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: t.TempDir(), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	open := func(place string) (*etcd.Store, ledger.Config) {
		s, err := server.Open(etcd.Config{Prefix: "/meridian/" + place})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("closing the store of %s: %v", place, err)
			}
		})
		return s, ledger.Config{Client: s.Client(), Prefix: s.Prefix()}
	}
	log := slog.New(slog.DiscardHandler)
	own, err := tiertest.Root().Authority(question.Path{})
	if err != nil {
		t.Fatal(err)
	}
	top := startTier(t, func(l net.Listener) runner {
		s, ledgers := open("global")
		cfg := global.Config{ID: "global-0", Listen: l.Addr().String(), Advertise: l.Addr().String()}
		g, err := global.New(cfg, global.Deps{Store: s, Ledger: ledgers, Hub: hub, Listener: l, Log: log, Stats: &feed.Stats{},
			Registry: prometheus.NewRegistry(), Identity: own.Source(), Authority: own})
		if err != nil {
			t.Fatal(err)
		}
		return g
	})
	middle := startTier(t, func(l net.Listener) runner {
		s, ledgers := open("west")
		cfg := region.Config{ID: "region-0", Region: "west", Global: []string{top}}
		cfg.Default()
		return region.New(cfg, region.Deps{Store: s, Ledger: ledgers, Listener: l, Log: log, Identity: tiertest.Source(t, "region/west")})
	})
	startTier(t, func(l net.Listener) runner {
		s, ledgers := open("west-a")
		cfg := az.Config{ID: "zone-0", Region: "west", Zone: "west-a", Parent: []string{middle}}
		cfg.Default()
		return az.New(cfg, az.Deps{Store: s, Ledger: ledgers, Listener: l, Log: log, Identity: tiertest.Source(t, "region/west/zone/west-a")})
	})
	tm.ok(inventory, "apply", "-f", "-")
	return tree{terminal: tm}
}

// TestIPAM takes, finds and gives back addresses of a zone, through all tiers.
func TestIPAM(t *testing.T) {
	tr := startAddresses(t)
	tr.ok("apiVersion: meridian.dev/v1alpha1\nkind: IPPool\nmetadata: {name: services}\nspec: {family: IPv4, purpose: Service, "+
		"ranges: [{cidr: 10.0.0.0/12}], reserved: [10.0.0.0/24], delegation: {regionLength: 16, zoneLength: 20}}\n", "apply", "-f", "-")
	tr.await("region/west/zone/west-a", "ipam", "show")
	address := strings.TrimSpace(tr.ok("", "ipam", "allocate", "dns", "--pool", "services", "--zone", "west-a", "-n", "shop"))
	found := tr.ok("", "ipam", "find", address)
	for _, line := range []string{`global +services +10\.0\.0\.0/12 +10\.\d+\.0\.0/16 +delegated/west/services/0`,
		`region/west +services +10\.\d+\.0\.0/16 +10\.\d+\.\d+\.0/20 +delegated/west/west-a/services/0`,
		`region/west/zone/west-a +services +10\.\d+\.\d+\.0/20 +` + regexp.QuoteMeta(address) + `/32 +ipclaim/shop/dns`} {
		if !regexp.MustCompile(line).MatchString(found) {
			t.Errorf("find: %s is missing in\n%s", line, found)
		}
	}
	wantParts(t, "find", found, "ipclaim/shop/dns has "+address+"/32 of pool services, from region/west/zone/west-a.")
	wantParts(t, "find of nothing", tr.ok("", "ipam", "find", "192.0.2.1"), "192.0.2.1 lies in no pool.")

	fixed := tr.run("", "ipam", "allocate", "fixed", "--pool", "services", "--zone", "west-a", "--prefix", address, "-n", "shop")
	if fixed.failed == nil || !strings.Contains(fixed.failed.Error(), "PrefixTaken") || !strings.Contains(fixed.failed.Error(), "ipclaim/shop/dns") {
		t.Errorf("an address that is taken: got %v, want the owner named", fixed.failed)
	}
	export := tr.run("", "ipam", "export")
	wantParts(t, "export", export.out, "range,10.0.0.0/12,services,Service", "reserved,10.0.0.0/24,services",
		"claim,"+address+"/32,services,,,,shop,dns,west-a,ipclaim/shop/dns")
	again := tr.ok(export.out, "ipam", "import", "-", "--dry-run")
	wantEqual(t, "import of what was exported", again, "There is nothing to do.\n")

	check := tr.run("", "ipam", "check")
	wantParts(t, "check", check.out, "examined at 3 places", "0 findings", "region/west/zone/west-b   not connected")
	if check.failed == nil || !strings.Contains(check.failed.Error(), "1 places did not answer") {
		t.Errorf("check: got %v, want that west-b did not answer", check.failed)
	}
	tr.ok("", "ipam", "check", "--at", "west/west-a")
	if r := tr.run("", "ipam", "reclaim", "west/west-a", "--yes"); r.failed == nil || !strings.Contains(r.failed.Error(), "is connected") {
		t.Errorf("reclaim of a zone that is there: got %v, %q", r.failed, r.out)
	}
	tr.ok("", "ipam", "release", "fixed", "dns", "-n", "shop")
	tr.await("released; in quarantine until", "ipam", "find", address)
	wantParts(t, "show -o json", tr.ok("", "ipam", "show", "services", "-o", "json"), `"pool": "services"`, `"largest": `)
}
