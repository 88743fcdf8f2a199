package global_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
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
