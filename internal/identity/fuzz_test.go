package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/protobuf/proto"

	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/question"
)

func FuzzToken(f *testing.F) {
	f.Add(Token{ID: "abc234", Secret: strings.Repeat("x", 32)}.Text())
	f.Add("abc234." + strings.Repeat("x", 31) + "1")
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			if len(text) > tokenSecret && strings.Contains(err.Error(), text) {
				t.Errorf("the error repeats what may be a secret: %v", err)
			}
			return
		}
		again, err := ParseToken(token.Text())
		if err != nil || again != token || strings.TrimSpace(text) != token.Text() {
			t.Errorf("%q reads as %q, which reads as %q, %v", text, token.Text(), again.Text(), err)
		}
		if strings.Contains(token.String(), token.Secret) || strings.Contains(token.GoString(), token.Secret) {
			t.Error("a token prints its secret")
		}
	})
}

func FuzzPin(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0a", 32))
	f.Add("sha256:0a")
	f.Add("md5:" + strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := ParsePin(text)
		if err == nil && !strings.EqualFold(PinOf(hash), text) {
			t.Errorf("%q reads as %s", text, PinOf(hash))
		}
	})
}

// fixture is a chain of each tier, for seeds.
type fixture struct {
	root      Root
	authority *Authority
	csr       []byte
	chain     [][]byte // a region's, without the root
}

func newFixture(tb testing.TB) fixture {
	tb.Helper()
	domain := spiffeid.RequireTrustDomainFromString("meridian")
	root, err := NewRoot(domain, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	source, err := NewSource(domain, question.Path{})
	if err != nil {
		tb.Fatal(err)
	}
	authority, err := NewRootAuthority(AuthorityConfig{Source: source, Lives: Lives{CA: time.Hour, Leaf: time.Hour}}, []Root{root})
	if err != nil {
		tb.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		tb.Fatal(err)
	}
	csr, err := request(key)
	if err != nil {
		tb.Fatal(err)
	}
	chain, err := authority.Issue(csr, question.Path{Region: "west"}, 3)
	if err != nil {
		tb.Fatal(err)
	}
	return fixture{root: root, authority: authority, csr: csr, chain: chain}
}

// FuzzIssue: whatever is asked for, what is issued is a certificate for the place and the key, and nothing else.
func FuzzIssue(f *testing.F) {
	x := newFixture(f)
	f.Add(x.csr)
	f.Add(x.csr[:len(x.csr)-1])
	f.Add(x.root.Cert.Raw)
	f.Add([]byte{})
	path := question.Path{Region: "west"}
	f.Fuzz(func(t *testing.T, csr []byte) {
		chain, err := x.authority.Issue(csr, path, 3)
		if err != nil {
			return
		}
		cert, err := x509.ParseCertificate(chain[0])
		if err != nil {
			t.Fatalf("what was issued cannot be read: %v", err)
		}
		place, ok, err := placeOf(cert)
		if err != nil || !ok || place != path || len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses) > 0 || cert.MaxPathLen != 1 {
			t.Errorf("issued a certificate for %s (%t, %v), names %v %v %v, %d CAs below; want one of %s", place, ok, err,
				cert.DNSNames, cert.IPAddresses, cert.EmailAddresses, cert.MaxPathLen, path)
		}
	})
}

func FuzzIdentityFile(f *testing.F) {
	x := newFixture(f)
	block, err := keyBlock(x.root.Key)
	if err != nil {
		f.Fatal(err)
	}
	var whole bytes.Buffer
	for _, b := range append(certBlocks([]*x509.Certificate{x.root.Cert}), block, &pem.Block{Type: pemToken, Bytes: tokenHash("a.b")}) {
		if err := pem.Encode(&whole, b); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()/2])
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		h, err := parsePEM(content)
		if err == nil && h.key == nil && len(h.certs) == 0 {
			t.Error("a file with nothing in it is no error")
		}
	})
}

// FuzzChain: a chain is believed only if it is the region's.
func FuzzChain(f *testing.F) {
	x := newFixture(f)
	svid, err := x.authority.source.GetX509SVID()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(svid.Certificates[0].Raw, svid.Certificates[1].Raw)
	f.Add(x.chain[0], x.chain[1])
	f.Add(x.root.Cert.Raw, []byte{})
	roots := x509bundle.FromX509Authorities(x.authority.source.TrustDomain(), []*x509.Certificate{x.root.Cert})
	f.Fuzz(func(t *testing.T, leaf, ca []byte) {
		certs, err := parseCertificates([][]byte{leaf, ca}, maxChain)
		if err != nil {
			return
		}
		for _, c := range certs {
			_, _, _ = placeOf(c)
			_, _ = generationOf(c)
			_, _ = peerOf(c)
		}
		v, err := verify(certs, roots, nil)
		if err == nil && (v.path != question.Path{} || !v.root().Equal(x.root.Cert)) {
			t.Errorf("believed: %s under %s", v.path, v.root().Subject)
		}
	})
}

// FuzzMessages reads what the service and its clients are sent.
func FuzzMessages(f *testing.F) {
	x := newFixture(f)
	for _, m := range []proto.Message{
		&identitypb.EnrollRequest{Token: "a.b", Path: "region/west", Csr: x.csr},
		&identitypb.RedeemRequest{Token: "a.b", Path: "region/west/zone/west-a", KeyHash: make([]byte, 32)},
		&identitypb.Issued{Chain: x.chain, Roots: [][]byte{x.root.Cert.Raw}},
		&identitypb.Trusted{Roots: [][]byte{x.root.Cert.Raw}, Active: make([]byte, 32)},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	s := &service{cfg: ServiceConfig{Authority: x.authority}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var enrol identitypb.EnrollRequest
		if proto.Unmarshal(raw, &enrol) == nil {
			if path, err := s.applicant(&enrol); err == nil {
				if issued, err := s.enroll(t.Context(), &enrol, path); err == nil {
					t.Errorf("nobody redeems, and a certificate was issued: %v", issued)
				}
			}
		}
		var redeem identitypb.RedeemRequest
		if proto.Unmarshal(raw, &redeem) == nil {
			if _, _, err := s.redemption(t.Context(), &redeem); err == nil {
				t.Error("a peer without a certificate may redeem")
			}
		}
		var issued identitypb.Issued
		if proto.Unmarshal(raw, &issued) == nil {
			_, _, _ = received(&issued)
		}
		var told identitypb.Trusted
		if proto.Unmarshal(raw, &told) == nil {
			_, _ = heard(&told)
		}
	})
}

// FuzzFolder: whatever a folder holds, opening it is an identity or an error.
func FuzzFolder(f *testing.F) {
	x := newFixture(f)
	block, err := keyBlock(x.root.Key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(block), pem.EncodeToMemory(certBlocks([]*x509.Certificate{x.root.Cert})[0]))
	f.Add([]byte("x"), []byte{})
	f.Fuzz(func(t *testing.T, own, roots []byte) {
		dir := folder{dir: t.TempDir()}
		for name, content := range map[string][]byte{identityFile: own, rootsFile: roots, rootFiles + "0.pem": own} {
			if err := os.WriteFile(dir.dir+"/"+name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if e, _, ok, err := dir.identity(); ok && err == nil && (e.credential.Key == nil || len(e.credential.Chain) == 0) {
			t.Error("an identity without key or certificate")
		}
		if held, err := dir.rootsHeld(); err == nil && len(held) != 1 {
			t.Errorf("got %d roots of one file", len(held))
		}
	})
}
