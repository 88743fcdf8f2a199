package region_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/region"
)

// TestLeavesAGlobalThatWasReplaced: the region ends its session with a process of Global of which it hears, from that process
// itself, that it was replaced, and goes to one that was not.
func TestLeavesAGlobalThatWasReplaced(t *testing.T) {
	root := identitytest.Must(identitytest.Options{})
	own, err := root.Source(question.Path{Region: "west"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := root.Authority(question.Path{})
	if err != nil {
		t.Fatal(err)
	}
	replaced, replacement := tiertest.NewParentAs(t, first.Source()), tiertest.NewParentAs(t, successor(t, first, 1))
	replacement.Stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := region.Config{ID: "region-0", Region: "west", Global: []string{replaced.Address, replacement.Address}}
	cfg.Default()
	r := region.New(cfg, region.Deps{Store: mem.New(), Listener: listener, Log: slog.New(slog.DiscardHandler), Identity: own})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	replaced.AwaitInSync(t)
	grant := record.Grant{Path: "global", Generation: 1, Enrolled: true}.Record()
	replacement.Put(grant)
	replacement.Start(t)
	replaced.Put(grant)
	replacement.AwaitSession(t, "the region has come to the replacement", func(s feed.Status) bool { return s.InSync })
	if replaced.Connected() {
		t.Error("the region is still with the process that was replaced")
	}
}

// successor is the identity of another process of Global's, of a generation.
func successor(t *testing.T, first *identity.Authority, generation uint64) *identity.Source {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := first.Issue(csr, question.Path{}, generation)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(issued[0])
	if err != nil {
		t.Fatal(err)
	}
	source, err := identity.NewSource(first.Source().TrustDomain(), question.Path{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.NewAuthority(identity.AuthorityConfig{Source: source, Lives: identity.Lives{CA: time.Hour, Leaf: time.Hour}},
		identity.Credential{Key: key, Chain: []*x509.Certificate{cert}}, first.Source().Roots()); err != nil {
		t.Fatal(err)
	}
	return source
}
