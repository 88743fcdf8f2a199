package policy

import (
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// allows tells whether the rule allows the call, whoever makes it.
func allows(r record.Rule, c Call) bool {
	switch {
	case c.Port != 0 && len(r.Ports) > 0 && !slices.Contains(r.Ports, c.Port):
		return false
	case c.Opaque && (len(r.Methods) > 0 || len(r.Paths) > 0):
		return false
	case c.Method != "" && len(r.Methods) > 0 && !slices.Contains(r.Methods, c.Method):
		return false
	}
	return c.Path == "" || len(r.Paths) == 0 || matchAny(r.Paths, c.Path)
}

// mismatch says what of the call a rule that does not allow it lacks, after the rule's name.
func mismatch(r record.Rule, c Call) string {
	switch {
	case c.Port != 0 && len(r.Ports) > 0 && !slices.Contains(r.Ports, c.Port):
		return "allows ports " + joinPorts(r.Ports) + " only"
	case c.Opaque && (len(r.Methods) > 0 || len(r.Paths) > 0):
		return "names methods or paths, and the port does not speak HTTP"
	case c.Method != "" && len(r.Methods) > 0 && !slices.Contains(r.Methods, c.Method):
		return "allows methods " + strings.Join(r.Methods, ", ") + " only"
	}
	return "allows paths " + strings.Join(r.Paths, ", ") + " only"
}

// matchAny matches a request's path as Istio's AuthorizationPolicy does: whole, by its beginning, or by its end.
func matchAny(patterns []string, path string) bool {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if !plain(path) {
		return false
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, path) })
}

func match(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(path, suffix)
	}
	return path == pattern
}

// plain tells whether every server takes the path for the same: it begins with a slash and has no empty or dot segment,
// no backslash, and no escape that stands for one of these.
func plain(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "\\") || escapesSeparator(path) {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.Contains(path, "//")
}

// escapesSeparator finds %2e, %2f, %5c and the null byte.
func escapesSeparator(path string) bool {
	for rest := path; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		if len(rest) < 2 {
			return true
		}
		switch strings.ToLower(rest[:2]) {
		case "2e", "2f", "5c", "00":
			return true
		}
	}
}

// Opaque tells whether a port carries something else than HTTP: rules that name methods or paths allow nothing there. One
// that does not say what it carries may carry HTTP, which the proxies find out.
func Opaque(p record.Port) bool {
	switch p.AppProtocol {
	case "", "http", "http2", "grpc", "grpc-web":
		return p.Protocol == "UDP"
	}
	return true
}
