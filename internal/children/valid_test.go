package children

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// TestValid asks how long a session goes on whose certificate has ended: as long as whoever began it renews that.
func TestValid(t *testing.T) {
	zone := question.Path{Region: "west", Zone: "a"}
	agent, renewed := question.Path{Region: "west", Zone: "a", Cluster: "a1"}, question.Path{Region: "west", Zone: "a", Cluster: "a2"}
	root := identitytest.Must(identitytest.Options{})
	own, err := root.Authority(zone)
	if err != nil {
		t.Fatal(err)
	}
	stranger := identitytest.Must(identitytest.Options{})
	for _, tt := range []struct {
		name string
		from *identitytest.Root
		path question.Path
		// signs: it goes on until the authority ends that it has shown, a day from now.
		signs bool
		err   error
	}{
		{"an agent that was issued no other", stranger, agent, false, errEnded},
		{"an agent that was issued another here", root, renewed, false, nil},
		{"another replica of the zone, which signs its own", stranger, zone, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, err := tt.from.Source(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			svid, err := source.GetX509SVID()
			if err != nil {
				t.Fatal(err)
			}
			ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: svid.Certificates}}})
			d := &door{authority: own}
			until, err := d.valid(ctx, feedgrpc.Identity{Path: tt.path.String(), NotAfter: time.Now().Add(-time.Minute)})
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if left := time.Until(until); err == nil && left <= 0 || tt.signs && left < 2*time.Hour {
				t.Errorf("it goes on for %v", left)
			}
		})
	}
}
