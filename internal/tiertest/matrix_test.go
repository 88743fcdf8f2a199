package tiertest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/region"
)

const otherAuthority = " of another authority"

// callers are everybody who may come to a tier of region west or its zone a.
func callers(t *testing.T) map[string]tiertest.Caller {
	out := map[string]tiertest.Caller{"nobody": tiertest.Nobody(), "a person": tiertest.Person(t, "ann"),
		"a zone" + otherAuthority: tiertest.Stranger(t, "region/west/zone/a"), "an agent" + otherAuthority: tiertest.Stranger(t, "region/west/zone/a/cluster/a-1")}
	for _, path := range []string{"global", "region/west", "region/east", "region/west/zone/a", "region/west/zone/b", "region/east/zone/a",
		"region/west/zone/a/cluster/a-1", "region/west/zone/a/cluster/a-2", "region/west/zone/b/cluster/a-1", "region/east/zone/a/cluster/a-1"} {
		out[path] = tiertest.At(t, path)
	}
	return out
}

// claims are who a caller may say that he is.
var claims = []struct{ role, path string }{
	{"global", "global"}, {"region", "region/west"}, {"region", "region/east"}, {"zone", "region/west/zone/a"}, {"zone", "region/west/zone/b"},
	{"zone", "region/east/zone/a"}, {"cluster", "region/west/zone/a/cluster/a-1"}, {"cluster", "region/west/zone/a/cluster/a-2"},
	{"cluster", "region/west/zone/b/cluster/a-1"}, {"zone", "region/west/zone/a/cluster/a-1"}, {"cluster", "region/west/zone/a"},
	{"replica", "region/west/zone/a/replica/r9"}, {"replica", "region/west/zone/b/replica/r9"}, {"replica", "region/west/zone/a/replica/"},
	{"", "region/west/zone/a"}, {"zone", "nonsense"}, {"zone", ""},
}

// served is a tier whose door is tried.
type served struct {
	path, address string
	trail         *audittest.Recorder
}

// serve runs a tier until the test ends.
func serve(t *testing.T, path string, build func(l net.Listener, own *identity.Authority, trail *audit.Log) runner) served {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	place, err := question.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tiertest.Root().Authority(place)
	if err != nil {
		t.Fatal(err)
	}
	s := served{path: path, address: listener.Addr().String(), trail: &audittest.Recorder{}}
	tier := build(listener, own, s.trail.Log())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tier.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running %s: %v", path, err)
		}
	})
	return s
}

// newMatrix serves region west and its zone a, which know two zones and three clusters.
func newMatrix(t *testing.T) (west, a served) {
	parent := tiertest.NewParent(t, "global")
	for cluster, zone := range map[string]string{"a-1": "a", "a-2": "a", "b-1": "b"} {
		parent.Put(record.Cluster{Name: cluster, Region: "west", Zone: zone, Environments: []string{"prod"},
			Mesh: record.Mesh{RootNamespace: "istio-system"}}.Record())
	}
	log := slog.New(slog.DiscardHandler)
	west = serve(t, "region/west", func(l net.Listener, own *identity.Authority, trail *audit.Log) runner {
		cfg := region.Config{ID: "region-0", Region: "west", Global: []string{parent.Address}, Settle: 300 * time.Millisecond}
		cfg.Default()
		return region.New(cfg, region.Deps{Store: mem.New(), Listener: l, Log: log, Audit: trail, Identity: own.Source(), Authority: own})
	})
	a = serve(t, "region/west/zone/a", func(l net.Listener, own *identity.Authority, trail *audit.Log) runner {
		cfg := az.Config{ID: "zone-0", Region: "west", Zone: "a", Parent: []string{west.address}, Settle: 300 * time.Millisecond}
		cfg.Default()
		return az.New(cfg, az.Deps{Store: mem.New(), Listener: l, Log: log, Audit: trail, Identity: own.Source(), Authority: own})
	})
	return west, a
}

// TestMatrix has everybody ask the tiers for everything: what is not allowed is refused, and audited.
func TestMatrix(t *testing.T) {
	west, a := newMatrix(t)
	zones := []string{"region/west/zone/a", "region/west/zone/b"}
	agents := []string{"region/west/zone/a/cluster/a-1", "region/west/zone/a/cluster/a-2"}
	// allowed are those who may, by tier and by what they ask for; claims go by themselves.
	allowed := map[string]map[string][]string{
		west.path: {"Renew": zones, "Trust": zones, "Redeem below a": {"region/west/zone/a"}},
		a.path:    {"Renew": agents, "Trust": agents},
	}
	sessions := map[string]map[string]string{ // who may begin a session, by tier and claim
		west.path: {"zone region/west/zone/a": "region/west/zone/a", "zone region/west/zone/b": "region/west/zone/b"},
		a.path: {"cluster " + agents[0]: agents[0], "cluster " + agents[1]: agents[1],
			"replica region/west/zone/a/replica/r9": "region/west/zone/a"},
	}
	for _, tier := range []served{west, a} {
		for name, caller := range callers(t) {
			calls := map[string]func(t *testing.T) error{
				"Renew":          func(t *testing.T) error { return caller.Renew(t, tier.address, tier.path) },
				"Trust":          func(t *testing.T) error { return caller.Trust(t, tier.address, tier.path) },
				"Ask":            func(t *testing.T) error { return caller.Ask(t, tier.address, tier.path) },
				"Redeem below a": func(t *testing.T) error { return caller.Redeem(t, tier.address, tier.path, agents[0]) },
				"Redeem elsewhere": func(t *testing.T) error {
					return caller.Redeem(t, tier.address, tier.path, "region/east/zone/a/cluster/a-1")
				},
				"Redeem of the tier": func(t *testing.T) error { return caller.Redeem(t, tier.address, tier.path, tier.path) },
				"Enroll elsewhere": func(t *testing.T) error {
					return caller.Enroll(t, tier.address, tier.path, "region/east/zone/b/cluster/x")
				},
				"Enroll of the tier":     func(t *testing.T) error { return caller.Enroll(t, tier.address, tier.path, tier.path) },
				"Enroll at another tier": func(t *testing.T) error { return caller.Enroll(t, tier.address, tier.path, "global") },
			}
			for call, do := range calls {
				tier.try(t, name, call, slices.Contains(allowed[tier.path][call], name), do)
			}
			for method, do := range caller.Addresses(tier.address, tier.path, "local/"+name+"/vm") {
				tier.try(t, name, method+" for itself", slices.Contains(allowed[tier.path]["Renew"], name), func(t *testing.T) error { return do(t) })
			}
			for method, do := range caller.Addresses(tier.address, tier.path, "local/region/east/zone/b/cluster/x/vm") {
				tier.try(t, name, method+" for another", false, func(t *testing.T) error { return do(t) })
			}
			for _, claim := range claims {
				what := claim.role + " " + claim.path
				tier.try(t, name, what, sessions[tier.path][what] == name, func(t *testing.T) error {
					return caller.Session(t, tier.address, tier.path, claim.role, claim.path)
				})
			}
		}
	}
}

// try makes a call, and holds that it was refused and audited, or neither.
func (s served) try(t *testing.T, name, what string, allowed bool, call func(t *testing.T) error) {
	t.Run(fmt.Sprintf("%s/%s/%s", s.path, name, what), func(t *testing.T) {
		before := len(s.trail.Events(""))
		err := call(t)
		events := s.trail.Events("")[before:]
		refusals := slices.DeleteFunc(slices.Clone(events), func(e audittest.Event) bool {
			// Those whom nobody believes come again by themselves, perhaps while another calls.
			return e.Result != audit.Refused || e.Subject == "handshake" && !strings.HasSuffix(name, otherAuthority)
		})
		switch {
		case allowed && (refused(err) || len(refusals) > 0):
			t.Errorf("got %v, audited %+v; want it let in", err, refusals)
		case !allowed && err == nil:
			t.Error("it was let in, want it refused")
		case !allowed && status.Code(err) != codes.Unimplemented && len(refusals) == 0:
			t.Errorf("refused with %v, and nothing was audited", err)
		}
	})
}

// refused tells whether an error says that the caller may not; a server that cannot now is none.
func refused(err error) bool {
	return err != nil && status.Code(err) != codes.Unavailable
}
