package telemetry

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/meridian-federation/meridian/internal/config"
)

// shortest is how many characters a token has at least: one that is guessed is no guard.
const shortest = 16

// gate tells who may see metrics and profiles: who shows a certificate of the client authorities, or the token; where
// neither is configured, which config.Admin allows on loopback alone, everybody.
type gate struct {
	tokenFile string
	clients   bool // certificates of clients count
	log       *slog.Logger
	warn      rate.Sometimes
}

func newGate(cfg config.Admin, log *slog.Logger) (*gate, error) {
	g := &gate{tokenFile: cfg.TokenFile, clients: cfg.ClientCAFile != "", log: log, warn: rate.Sometimes{First: 10, Interval: time.Second}}
	if g.tokenFile == "" {
		return g, nil
	}
	_, err := g.token()
	return g, err
}

// guard serves to those who are admitted.
func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.admits(r) {
			next.ServeHTTP(w, r)
			return
		}
		g.warn.Do(func() { g.log.Warn("refused to show metrics or profiles", "from", r.RemoteAddr, "path", r.URL.Path) })
		if g.tokenFile != "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		http.Error(w, "show a certificate of the admin server's client authorities, or its bearer token", http.StatusUnauthorized)
	})
}

func (g *gate) admits(r *http.Request) bool {
	if g.tokenFile == "" && !g.clients {
		return true
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || g.tokenFile == "" {
		return false
	}
	want, err := g.token()
	if err != nil {
		g.warn.Do(func() { g.log.Error("nobody can be admitted by the token", "error", err) })
		return false
	}
	// Sums are of one length, so that the time that it takes tells nothing.
	a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// token reads the file each time, so that another token takes effect at once.
func (g *gate) token() (string, error) {
	b, err := os.ReadFile(g.tokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", errors.New(g.tokenFile + " is empty; it should hold the token")
	}
	if len(token) < shortest {
		return "", fmt.Errorf("the token in %s is of %d characters; want %d or more", g.tokenFile, len(token), shortest)
	}
	return token, nil
}
