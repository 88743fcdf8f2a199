package hubclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
)

// prove has the connection show the client certificate of a kubeconfig, if it has one, and returns what gives each question
// its bearer token, if it has one.
func prove(kube *rest.Config, into *tls.Config) (*bearer, error) {
	if kube.Impersonate.UserName != "" {
		return nil, errors.New("the kubeconfig asks as another user: questions to Global can only be asked as oneself")
	}
	own, err := rest.TLSConfigFor(kube)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate of the kubeconfig: %w", err)
	}
	if own != nil {
		into.Certificates, into.GetClientCertificate = own.Certificates, own.GetClientCertificate
	}
	wrapped, err := rest.HTTPWrappersForConfig(kube, catcher{})
	if err != nil {
		return nil, fmt.Errorf("reading the credentials of the kubeconfig: %w", err)
	}
	return &bearer{wrapped}, nil
}

// bearer gives each question the token that a request to the API server would have. It has client-go make such a request,
// and catches it: so files are read again when they change, and plugins are run when their token has ended.
type bearer struct{ request http.RoundTripper }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b *bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://hub.invalid/", nil)
	if err != nil {
		return nil, err
	}
	resp, err := b.request.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("getting the bearer token of the kubeconfig: %w", err)
	}
	defer resp.Body.Close()
	token := resp.Request.Header.Get("Authorization")
	if !strings.HasPrefix(token, "Bearer ") {
		return nil, nil
	}
	return map[string]string{"authorization": token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (*bearer) RequireTransportSecurity() bool { return true }

// catcher answers a request with itself.
type catcher struct{}

func (catcher) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}
