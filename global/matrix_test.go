package global_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

const otherAuthority = " of another authority"

// TestMatrix has everybody ask Global for everything: what is not allowed is refused, and audited.
func TestMatrix(t *testing.T) {
	h := startHub(t)
	g := startGlobal(t, mem.New(), h)
	h.set(t, inventory...)
	h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: Region, metadata: {name: east}}`)
	startRegion(t, "west", g)
	startRegion(t, "east", g)
	eventually(t, "Global decides on enrolments", func() string {
		if err := tiertest.At(t, "region/west").Redeem(t, g.address, "global", "region/west/zone/west-a"); status.Code(err) != codes.PermissionDenied {
			return err.Error()
		}
		return ""
	})
	callers := map[string]tiertest.Caller{"nobody": tiertest.Nobody(), "a person whom the API server does not know": tiertest.Person(t, "ann"),
		"a region" + otherAuthority: tiertest.Stranger(t, "region/west"), "Global" + otherAuthority: tiertest.Stranger(t, "global")}
	for _, path := range []string{"global", "region/west", "region/east", "region/north", "region/west/zone/a", "region/west/zone/a/cluster/a-1"} {
		callers[path] = tiertest.At(t, path)
	}
	certified := []string{"global", "region/west", "region/east", "region/north"} // of north the inventory decides elsewhere
	allowed := map[string][]string{"Renew": certified, "Trust": certified,
		"region region/west": {"region/west"}, "region region/east": {"region/east"}}
	for name, caller := range callers {
		calls := map[string]func(t *testing.T) error{
			"Renew":        func(t *testing.T) error { return caller.Renew(t, g.address, "global") },
			"Trust":        func(t *testing.T) error { return caller.Trust(t, g.address, "global") },
			"Ask":          func(t *testing.T) error { return caller.Ask(t, g.address, "global") },
			"Redeem":       func(t *testing.T) error { return caller.Redeem(t, g.address, "global", "region/west/zone/west-a") },
			"Redeem other": func(t *testing.T) error { return caller.Redeem(t, g.address, "global", "region/east") },
			"Enroll":       func(t *testing.T) error { return caller.Enroll(t, g.address, "global", "region/west") },
			"Enroll below": func(t *testing.T) error { return caller.Enroll(t, g.address, "global", "region/west/zone/west-a") },
		}
		for _, claim := range [][2]string{{"global", "global"}, {"region", "region/west"}, {"region", "region/east"}, {"region", "region/north"},
			{"zone", "region/west/zone/a"}, {"cluster", "region/west/zone/a/cluster/a-1"}, {"zone", "region/west"}, {"replica", "global/replica/x"}} {
			calls[claim[0]+" "+claim[1]] = func(t *testing.T) error { return caller.Session(t, g.address, "global", claim[0], claim[1]) }
		}
		for method, do := range caller.Addresses(g.address, "global", "local/"+name+"/vm") {
			calls[method+" for itself"] = func(t *testing.T) error { return do(t) }
			allowed[method+" for itself"] = []string{"region/west", "region/east", "region/north"}
		}
		for method, do := range caller.Addresses(g.address, "global", "local/region/south/zone/a/vm") {
			calls[method+" for another"] = func(t *testing.T) error { return do(t) }
		}
		for call, do := range calls {
			t.Run(name+"/"+call, func(t *testing.T) {
				before := len(g.trail.Events(""))
				err := do(t)
				refusals := slices.DeleteFunc(g.trail.Events("")[before:], func(e audittest.Event) bool {
					return e.Result != audit.Refused || e.Subject == "handshake" && !strings.HasSuffix(name, otherAuthority)
				})
				undecided := status.Code(err) == codes.FailedPrecondition           // this API server names no authority of client certificates
				unlisted := name == "region/north" && call == "region region/north" // its certificate is sound
				switch may := slices.Contains(allowed[call], name); {
				case may && (err != nil && status.Code(err) != codes.Unavailable || len(refusals) > 0):
					t.Errorf("got %v, audited %+v; want it let in", err, refusals)
				case !may && err == nil:
					t.Error("it was let in, want it refused")
				case !may && len(refusals) == 0 && !unlisted && !undecided:
					t.Errorf("refused with %v, and nothing was audited", err)
				}
			})
		}
	}
}

// TestWhatARegionMayTell has region west tell what is its own, and what is not: that is refused, and audited.
func TestWhatARegionMayTell(t *testing.T) {
	h := startHub(t)
	g := startGlobal(t, mem.New(), h)
	h.set(t, inventory...)
	west := tiertest.NewChild(t, "region", "region/west", g.address)
	west.Start()
	prefix := netip.MustParsePrefix("10.0.0.0/16")
	tests := map[string]struct {
		record record.Record
		want   string // the reason of the rejection; empty is none
	}{
		"what it wants of a pool":               {record.Demand{Pool: "p", Region: "west", Want: 1}.Record(), ""},
		"what became of its zone's claim":       {record.Allotment{Owner: "o", Region: "west", Zone: "west-a"}.Record(), ""},
		"what became of a claim for it":         {record.Allotment{Owner: "o", Region: "west"}.Record(), ""},
		"how an application stands":             {record.Status{Namespace: "n", Application: "a"}.Record(), ""},
		"what its zone wants":                   {record.Demand{Pool: "p", Region: "west", Zone: "west-a"}.Record(), feed.ReasonNotYours},
		"what another region wants":             {record.Demand{Pool: "p", Region: "east"}.Record(), feed.ReasonNotYours},
		"what nobody wants":                     {record.Demand{Pool: "p"}.Record(), feed.ReasonNotYours},
		"what became of another region's claim": {record.Allotment{Owner: "o", Region: "east", Zone: "a"}.Record(), feed.ReasonNotYours},
		"what became of Global's claim":         {record.Allotment{Owner: "o"}.Record(), feed.ReasonNotYours},
		"a claim":                               {record.Claim{Owner: "o", Region: "west"}.Record(), feed.ReasonNotYours},
		"a pool":                                {record.Pool{Name: "p"}.Record(), feed.ReasonNotYours},
		"a prefix for itself":                   {record.Prefix{Pool: "p", Region: "west", Prefix: prefix}.Record(), feed.ReasonNotYours},
		"a prefix for its zone":                 {record.Prefix{Pool: "p", Region: "west", Zone: "west-a", Prefix: prefix}.Record(), feed.ReasonNotYours},
		"a grant":                               {record.Grant{Path: "region/west", Generation: 9}.Record(), feed.ReasonNotYours},
		"a token":                               {record.Token{ID: "t"}.Record(), feed.ReasonNotYours},
		"an assignment":                         {record.Assignment{Namespace: "n", Application: "a", Zone: "west-a"}.Record(), feed.ReasonNotYours},
		"a kind that nobody knows":              {record.New(record.Key{Kind: "tomorrow", Name: "x"}, []byte("x")), feed.ReasonNotYours},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(g.trail.Events(audit.PeerRefused))
			west.Outbox.Edit(feed.Put(&tt.record))
			got := west.AwaitOutcome(t, tt.record.Key)
			if (got != nil) != (tt.want != "") || got != nil && got.Reason != tt.want {
				t.Errorf("%s: got %+v, want %q", tt.record.Key, got, tt.want)
			}
			events := g.trail.Events(audit.PeerRefused)[before:]
			switch {
			case tt.want == "" && len(events) > 0:
				t.Errorf("audited: %+v, want nothing", events)
			case tt.want != "" && (len(events) != 1 || events[0].Actor != "region/west" || events[0].Subject != tt.record.Key.String()):
				t.Errorf("audited: %+v, want that region west was refused", events)
			}
		})
	}
}
