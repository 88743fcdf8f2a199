package asker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meridian-federation/meridian/internal/question"
)

// Who finds out who makes a gRPC call: by the client certificate of the connection, else by the bearer token of the call.
func (d *Desk) Who(ctx context.Context) (User, error) {
	chain := certificates(ctx)
	var refused error
	if len(chain) > 0 {
		user, err := d.people.user(ctx, chain)
		if err == nil {
			return user, nil
		}
		refused = err
	}
	if token := bearer(ctx); token != "" {
		return d.whose(ctx, token)
	}
	if refused != nil {
		return User{}, refused
	}
	return User{}, fmt.Errorf("%w: the question came with neither a bearer token nor a client certificate of Global's API server",
		question.ErrUnauthenticated)
}

func bearer(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, value := range md.Get("authorization") {
		if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
			return strings.TrimSpace(token)
		}
	}
	return ""
}

// certificates are what the connection's other end showed, and has the key of.
func certificates(ctx context.Context) []*x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	return info.State.PeerCertificates
}

// Where every API server publishes by which authority it knows people's client certificates.
const (
	clientCAConfigMap = "extension-apiserver-authentication"
	clientCAKey       = "client-ca-file"
)

// clientCAKept is how long the authority counts before it is read again.
const clientCAKept = time.Minute

// clientCA knows people by their certificates.
type clientCA struct {
	read func(ctx context.Context) ([]byte, error)

	mu   sync.Mutex     // guards all below, and has one caller read
	pool *x509.CertPool // nil where the API server knows nobody by certificate
	at   time.Time
}

// clientCAOf reads the authority's certificates, PEM; none where the API server takes no client certificates.
func clientCAOf(kube kubernetes.Interface) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		c, err := kube.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, clientCAConfigMap, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return []byte(c.Data[clientCAKey]), nil
	}
}

// user is whom a chain of certificates names: the common name, and the organisations as groups.
func (c *clientCA) user(ctx context.Context, chain []*x509.Certificate) (User, error) {
	leaf := chain[0]
	if len(leaf.URIs) > 0 {
		return User{}, fmt.Errorf("%w: the certificate is a process', and only people ask", question.ErrUnauthenticated)
	}
	pool, err := c.roots(ctx)
	if err != nil {
		return User{}, fmt.Errorf("%w: reading by which authority the hub's API server knows client certificates: %w",
			question.ErrUnavailable, err)
	}
	if pool == nil {
		return User{}, fmt.Errorf("%w: the hub's API server takes no client certificates", question.ErrUnauthenticated)
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil && leaf.Subject.CommonName == "" {
		err = errors.New("it names nobody")
	}
	if err != nil {
		return User{}, fmt.Errorf("%w: the client certificate is none that the hub's API server knows: %w", question.ErrUnauthenticated, err)
	}
	return User{Name: leaf.Subject.CommonName, Groups: append([]string{"system:authenticated"}, leaf.Subject.Organization...)}, nil
}

func (c *clientCA) roots(ctx context.Context) (*x509.CertPool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < clientCAKept {
		return c.pool, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	defer cancel()
	bundle, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		pool = nil
	}
	c.pool, c.at = pool, time.Now()
	return pool, nil
}
