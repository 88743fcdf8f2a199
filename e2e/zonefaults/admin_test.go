//go:build linux

package zonefaults

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/config"
)

// guard is what etcd asks for, a certificate, and what admin servers ask for that are not on loopback, the token.
type guard struct {
	dir    string
	client *http.Client
}

func (g guard) file(name string) string { return filepath.Join(g.dir, name) }

func (g guard) files() certfile.Files {
	return certfile.Files{Cert: g.file("tls.crt"), Key: g.file("tls.key"), CA: g.file("tls.ca")}
}

// newGuard issues a certificate for hosts.
func newGuard(dir string, hosts []string) (guard, error) {
	g := guard{dir: dir}
	authority, err := certfile.NewAuthority("zonefaults", 24*time.Hour)
	if err != nil {
		return g, err
	}
	token := rand.Text()
	if err := errors.Join(authority.Write(g.file("tls.ca")),
		authority.Issue("zonefaults", g.file("tls.crt"), g.file("tls.key"), hosts...),
		os.WriteFile(g.file("admin.token"), []byte(token), 0o600)); err != nil {
		return g, err
	}
	source, err := certfile.Open(g.files(), slog.New(slog.DiscardHandler))
	if err != nil {
		return g, err
	}
	g.client = &http.Client{Transport: bearer{token, &http.Transport{TLSClientConfig: source.Client()}}}
	return g, nil
}

// flags are those of a process whose admin server is at an address.
func (g guard) flags(address string) []string {
	flags := []string{"--admin-address", address}
	if config.OnLoopback(address) {
		return flags
	}
	return append(flags, "--admin-cert-file", g.files().Cert, "--admin-key-file", g.files().Key,
		"--admin-token-file", g.file("admin.token"))
}

// url is that of a path at an admin server.
func url(address, path string) string {
	if config.OnLoopback(address) {
		return "http://" + address + path
	}
	return "https://" + address + path
}

// bearer shows the token.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// metric reads one number of a process's, such as feed_batches_sent_total{link="children"}; by a name without labels the
// first of that name.
func (g guard) metric(ctx context.Context, admin, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url(admin, "/metrics"), nil)
	if err != nil {
		return 0, err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		labels, ok := strings.CutPrefix(lines.Text(), "meridian_"+name)
		if ok && strings.IndexAny(labels, " {") == 0 {
			return strconv.ParseFloat(labels[strings.LastIndexByte(labels, ' ')+1:], 64)
		}
	}
	return 0, errors.Join(lines.Err(), fmt.Errorf("%s has no metric %s", admin, name))
}
