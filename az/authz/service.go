package authz

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/meridian-federation/meridian/internal/policy"
)

// Headers of the answers: the rule goes on to the application, the reason back to the caller.
const (
	HeaderRule   = "x-meridian-rule"
	HeaderReason = "x-meridian-reason"
)

// Service answers Envoy's questions over gRPC.
type Service struct {
	authv3.UnimplementedAuthorizationServer
	index   *Index
	metrics *Metrics
}

// NewService answers by an index, and counts in metrics.
func NewService(index *Index, metrics *Metrics) *Service {
	return &Service{index: index, metrics: metrics}
}

// Serve answers at a listener until ctx ends, and closes it. The options say to whom, and within which limits.
func (s *Service) Serve(ctx context.Context, listener net.Listener, options ...grpc.ServerOption) error {
	server := grpc.NewServer(options...)
	authv3.RegisterAuthorizationServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving external authorization: %w", err)
	case <-ctx.Done():
	}
	server.Stop()
	<-served
	return nil
}

// Check implements authv3.AuthorizationServer. It returns no error: a refusal is an answer.
func (s *Service) Check(_ context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	began := time.Now()
	decision := s.index.Check(requestOf(in))
	s.metrics.observe(decision.Allowed, time.Since(began))
	if decision.Allowed {
		return allowed(decision), nil
	}
	return denied(decision), nil
}

func requestOf(in *authv3.CheckRequest) Request {
	a := in.GetAttributes()
	h := a.GetRequest().GetHttp()
	return Request{Source: a.GetSource().GetPrincipal(), Destination: a.GetDestination().GetPrincipal(),
		Port: a.GetDestination().GetAddress().GetSocketAddress().GetPortValue(),
		Host: h.GetHost(), Method: h.GetMethod(), Path: h.GetPath(), Extensions: a.GetContextExtensions()}
}

func allowed(d policy.Decision) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{Headers: header(HeaderRule, d.Rule)}}}
}

func denied(d policy.Decision) *authv3.CheckResponse {
	reason := printable(d.Reason)
	return &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied), Message: reason},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(http.StatusForbidden)},
			Body:   reason + "\n", Headers: header(HeaderReason, reason)}}}
}

// header replaces whatever the caller sent under the name.
func header(key, value string) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: key, Value: printable(value)},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}}
}

// maxText bounds what is said of one request, in bytes.
const maxText = 512

// printable keeps a text to what a header may hold: reasons quote what clients send.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxText)])
}
