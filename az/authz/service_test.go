package authz_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/az/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial serves an index until the test ends, and returns a client.
func dial(t testing.TB, index *authz.Index, r prometheus.Registerer) authv3.AuthorizationClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- authz.NewService(index, authz.NewMetrics(r)).Serve(ctx, listener)
	}()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return authv3.NewAuthorizationClient(conn)
}

// asked is a request as Envoy sends it.
func asked(r authz.Request) *authv3.CheckRequest {
	attributes := &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: r.Source},
		Destination: &authv3.AttributeContext_Peer{Principal: r.Destination, Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "10.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: r.Port}}}}},
		ContextExtensions: r.Extensions,
	}
	if r.Host+r.Method+r.Path != "" {
		attributes.Request = &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Host: r.Host, Method: r.Method, Path: r.Path}}
	}
	return &authv3.CheckRequest{Attributes: attributes}
}

// TestService asks over gRPC what TestCheck asks of the index, and reads the answers as Envoy does.
func TestService(t *testing.T) {
	index, registry := authz.NewIndex(slog.New(slog.DiscardHandler)), prometheus.NewRegistry()
	index.Apply(update(shop()...))
	client := dial(t, index, registry)
	counts := map[bool]int{}
	for _, tc := range checkCases() {
		t.Run(tc.name, func(t *testing.T) {
			got, err := client.Check(t.Context(), asked(tc.request))
			if err != nil {
				t.Fatal(err)
			}
			reason, no := strings.CutPrefix(tc.want, "no:")
			counts[!no]++
			if !no {
				headers := got.GetOkResponse().GetHeaders()
				if codes.Code(got.GetStatus().GetCode()) != codes.OK || len(headers) != 1 ||
					headers[0].GetHeader().GetKey() != authz.HeaderRule || headers[0].GetHeader().GetValue() != tc.want {
					t.Errorf("got %v, want OK with %s: %s", got, authz.HeaderRule, tc.want)
				}
				return
			}
			denied := got.GetDeniedResponse()
			if codes.Code(got.GetStatus().GetCode()) != codes.PermissionDenied || denied.GetStatus().GetCode() != http.StatusForbidden ||
				!strings.Contains(denied.GetBody(), reason) || len(denied.GetHeaders()) != 1 ||
				denied.GetHeaders()[0].GetHeader().GetKey() != authz.HeaderReason || !strings.Contains(denied.GetHeaders()[0].GetHeader().GetValue(), reason) {
				t.Errorf("got %v, want PERMISSION_DENIED: %s", got, reason)
			}
		})
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("got %d metrics, %v; want 2", len(families), err)
	}
	for _, f := range families {
		if f.GetName() != "meridian_authorization_checks_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if want := counts[m.GetLabel()[0].GetValue() == "allowed"]; int(m.GetCounter().GetValue()) != want {
				t.Errorf("%s: got %v, want %d", m.GetLabel()[0].GetValue(), m.GetCounter().GetValue(), want)
			}
		}
	}
}

// TestServiceRefusesWhatItIsNotTold asks with nothing, and with what no header can hold.
func TestServiceRefusesWhatItIsNotTold(t *testing.T) {
	client := dial(t, authz.NewIndex(slog.New(slog.DiscardHandler)), nil)
	long := strings.Repeat("é\n", 1000)
	for name, request := range map[string]*authv3.CheckRequest{
		"nothing": {}, "a long name": asked(authz.Request{Source: checkout, Host: long}),
	} {
		got, err := client.Check(t.Context(), request)
		if err != nil || codes.Code(got.GetStatus().GetCode()) != codes.PermissionDenied {
			t.Fatalf("%s: got %v, %v; want PERMISSION_DENIED", name, got, err)
		}
		value := got.GetDeniedResponse().GetHeaders()[0].GetHeader().GetValue()
		if value == "" || len(value) > 512 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: the header is %q", name, value)
		}
	}
}

// BenchmarkService is one question over loopback at a time.
func BenchmarkService(b *testing.B) {
	index := authz.NewIndex(slog.New(slog.DiscardHandler))
	index.Apply(update(shop()...))
	client := dial(b, index, nil)
	request := asked(authz.Request{Source: checkout, Destination: ledger, Port: 9090})
	for b.Loop() {
		if _, err := client.Check(context.Background(), request); err != nil {
			b.Fatal(err)
		}
	}
}
