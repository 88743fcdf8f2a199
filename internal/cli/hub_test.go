package cli_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// smallTree answers as a Global with one region and one zone would.
type smallTree struct{ accepted time.Time }

func (s smallTree) Answer(_ context.Context, kind string, payload []byte) ([]byte, error) {
	top := question.Node{Tier: question.TierGlobal, Name: "global"}
	region := question.Node{Tier: question.TierRegion, Name: "west"}
	zone := question.Node{Tier: question.TierZone, Name: "west-a"}
	switch kind {
	case question.KindApplication:
		r, err := question.Decode[question.ApplicationRequest](payload)
		if err != nil {
			return nil, err
		}
		if r.Name != "cart" {
			return nil, fmt.Errorf("application %s/%s: %w", r.Namespace, r.Name, question.ErrNotFound)
		}
		for i, n := range []*question.Node{&top, &region, &zone} {
			n.Application = &question.Application{
				Namespace: r.Namespace, Name: r.Name, Revision: "4f2a91c0deadbeef", Desired: 2, Updated: 2, Ready: 2, Clusters: 1,
				Converged: 1, AcceptedAt: s.accepted, ReceivedAt: s.accepted.Add(time.Duration(i) * 5 * time.Millisecond),
			}
		}
	case question.KindOverview:
		top.Overview = &question.Overview{Applications: 3, Sessions: []question.Session{{Peer: "west", Connected: true, InSync: true}}}
	case question.KindConfirm:
		r, err := question.Decode[question.ConfirmRequest](payload)
		if err != nil {
			return nil, err
		}
		zone.Confirmed = []string{r.What + " at " + r.Target.String()}
	}
	region.Children = []question.Node{zone}
	top.Children = []question.Node{region}
	return question.Encode(top)
}

func serveHub(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	source := tiertest.Source(t, "global")
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLS(source, nil, nil))))
	question.Serve(server, smallTree{accepted: time.Now().Add(-time.Minute)})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("serving the hub: %v", err)
		}
	})
	return listener.Addr().String()
}

// hubData is what Global writes into its ConfigMap, as JSON.
func hubData(t *testing.T, address string) string {
	t.Helper()
	var roots strings.Builder
	for _, root := range tiertest.Root().Roots() {
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(map[string]string{"address": address, "ca.crt": roots.String(), "trust-domain": identitytest.Domain})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestQuestions(t *testing.T) {
	tm := startServer(t)
	r := tm.run("", "status")
	if r.failed == nil || !strings.Contains(r.failed.Error(), "there is no ConfigMap meridian-system/meridian-hub") {
		t.Errorf("status without a hub: got %v, want it to say what is missing", r.failed)
	}
	// What Global writes when it starts, and the inventory.
	tm.ok("apiVersion: v1\nkind: Namespace\nmetadata: {name: meridian-system}\n---\n"+
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: meridian-hub, namespace: meridian-system}\ndata: "+hubData(t, serveHub(t))+"\n---\n"+
		"apiVersion: meridian.dev/v1alpha1\nkind: Region\nmetadata: {name: west}\n---\n"+
		"apiVersion: meridian.dev/v1alpha1\nkind: Zone\nmetadata: {name: west}\nspec: {region: west}\n---\n"+
		"apiVersion: meridian.dev/v1alpha1\nkind: Zone\nmetadata: {name: west-a}\nspec: {region: west}\n", "apply", "-f", "-")

	wantParts(t, "status", tm.ok("", "status"), "APPLICATIONS", "└─ region west", "in sync")
	wantParts(t, "status", tm.ok("", "status", "shop/cart"), "shop/cart", "revision 4f2a91c0de", "ready 2/2", "└─ zone west-a")
	wantParts(t, "status in a namespace", tm.ok("", "status", "cart", "-n", "shop", "-o", "json"), `"namespace": "shop"`, `"tier": "zone"`)
	wantParts(t, "status as YAML", tm.ok("", "status", "-o", "yaml"), "applications: 3\n", "tier: global")
	wantParts(t, "trace", tm.ok("", "trace", "shop/cart"), "RECEIVED", "5ms", "10ms")
	wantEqual(t, "confirm by name", tm.ok("", "confirm", "west-a", "--what", "removals"),
		"region/west/zone/west-a: removals at region/west/zone/west-a\n")
	wantEqual(t, "confirm by path", tm.ok("", "confirm", "region/west/zone/west-a", "--what", "floor"),
		"region/west/zone/west-a: floor at region/west/zone/west-a\n")

	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown application", []string{"status", "shop/nothing"}, "application shop/nothing: not found"},
		{"bad name", []string{"trace", "a/b/c"}, `"a/b/c" is not NAMESPACE/APPLICATION`},
		{"ambiguous target", []string{"confirm", "west", "--what", "floor"}, "west is the name of several"},
		{"unknown target", []string{"confirm", "north", "--what", "floor"}, "there is no region, zone or cluster north"},
		{"bad target", []string{"confirm", "zone/west", "--what", "floor"}, "is neither global nor"},
		{"nothing to confirm", []string{"confirm", "west-a"}, "say with --what"},
		{"unknown thing to confirm", []string{"confirm", "west-a", "--what", "all"}, `what is "all"`},
		{"bad output", []string{"status", "-o", "xml"}, `--output is "xml"`},
		{"no hub there", []string{"status", "--hub", "127.0.0.1:1", "--timeout", "5s"}, "no hub answers at 127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := tm.run("", tt.args...); r.failed == nil || !strings.Contains(r.failed.Error(), tt.want) {
				t.Errorf("got %v, want %q", r.failed, tt.want)
			}
		})
	}
}
