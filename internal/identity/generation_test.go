package identity_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// copied is the key and the chain that lie in the folder of a process.
func (tr *tree) copied(path question.Path) (key crypto.Signer, chain []*x509.Certificate) {
	tr.t.Helper()
	rest, err := os.ReadFile(filepath.Join(tr.config(path, "").Dir, "identity.pem"))
	if err != nil {
		tr.t.Fatal(err)
	}
	for b, rest := pem.Decode(rest); b != nil; b, rest = pem.Decode(rest) {
		switch b.Type {
		case "PRIVATE KEY":
			parsed, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				tr.t.Fatal(err)
			}
			key = parsed.(crypto.Signer)
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				tr.t.Fatal(err)
			}
			chain = append(chain, cert)
		}
	}
	return key, chain
}

// thief dials the region by a leaf that the copied key of a zone's authority signs, of a generation of the thief's choice.
func (tr *tree) thief(generation uint64) *tls.Config {
	tr.t.Helper()
	key, chain := tr.copied(zonePath)
	template := leafFor("/" + zonePath.String())
	template.Subject.SerialNumber = strconv.FormatUint(generation, 10)
	cfg := identity.ClientTLS(tr.procs[zonePath].Source, regionPath, nil)
	cert := forge(tr.t, template, key, chain).certificate()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	return cfg
}

// TestNobodyChoosesOnesGeneration: by the copied key of a tier nothing is had that outlives the place's replacement.
func TestNobodyChoosesOnesGeneration(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	got := shake(t, identity.ServerTLS(tr.procs[regionPath].Source, tr.lowest, nil), tr.thief(99))
	if got.server == nil || !strings.Contains(got.server.Error(), "of two generations, 99 and 0") {
		t.Errorf("a leaf of generation 99 under an authority of generation 0: got %v, want it refused", got.server)
	}
	standing := tr.callerWith(credentials.NewTLS(tr.thief(0)), regionPath)
	issued, err := standing.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)})
	if err != nil {
		t.Fatalf("before anybody knows of the theft: %v", err)
	}
	if cert, err := x509.ParseCertificate(issued.GetChain()[0]); err != nil || cert.Subject.SerialNumber != "0" {
		t.Errorf("renewed: got %v, generation %v; want generation 0", err, cert.Subject.SerialNumber)
	}
	cfg := tr.config(zonePath, tr.token(zonePath, question.TokenReplace))
	cfg.Dir = t.TempDir()
	if _, err := tr.open(cfg); err != nil {
		t.Fatal(err)
	}
	_, err = standing.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)})
	wantRefused(t, "renewing when the zone was replaced", err, "is revoked")
}

// TestParentRevoked: who was signed for by a revoked authority gets nothing on a connection that stands.
func TestParentRevoked(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	standing := tr.caller(zonePath, regionPath)
	if _, err := standing.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)}); err != nil {
		t.Fatalf("before: %v", err)
	}
	cfg := tr.config(regionPath, tr.token(regionPath, question.TokenReplace))
	cfg.Dir = t.TempDir()
	if _, err := tr.open(cfg); err != nil {
		t.Fatal(err)
	}
	_, err := standing.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)})
	wantRefused(t, "renewing", err, "region/west is revoked")
	_, err = standing.Redeem(t.Context(), &identitypb.RedeemRequest{Token: identity.NewToken().Text(), Path: clusterPath.String(), KeyHash: make([]byte, 32)})
	wantRefused(t, "redeeming", err, "region/west is revoked")
}

// TestGenerationThatNobodyGranted: a generation above the grant's is not renewed.
func TestGenerationThatNobodyGranted(t *testing.T) {
	root := identitytest.Must(identitytest.Options{Generation: func(p question.Path) uint64 { return map[question.Path]uint64{regionPath: 7}[p] }})
	authority, err := root.Authority(globalPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		granted uint64
		why     string
	}{
		{"the one that was granted", 7, ""},
		{"one above", 6, "the generation 7 of region/west is above 6"},
		{"none was granted", 0, "the generation 7 of region/west is above 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lowest := func(p question.Path) uint64 { return map[question.Path]uint64{regionPath: tt.granted}[p] }
			client, _ := serveAuthority(t, identity.ServiceConfig{Authority: authority, Lowest: lowest}, source(t, root, regionPath))
			_, err := client.Renew(t.Context(), &identitypb.RenewRequest{Csr: newCSR(t)})
			if tt.why == "" && err != nil {
				t.Errorf("got %v, want it renewed", err)
			}
			if tt.why != "" {
				wantRefused(t, "renewing", err, tt.why)
			}
		})
	}
}
