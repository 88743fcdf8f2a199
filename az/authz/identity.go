package authz

import (
	"net"
	"strconv"
	"strings"
)

// identity is a workload's: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/APPLICATION.
type identity struct {
	trustDomain string
	app         name
}

// parseIdentity reads a principal.
func parseIdentity(principal string) (identity, bool) {
	rest, ok := strings.CutPrefix(principal, "spiffe://")
	if !ok {
		return identity{}, false
	}
	trustDomain, rest, ok := strings.Cut(rest, "/ns/")
	namespace, account, found := strings.Cut(rest, "/sa/")
	if !ok || !found || trustDomain == "" || !label(namespace) || !label(account) || strings.Contains(trustDomain, "/") {
		return identity{}, false
	}
	return identity{trustDomain, name{namespace, account}}, true
}

// parseHost reads the authority of a request, NAME.NAMESPACE[.svc[.cluster.local]][:PORT]. The port is zero where there is
// none.
func parseHost(authority string) (app name, port int32, ok bool) {
	host := authority
	if h, p, err := net.SplitHostPort(authority); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return name{}, 0, false
		}
		host, port = h, int32(n)
	}
	host = strings.Map(lower, strings.TrimSuffix(host, "."))
	for _, suffix := range []string{".svc.cluster.local", ".svc"} {
		if rest, cut := strings.CutSuffix(host, suffix); cut {
			host = rest
			break
		}
	}
	application, namespace, ok := strings.Cut(host, ".")
	if !ok || !label(application) || !label(namespace) {
		return name{}, 0, false
	}
	return name{namespace, application}, port, true
}

// lower folds ASCII alone: what else folds to a letter of a name is another host.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// label tells whether s is a DNS label.
func label(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
