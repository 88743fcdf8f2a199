package permission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/internal/policy"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Answer answers by the records of the node at a path. An application that Global does not know is question.ErrNotFound;
// below, a verdict that says so for the one that is called, while of the caller nothing need be known. A port that is not
// the provider's is question.ErrInvalid.
func Answer(records *store.Snapshot, at question.Path, r question.CanIRequest) (*question.Verdict, error) {
	provider, known, err := policyOf(records, r.Provider)
	if err != nil {
		return nil, err
	}
	top := at.Tier() == question.TierGlobal
	switch {
	case !known && top:
		return nil, unknown(r.Provider)
	case !known:
		return &question.Verdict{Unknown: fmt.Sprintf("application %s is not known at %s", r.Provider, at)}, nil
	}
	caller, callerKnown, err := policyOf(records, r.Caller)
	if err != nil {
		return nil, err
	}
	if !callerKnown && top {
		return nil, unknown(r.Caller)
	}
	ports, err := portsOf(records, r)
	if err != nil {
		return nil, err
	}
	out := &question.Verdict{Dependency: dependency(records, r)}
	if callerKnown && caller.Environment != provider.Environment {
		out.Reason = fmt.Sprintf("%s is of environment %s and %s of %s: applications of different environments never call each other",
			r.Caller, caller.Environment, r.Provider, provider.Environment)
		return out, nil
	}
	decision := decide(provider, ports, policy.Call{Caller: record.Caller{Namespace: r.Caller.Namespace, Application: r.Caller.Name},
		Port: r.Port, Method: r.Method, Path: r.Path, Opaque: allOpaque(ports)})
	out.Allowed, out.Rule, out.Reason = decision.Allowed, decision.Rule, decision.Reason
	return out, nil
}

// decide decides a call of one of the ports. A call of any port is not allowed by a rule about ports that are not there.
func decide(p record.Policy, ports []record.Port, c policy.Call) policy.Decision {
	decision := policy.Decide(p, c)
	if c.Port != 0 || !decision.Allowed {
		return decision
	}
	if some := policy.Decide(reachable(p, ports), c); some.Allowed {
		return some
	}
	return policy.Decision{Rule: decision.Rule, Reason: decision.Rule + " is about none of the application's ports"}
}

func unknown(app question.ApplicationRequest) error {
	return fmt.Errorf("%w: application %s does not exist, is not accepted, or is placed nowhere; see `meridian describe application %s -n %s`",
		question.ErrNotFound, app, app.Name, app.Namespace)
}

// policyOf reads an application's policy; ok is false where there is none.
func policyOf(records *store.Snapshot, app question.ApplicationRequest) (p record.Policy, ok bool, err error) {
	e, ok := records.Get(record.PolicyKey(app.Namespace, app.Name))
	if !ok {
		return p, false, nil
	}
	if p, err = record.DecodePolicy(e.Record); err != nil {
		return p, false, fmt.Errorf("reading the policy of %s: %w", app, err)
	}
	return p, true, nil
}

// portsOf are the provider's ports that the call may go to: the one asked for, or all. Whoever has the policy has the
// service record too, if the application has ports.
func portsOf(records *store.Snapshot, r question.CanIRequest) ([]record.Port, error) {
	e, ok := records.Get(record.ServiceKey(r.Provider.Namespace, r.Provider.Name))
	if !ok {
		return nil, fmt.Errorf("%w: application %s has no ports, so nothing can call it", question.ErrInvalid, r.Provider)
	}
	service, err := record.DecodeService(e.Record)
	if err != nil {
		return nil, fmt.Errorf("reading the ports of %s: %w", r.Provider, err)
	}
	if r.Port == 0 {
		return service.Ports, nil
	}
	var meant []record.Port // one for each protocol of the number
	var names []string
	for _, p := range service.Ports {
		if p.Port == r.Port {
			meant = append(meant, p)
		}
		names = append(names, strings.TrimSpace(strconv.Itoa(int(p.Port))+" "+p.Name))
	}
	if len(meant) > 0 {
		return meant, nil
	}
	return nil, fmt.Errorf("%w: application %s has no port %d; it has %s", question.ErrInvalid, r.Provider, r.Port, strings.Join(names, ", "))
}

// reachable leaves out the rules that allow nothing on any of the ports.
func reachable(p record.Policy, ports []record.Port) record.Policy {
	rules := make([]record.Rule, 0, len(p.Rules))
	for _, rule := range p.Rules {
		http := len(rule.Methods) > 0 || len(rule.Paths) > 0
		if slices.ContainsFunc(ports, func(port record.Port) bool {
			return (len(rule.Ports) == 0 || slices.Contains(rule.Ports, port.Port)) && !(http && policy.Opaque(port))
		}) {
			rules = append(rules, rule)
		}
	}
	p.Rules = rules
	return p
}

func allOpaque(ports []record.Port) bool {
	return !slices.ContainsFunc(ports, func(p record.Port) bool { return !policy.Opaque(p) })
}
