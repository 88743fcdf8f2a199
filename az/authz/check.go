package authz

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/internal/policy"
	"github.com/meridian-federation/meridian/internal/record"
)

// What the configuration of a proxy's ext_authz filter can say, as context extensions.
const (
	// ExtensionApplication is NAMESPACE/APPLICATION: the one that the proxy stands before.
	ExtensionApplication = "meridian.dev/application"
	// ExtensionPort is the port of its Service.
	ExtensionPort = "meridian.dev/port"
	// ExtensionGateway, with value "true", says that the proxy is a gateway: the request's Host, by which the gateway
	// routes, names the application. Nothing else has a client's Host believed.
	ExtensionGateway = "meridian.dev/gateway"
)

// Request is what a proxy tells of a request.
type Request struct {
	// Source and Destination are the principals of the peer and of the proxy itself.
	Source, Destination string
	// Port is where the request arrived; zero is unknown.
	Port uint32
	// Host, Method and Path are empty for what is not HTTP.
	Host, Method, Path string
	Extensions         map[string]string
}

// Check decides a request.
func (x *Index) Check(r Request) policy.Decision {
	caller, ok := parseIdentity(r.Source)
	if !ok {
		return refused("the caller %q has no identity of the mesh", r.Source)
	}
	t, why := x.target(r)
	if why != "" {
		return refused("%s", why)
	}
	p := t.entry.policy
	switch {
	case p == nil:
		return refused("application %s/%s is not known here", t.app.namespace, t.app.application)
	case p.TrustDomain == "" || caller.trustDomain != p.TrustDomain:
		return refused("the caller %q is not of trust domain %q, that of environment %s", r.Source, p.TrustDomain, p.Environment)
	}
	if theirs := x.get(caller.app).policy; theirs != nil && theirs.Environment != p.Environment {
		return refused("the caller %q is of environment %s, and %s/%s of %s", r.Source, theirs.Environment, t.app.namespace,
			t.app.application, p.Environment)
	}
	return decide(p, t, policy.Call{Caller: record.Caller{Namespace: caller.app.namespace, Application: caller.app.application},
		Method: r.Method, Path: r.Path})
}

// decide allows a call that is allowed whichever of the ports it is meant for.
func decide(p *record.Policy, t target, c policy.Call) policy.Decision {
	http := c.Method != "" && c.Path != ""
	decision := refused("application %s/%s has no ports", t.app.namespace, t.app.application)
	for _, port := range t.ports {
		c.Port, c.Opaque = port.Port, !http || policy.Opaque(port)
		if decision = policy.Decide(*p, c); decision.Allowed == t.any {
			return decision
		}
	}
	return decision
}

// target is what a request is for.
type target struct {
	app   name
	entry entry
	// ports are those that may be meant. With any, the proxy cannot tell them apart and neither can the compiled
	// AuthorizationPolicy: one that is allowed suffices; else all must be.
	ports []record.Port
	any   bool
}

// target finds out what a request is for, or says why it cannot.
//
//	who says so                          the port
//	extension application                extension port, or where the request arrived
//	the proxy's own identity             extension port, or where the request arrived
//	Host, with extension gateway         extension port, or the Host's
func (x *Index) target(r Request) (t target, why string) {
	port, byHost := int32(0), false
	own, meshed := parseIdentity(r.Destination)
	gateway := r.Extensions[ExtensionGateway] == "true"
	switch {
	case r.Extensions[ExtensionApplication] != "":
		namespace, application, ok := strings.Cut(r.Extensions[ExtensionApplication], "/")
		if !ok || !label(namespace) || !label(application) {
			return t, fmt.Sprintf("the proxy's %s is %q, which is not NAMESPACE/APPLICATION", ExtensionApplication, r.Extensions[ExtensionApplication])
		}
		t.app = name{namespace, application}
	case !gateway && meshed:
		t.app = own.app
	case !gateway:
		return t, fmt.Sprintf("the proxy has no identity of the mesh, and says neither by %s which application it stands before nor by %s that it is a gateway",
			ExtensionApplication, ExtensionGateway)
	default:
		if t.app, port, byHost = parseHost(r.Host); !byHost {
			return t, fmt.Sprintf("the host %q names no application", r.Host)
		}
	}
	t.entry = x.get(t.app)
	t.ports = t.entry.ports
	switch text := r.Extensions[ExtensionPort]; {
	case text != "":
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return t, fmt.Sprintf("the proxy's %s is %q, which is no port", ExtensionPort, text)
		}
		return t.narrow(func(p record.Port) bool { return p.Port == int32(n) }, int(n))
	case port != 0:
		return t.narrow(func(p record.Port) bool { return p.Port == port }, int(port))
	case !byHost && r.Port != 0:
		t.any = true
		return t.narrow(func(p record.Port) bool { return p.TargetPort == int32(r.Port) }, int(r.Port))
	}
	return t, ""
}

// narrow keeps the ports that match. None is a refusal, once the application is known at all.
func (t target) narrow(match func(record.Port) bool, number int) (target, string) {
	var kept []record.Port
	for _, p := range t.ports {
		if p.Protocol != "UDP" && match(p) {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 && t.entry.policy != nil {
		return t, fmt.Sprintf("port %d is none of application %s/%s; the proxy's %s can say which one it stands before", number,
			t.app.namespace, t.app.application, ExtensionPort)
	}
	t.ports = kept
	return t, ""
}

func refused(format string, args ...any) policy.Decision {
	return policy.Decision{Reason: fmt.Sprintf(format, args...)}
}
