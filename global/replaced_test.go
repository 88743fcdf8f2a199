package global_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/global"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// joins is the configuration of one more process of Global.
func (g *tier) joins(t *testing.T, mode string) func(*identity.Config) {
	t.Helper()
	set := g.with(t, g.tokenOf(t, question.TokenRequest{TTLSeconds: 600, Uses: 1, Mode: mode}))
	return func(cfg *identity.Config) {
		set(cfg)
		cfg.Parents, cfg.Join = nil, []string{g.address}
	}
}

// TestGlobalReplaced: a token that replaces Global's place has its processes end whose certificates no longer count, and
// nobody lets them in.
func TestGlobalReplaced(t *testing.T) {
	h, s := startHub(t), mem.New()
	h.set(t, inventory...)
	root := open(t, question.Path{}, func(*identity.Config) {})
	g := startGlobalAs(t, s, h.kube.RESTConfig(), root)
	region := open(t, westPath, g.with(t, g.token(t, westPath)))
	opened := serveRegion(t, region.Source, g)
	eventually(t, "the region is served", func() string { return lacks(opened.Load() > 0) })

	taken := open(t, question.Path{}, g.joins(t, question.TokenReplica))
	ended := make(chan error, 1)
	go func() {
		ended <- tryGlobal(t, s.Open(), h.kube.RESTConfig(), taken, func(c *global.Config) { c.ID = "global-1" })
	}()
	next := open(t, question.Path{}, g.joins(t, question.TokenReplace))
	if got := next.Source.Status().Generation; got != 1 {
		t.Errorf("the replacement is of generation %d, want 1", got)
	}
	if err := <-ended; !errors.Is(err, identity.ErrReplaced) || !strings.Contains(err.Error(), "meridian token create --global --replica") {
		t.Errorf("the process that was replaced ended with %v, want what happened and what to do", err)
	}
	eventually(t, "the process that has the root goes over to the new generation", func() string {
		return lacks(root.Source.Status().Generation == 1)
	})
	g.recorded(t, audit.Redeem, "the replacement", func(e audittest.Event) bool {
		return e.Subject == "global" && e.Result == audit.Done && fmt.Sprint(e.Detail["generation"]) == "1"
	})

	stranger := &tier{address: g.address}
	late := serveRegion(t, taken.Source, stranger) // it knocks with what it has, and gets no further than the handshake
	g.recorded(t, audit.PeerRefused, "the refusal of the process that was replaced", func(e audittest.Event) bool {
		return strings.Contains(e.Reason, "global is revoked: its generation is 0, and 1 is the lowest")
	})
	if late.Load() != 0 {
		t.Error("the process that was replaced was let in")
	}
}

// lacks is what eventually is told of a condition.
func lacks(ok bool) string {
	if ok {
		return ""
	}
	return "not yet"
}
