package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/config"
)

// drain is how long requests under way may take after the server was told to stop. A CPU profile takes longer, and is
// cut off.
const drain = time.Second

// Admin is what the admin server serves.
type Admin struct {
	Health   *Health
	Registry *prometheus.Registry
	Log      *slog.Logger
}

// Bounds of what a client that shows no credentials may cost.
const (
	headerTimeout = 5 * time.Second // the handshake included
	idleTimeout   = 2 * time.Minute
	headerBytes   = 16 << 10
)

// Server serves /healthz and /readyz to everybody, and /metrics and /debug/pprof to whom the gate admits.
type Server struct {
	listener net.Listener
	server   *http.Server
}

// Listen binds the address at once, so that one that is taken ends the start and not the work.
func Listen(cfg config.Admin, admin Admin) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, config.Prefix("admin", err)
	}
	server := &http.Server{ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
		ErrorLog: slog.NewLogLogger(admin.Log.Handler(), slog.LevelWarn)}
	g, err := newGate(cfg, admin.Log)
	if err != nil {
		return nil, fmt.Errorf("reading what guards health and metrics: %w", err)
	}
	server.Handler = admin.routes(g)
	if cfg.CertFile != "" {
		source, err := certfile.Open(cfg.TLS(), admin.Log)
		if err != nil {
			return nil, fmt.Errorf("reading what guards health and metrics: %w", err)
		}
		server.TLSConfig = source.Server()
	}
	listener, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listening for health and metrics: %w", err)
	}
	return &Server{listener: listener, server: server}, nil
}

// Address is where it listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	select {
	case err := <-served:
		return fmt.Errorf("serving health and metrics: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := s.server.Shutdown(late); err != nil {
		_ = s.server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health and metrics: %w", err)
	}
	return nil
}

func (s *Server) serve() error {
	if s.server.TLSConfig == nil {
		return s.server.Serve(s.listener)
	}
	return s.server.ServeTLS(s.listener, "", "")
}

func (a Admin) routes(g *gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { a.Health.serveReady(w, r, g.admits(r)) })
	for path, handler := range map[string]http.Handler{
		"GET /metrics":         promhttp.HandlerFor(a.Registry, promhttp.HandlerOpts{Registry: a.Registry}),
		"/debug/pprof/":        http.HandlerFunc(pprof.Index),
		"/debug/pprof/cmdline": http.HandlerFunc(pprof.Cmdline),
		"/debug/pprof/profile": http.HandlerFunc(pprof.Profile),
		"/debug/pprof/symbol":  http.HandlerFunc(pprof.Symbol),
		"/debug/pprof/trace":   http.HandlerFunc(pprof.Trace),
	} {
		mux.Handle(path, g.guard(handler))
	}
	return mux
}
