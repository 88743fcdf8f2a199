package identity_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// listening is a stream at a zone's authority that has heard whom the zone believes, as its cluster.
func listening(t *testing.T, root *identitytest.Root, lowest identity.Lowest) (stream identitypb.Authority_TrustClient, revalidate func()) {
	t.Helper()
	authority, err := root.Authority(zonePath)
	if err != nil {
		t.Fatal(err)
	}
	client, revalidate := serveAuthority(t, identity.ServiceConfig{Authority: authority, Lowest: lowest}, source(t, root, clusterPath))
	if stream, err = client.Trust(t.Context(), &identitypb.TrustRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream, revalidate
}

// TestRevokedListenerIsTurnedAway: who was revoked hears no more of the roots.
func TestRevokedListenerIsTurnedAway(t *testing.T) {
	var revoked atomic.Uint64
	stream, revalidate := listening(t, identitytest.Must(identitytest.Options{}), func(p question.Path) uint64 {
		if p == clusterPath {
			return revoked.Load()
		}
		return 0
	})
	revoked.Store(1)
	revalidate()
	_, err := stream.Recv()
	wantRefused(t, "listening", err, "cluster/one is revoked")
}

// TestEndedListenerIsTurnedAway: nobody hears of the roots for longer than it has a certificate.
func TestEndedListenerIsTurnedAway(t *testing.T) {
	t.Parallel()
	stream, _ := listening(t, identitytest.Must(identitytest.Options{Lives: identity.Lives{CA: time.Hour, Leaf: 4 * time.Second}}), nil)
	_, err := stream.Recv()
	wantRefused(t, "listening", err, "the certificate ended at")
}

// TestEndedPeerRedeemsNothing: a connection that outlasts its certificate spends no tokens.
func TestEndedPeerRedeemsNothing(t *testing.T) {
	t.Parallel()
	root := identitytest.Must(identitytest.Options{Lives: identity.Lives{CA: time.Hour, Leaf: 4 * time.Second}})
	authority, err := root.Authority(globalPath)
	if err != nil {
		t.Fatal(err)
	}
	region := source(t, root, regionPath)
	client, _ := serveAuthority(t, identity.ServiceConfig{Authority: authority}, region)
	if _, err := client.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)}); err != nil {
		t.Fatalf("before the certificate ended: %v", err)
	}
	await(t, "the certificate has ended", func() bool { return time.Now().After(region.Status().NotAfter) })
	_, err = client.Redeem(t.Context(), &identitypb.RedeemRequest{Token: identity.NewToken().Text(), Path: zonePath.String(), KeyHash: make([]byte, 32)})
	wantRefused(t, "redeeming", err, "the certificate ended at")
}
