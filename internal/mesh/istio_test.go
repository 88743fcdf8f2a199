package mesh_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	networking "istio.io/api/networking/v1alpha3"
	istio "istio.io/client-go/pkg/apis/networking/v1"
)

// TestSidecarIsIstios reads the compiled Sidecar with Istio's own types, which refuse unknown fields.
func TestSidecarIsIstios(t *testing.T) {
	var got istio.Sidecar
	if err := json.Unmarshal(find(t, cart(t).compile(t), "Sidecar").Record.Content, &got); err != nil {
		t.Fatal(err)
	}
	want := &networking.Sidecar{
		WorkloadSelector: &networking.WorkloadSelector{Labels: map[string]string{"meridian.dev/application": "cart"}},
		Egress: []*networking.IstioEgressListener{{
			Hosts: []string{"shop/cache.shop.svc.cluster.local", "shop/cart.shop.svc.cluster.local"},
		}},
		OutboundTrafficPolicy: &networking.OutboundTrafficPolicy{Mode: networking.OutboundTrafficPolicy_REGISTRY_ONLY},
	}
	if diff := cmp.Diff(want, &got.Spec, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
