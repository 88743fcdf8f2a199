package global_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// door is an address behind which one or another API server is.
type door struct {
	server  *httptest.Server
	current atomic.Pointer[httputil.ReverseProxy]
}

func (d *door) lead(t *testing.T, h *hub) {
	t.Helper()
	transport, err := rest.TransportFor(h.kube.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(h.kube.RESTConfig().Host)
	if err != nil {
		t.Fatal(err)
	}
	d.current.Store(&httputil.ReverseProxy{Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
	if d.server != nil {
		d.server.CloseClientConnections()
	}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.current.Load().ServeHTTP(w, r) }

// TestHubSwapped puts an empty API server in the hub's place while Global runs, and then the hub back.
func TestHubSwapped(t *testing.T) {
	known, stranger, s := startHub(t), startHub(t), mem.New()
	d := &door{}
	d.lead(t, known)
	d.server = httptest.NewServer(d)
	t.Cleanup(d.server.Close)
	g := startGlobalAt(t, s, &rest.Config{Host: d.server.URL, QPS: -1})
	west := startRegion(t, "west", g)
	known.set(t, inventory...)
	known.set(t, application("cart", "cart:1", ""), application("catalog", "catalog:1", ""))
	wantAssigned(t, west, "shop/cart/west-a", "shop/catalog/west-a")

	refusals := func(want int) {
		t.Helper()
		eventually(t, "refusals", func() string {
			node, err := g.ask(t, question.KindOverview, question.OverviewRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if r := node.Overview.Refusals; len(r) != want || node.Overview.Held != nil && node.Overview.Held.Total > 0 {
				return fmt.Sprintf("refusals are %+v, held is %+v; want %d and none", r, node.Overview.Held, want)
			}
			return ""
		})
	}
	stranger.set(t, inventory...)
	stranger.set(t, application("intruder", "intruder:1", ""))
	d.lead(t, stranger)
	refusals(1)
	wantAssigned(t, west, "shop/cart/west-a", "shop/catalog/west-a")
	if got := stranger.application(t, "shop", "intruder").Status; len(got.Conditions) > 0 {
		t.Errorf("the stranger's application has the status %+v", got)
	}

	d.lead(t, known)
	known.set(t, application("search", "search:1", ""))
	wantAssigned(t, west, "shop/cart/west-a", "shop/catalog/west-a", "shop/search/west-a")
	refusals(0)
	known.wantCondition(t, "search", v1alpha1.ConditionAccepted, "=True")
}
