package e2e

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// The victim is a zone, and its parent.
var (
	westPath  = question.Path{Region: "west"}
	westBPath = question.Path{Region: "west", Zone: "west-b"}
)

// credential is what a process of the run has in its folder.
type credential struct {
	key   crypto.Signer
	chain []*x509.Certificate
	roots []*x509.Certificate
}

// credential reads the folder of a process, as whoever has taken it over can.
func (f *federation) credential(t *testing.T, name string) credential {
	t.Helper()
	var c credential
	dir := filepath.Join(f.dir, "identities", name)
	for _, block := range pems(t, filepath.Join(dir, "identity.pem")) {
		switch block.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			c.key = key.(crypto.Signer)
		case "CERTIFICATE":
			c.chain = append(c.chain, certificate(t, block.Bytes))
		}
	}
	for _, block := range pems(t, filepath.Join(dir, "roots.pem")) {
		c.roots = append(c.roots, certificate(t, block.Bytes))
	}
	return c
}

func pems(t *testing.T, file string) (out []*pem.Block) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		out = append(out, block)
	}
	return out
}

func certificate(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue signs a leaf for a place by a certificate authority's key, from and until when it is told.
func (c credential) issue(t *testing.T, path question.Path, from, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, URIs: []*url.URL{{Scheme: "spiffe", Host: "meridian", Path: "/" + path.String()}}}
	der, err := x509.CreateCertificate(rand.Reader, template, c.chain[0], key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	out := tls.Certificate{PrivateKey: key, Certificate: [][]byte{der}}
	for _, cert := range c.chain {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	return out
}

// shows has a connection show a certificate, whatever the server asks for, and believe the run's roots.
func (c credential) shows(cert tls.Certificate, server question.Path) *tls.Config {
	cfg := identity.VisitorTLS(spiffeid.RequireTrustDomainFromString("meridian"), c.roots, server)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return cfg
}

// own is what an agent shows.
func (c credential) own() tls.Certificate {
	out := tls.Certificate{PrivateKey: c.key}
	for _, cert := range c.chain {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	return out
}

// said collects a log, and tells of the first line.
type said struct{ first chan string }

func (s said) Write(p []byte) (int, error) {
	select {
	case s.first <- string(p):
	default:
	}
	return len(p), nil
}

// knock asks for a session as the victim, once, and returns why there is none.
func knock(t *testing.T, address string, cfg *tls.Config, role string, path question.Path) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lookWithin)
	defer cancel()
	log := said{make(chan string, 1)}
	done := make(chan error, 1)
	go func() {
		done <- feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: []string{address}, Hello: feed.Hello{Role: role, Path: path.String()},
			Credentials: credentials.NewTLS(cfg), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))},
			feedgrpc.Endpoint{Outbox: feed.NewOutbox(), Ledger: feed.NewLedger(feed.State{}, nil),
				Apply: func(context.Context, feed.Batch) ([]feed.Rejection, error) {
					t.Errorf("somebody who is not %s was sent what it is to have", path)
					return nil, nil
				},
				Opened: func(*feedgrpc.Link) {}})
	}()
	var why string
	select {
	case why = <-log.first:
	case <-ctx.Done():
		t.Errorf("nobody refused a session as %s", path)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return why
}

// refusals are the lines of a process' audit log that tell of what was refused.
func (f *federation) refusals(t *testing.T, process string) []string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(f.run.Logs(), process+".log"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "msg=audit") && strings.Contains(line, "result=refused") {
			out = append(out, line)
		}
	}
	return out
}

// audited waits until a process has recorded, after so many refusals, one that says why.
func (f *federation) audited(t *testing.T, process string, before int, why string) {
	t.Helper()
	await(t, process+" records that it refused", func(context.Context) error {
		for _, line := range f.refusals(t, process)[before:] {
			if strings.Contains(line, why) {
				return nil
			}
		}
		return fmt.Errorf("none of %d new lines says %q", len(f.refusals(t, process))-before, why)
	})
}

// TestImpostorsAreRefused: over real sockets nobody is taken for a zone but those of its own certificates, and the zone
// notices nothing of the others.
func TestImpostorsAreRefused(t *testing.T) {
	f := start(t)
	region := f.credential(t, "region-west")
	zoneA, zoneB := f.credential(t, "zone-west-a-0"), f.credential(t, "zone-west-b")
	agent := f.credential(t, "agent-west-b-1")
	other, err := identitytest.New(identitytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Source(westBPath)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := identitytest.Certificate(foreign)
	if err != nil {
		t.Fatal(err)
	}
	now, later := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	before := f.victim(t)
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		why  string
	}{
		{"no certificate", tls.Certificate{}, "the peer has no certificate"},
		{"another authority", forged, "unknown authority"},
		{"expired", zoneB.issue(t, westBPath, now.Add(-time.Hour), now), "expired"},
		{"the zone beside", zoneA.issue(t, question.Path{Region: "west", Zone: "west-a"}, now, later), "claims to be region/west/zone/west-b"},
		{"signed by the zone beside", zoneA.issue(t, westBPath, now, later), "where it does not belong"},
		{"an agent of the zone", agent.own(), "is not directly below region/west"},
		{"signed by an agent", agent.issue(t, westBPath, now, later), "verifying a certificate"},
		{"the region itself", region.issue(t, westPath, now, later), "is not directly below region/west"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := len(f.refusals(t, "region-west"))
			knock(t, f.run.Listen("region-west"), region.shows(tt.cert, westPath), string(question.TierZone), westBPath)
			f.audited(t, "region-west", known, tt.why)
		})
	}
	if after := f.victim(t); after != before {
		t.Errorf("the zone's session: got %+v, want it as before, %+v", after, before)
	}
}

// victim is how the zone's session with its region stands.
func (f *federation) victim(t *testing.T) (session question.Session) {
	t.Helper()
	await(t, "the zone is in sync", func(ctx context.Context) error {
		tree, err := f.tree(ctx)
		if err != nil {
			return err
		}
		node := tree.At(westPath)
		if node == nil || node.Overview == nil {
			return fmt.Errorf("%s did not answer", westPath)
		}
		for _, s := range node.Overview.Sessions {
			if s.Peer == "zone/west-b" && s.Connected && s.InSync {
				session = question.Session{Peer: s.Peer, Connected: s.Connected, Since: s.Since}
				return nil
			}
		}
		return fmt.Errorf("it is not: %+v", node.Overview.Sessions)
	})
	return session
}

// TestTokensAreSpentOnce: a token that was used, one of another place, and one that was revoked enrol nobody.
func TestTokensAreSpentOnce(t *testing.T) {
	f := start(t)
	pin := identity.Pin(f.credential(t, "region-west").roots[0])
	create := func(args ...string) string {
		t.Helper()
		return f.token(t, append([]string{"--region", "west", "--zone", "west-b", "--replica"}, args...)...)
	}
	spent, revoked, elsewhere := create(), create(), create("--cluster", "west-b-1")
	if _, err := f.enrol(t, spent, pin); err != nil {
		t.Fatalf("with a token that is good: %v", err)
	}
	id, _, _ := strings.Cut(revoked, ".")
	f.meridian(t, "token", "revoke", id)
	for _, tt := range []struct{ name, token, why string }{
		{"spent", spent, "the token is spent"},
		{"revoked", revoked, "the token is not known"},
		{"of another place", elsewhere, "the token is for region/west/zone/west-b/cluster/west-b-1"},
		{"never made", identity.NewToken().Text(), "the token is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := len(f.refusals(t, "region-west"))
			if _, err := f.enrol(t, tt.token, pin); err == nil || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("got %v, want it refused with %q", err, tt.why)
			}
			f.audited(t, "region-west", known, tt.why)
		})
	}
}

// token makes one as the hub's administrator.
func (f *federation) token(t *testing.T, args ...string) string {
	t.Helper()
	issued, err := question.Decode[question.IssuedToken]([]byte(f.meridian(t, append([]string{"token", "create", "-o", "json"}, args...)...)))
	if err != nil {
		t.Fatal(err)
	}
	return issued.Text
}

// enrol gets an identity of the zone's by a token, as another of its processes would.
func (f *federation) enrol(t *testing.T, token, pin string) (*identity.Identity, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := identity.Config{Path: westBPath, Parents: []string{f.run.Listen("region-west")}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Identity: config.Identity{Dir: t.TempDir(), TokenFile: file, Pin: []string{pin}}}
	cfg.Default()
	ctx, cancel := context.WithTimeout(t.Context(), awaitWithin)
	defer cancel()
	return identity.Open(ctx, cfg)
}
