package global_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// TestChangedBy has real users change a spec at a hub that notes who does, and reads the audit log.
func TestChangedBy(t *testing.T) {
	kube := localkube.ForTest(t, localkube.Config{APIOnly: true, Users: []localkube.User{
		{Name: "anna", Token: "anna-token", Groups: []string{"system:masters"}}, {Name: "ben", Token: "ben-token", Groups: []string{"system:masters"}}}})
	if err := local.PrepareHub(t.Context(), kube); err != nil {
		t.Fatal(err)
	}
	people := map[string]*hub{}
	for _, name := range []string{"anna", "ben"} {
		cfg := rest.AnonymousClientConfig(kube.RESTConfig())
		cfg.BearerToken = name + "-token"
		client, err := dynamic.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		people[name] = &hub{kube, client}
	}
	g := startGlobal(t, mem.New(), people["anna"])
	people["anna"].set(t, inventory...)
	wantActor := func(generation float64, who string, result audit.Result) {
		t.Helper()
		eventually(t, fmt.Sprintf("generation %v", generation), func() string {
			for _, e := range g.trail.Events(audit.SpecChange) {
				if e.Subject == "shop/web" && e.Detail["generation"] == generation {
					if e.Actor != who || e.Result != result || e.Detail["kind"] != "Application" {
						return fmt.Sprintf("told was %+v, want %s, %s", e, who, result)
					}
					return ""
				}
			}
			return "nothing is told"
		})
	}
	people["anna"].set(t, application("web", "web:1", ""))
	wantActor(1, "anna", audit.Done)
	people["ben"].set(t, application("web", "web:2", ""))
	wantActor(2, "ben", audit.Done)
	forged := []byte(`{"metadata":{"annotations":{"meridian.dev/changed-by":"ben"}},"spec":{"resources":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}]}}`)
	if _, err := people["anna"].of("Application", "shop").Patch(t.Context(), "web", types.MergePatchType, forged, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	wantActor(3, "anna", audit.Refused)
}
