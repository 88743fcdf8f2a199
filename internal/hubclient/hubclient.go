// Package hubclient dials Global as a person does, by the credentials of a kubeconfig: where Global is, and whom to take
// for it, stands in a ConfigMap at its API server; who asks is proved by the bearer token, token file, exec plugin or client
// certificate that the API server takes. They go to whom the ConfigMap's roots prove to be Global, and to nobody else.
//
// The CLI and the harnesses import it; no tier does.
package hubclient

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
)

// Options stand above what the ConfigMap says.
type Options struct {
	// Address is Global's.
	Address string
	// CAFile holds the roots of Global's identity, PEM.
	CAFile string
}

// defaultTrustDomain is that of a control plane whose roots name none.
const defaultTrustDomain = "meridian"

// place is where Global is, and who.
type place struct {
	address string
	roots   []*x509.Certificate
	domain  spiffeid.TrustDomain
}

// Dial makes a client of Global, as the user of a kubeconfig.
func Dial(ctx context.Context, kube *rest.Config, o Options) (*question.Client, error) {
	at, err := find(ctx, kube, o)
	if err != nil {
		return nil, err
	}
	tls := identity.VisitorTLS(at.domain, at.roots, question.Path{})
	bearer, err := prove(kube, tls)
	if err != nil {
		return nil, err
	}
	return question.Dial(at.address, credentials.NewTLS(tls), grpc.WithPerRPCCredentials(bearer))
}

// find reads the ConfigMap for what the options do not say.
func find(ctx context.Context, kube *rest.Config, o Options) (at place, err error) {
	said := map[string]string{}
	if o.Address == "" || o.CAFile == "" {
		if said, err = lookup(ctx, kube); err != nil {
			return at, err
		}
	}
	where := "ConfigMap " + question.HubNamespace + "/" + question.HubConfigMap
	if at.address = cmp.Or(o.Address, said[question.HubAddressKey]); at.address == "" {
		return at, fmt.Errorf("the %s has no %s; give it with --hub", where, question.HubAddressKey)
	}
	bundle, from := []byte(said[question.HubCAKey]), where
	if o.CAFile != "" {
		from = o.CAFile
		if bundle, err = os.ReadFile(o.CAFile); err != nil {
			return at, fmt.Errorf("reading the roots of Global's identity: %w", err)
		}
	}
	if at.roots, err = certificates(bundle); err != nil {
		return at, fmt.Errorf("reading the roots of Global's identity in %s: %w; give them with --hub-ca-file", from, err)
	}
	if at.domain, err = domainOf(said[question.HubTrustDomainKey], at.roots); err != nil {
		return at, fmt.Errorf("reading the trust domain in %s: %w", from, err)
	}
	return at, nil
}

// lookup reads what Global wrote beside its resources.
func lookup(ctx context.Context, kube *rest.Config) (map[string]string, error) {
	where := question.HubNamespace + "/" + question.HubConfigMap
	core, err := corev1client.NewForConfig(kube)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	configMap, err := core.ConfigMaps(question.HubNamespace).Get(ctx, question.HubConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no ConfigMap %s at %s: Global has not run there yet; or say where it is with --hub and --hub-ca-file",
			where, kube.Host)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the hub in ConfigMap %s: %w", where, err)
	}
	return configMap.Data, nil
}

func certificates(bundle []byte) (certs []*x509.Certificate, err error) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no PEM certificate")
	}
	return certs, nil
}

// domainOf is the trust domain that is said, or else the one that a root spells.
func domainOf(said string, roots []*x509.Certificate) (spiffeid.TrustDomain, error) {
	for _, root := range roots {
		if said == "" && len(root.URIs) == 1 {
			said = root.URIs[0].Host
		}
	}
	return spiffeid.TrustDomainFromString(cmp.Or(said, defaultTrustDomain))
}
