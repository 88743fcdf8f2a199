// Package plan reads an address plan (a CSV file, NetBox's JSON, or what Write wrote), finds out what each row is to become,
// and holds all of it against itself and against what is there, before anything is written. It is pure: it gets bytes and
// objects, and returns what is to be made. Only package cli imports it.
package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// Kind is what a row becomes.
type Kind string

// The kinds of rows.
const (
	// Range is a range of an IPPool, Reserved a part of one that is given to nobody.
	Range    Kind = "range"
	Reserved Kind = "reserved"
	// Claim is a static IPClaim.
	Claim Kind = "claim"
	// Held is taken by somebody who asks for it by itself, such as an Application: nothing is made of it.
	Held Kind = "held"
)

// Row is one prefix of an address plan. The JSON names are those of the columns.
type Row struct {
	Kind      Kind               `json:"kind,omitempty"`
	Prefix    netip.Prefix       `json:"prefix"`
	Pool      string             `json:"pool,omitempty"`
	Purpose   v1alpha1.IPPurpose `json:"purpose,omitempty"`
	Network   string             `json:"network,omitempty"`
	Draining  bool               `json:"draining,omitempty"`
	Namespace string             `json:"namespace,omitempty"`
	Name      string             `json:"name,omitempty"`
	Zone      string             `json:"zone,omitempty"`
	// Owner and Tenant are told by an export, and decide nothing.
	Owner       string `json:"owner,omitempty"`
	Tenant      string `json:"tenant,omitempty"`
	Description string `json:"description,omitempty"`

	// Source is the FILE:LINE that the row begins at.
	Source string `json:"-"`
	// Err says why nothing can be made of it, Skipped why nothing needs to be.
	Err     error  `json:"-"`
	Skipped string `json:"-"`

	// status is that of NetBox's prefixes: container, reserved or another.
	status string
	// hint is what a source says in its own words: the pool and the network, where neither the row nor the command says.
	hint struct{ pool, network string }
}

// Defaults are for rows that do not say.
type Defaults struct {
	Pool      string
	Purpose   v1alpha1.IPPurpose
	Network   string
	Namespace string
	Zone      string
}

func (d Defaults) fill(r *Row) {
	for _, f := range []struct {
		into *string
		from string
	}{{&r.Pool, d.Pool}, {&r.Pool, r.hint.pool}, {&r.Network, d.Network}, {&r.Network, r.hint.network}, {&r.Namespace, d.Namespace},
		{&r.Zone, d.Zone}} {
		if *f.into == "" {
			*f.into = f.from
		}
	}
	if r.Purpose == "" {
		r.Purpose = d.Purpose
	}
}

// check refuses what is wrong whatever else there is.
func (r *Row) check() error {
	switch {
	case r.Kind != "" && r.Kind != Range && r.Kind != Reserved && r.Kind != Claim && r.Kind != Held:
		return fmt.Errorf("kind: %q is none of range, reserved, claim and held", r.Kind)
	case r.Purpose != "" && !purposes[r.Purpose]:
		return fmt.Errorf("purpose: %q is none of Service, Pod, Node and LoadBalancer", r.Purpose)
	}
	for _, f := range []struct{ field, name string }{{"pool", r.Pool}, {"network", r.Network}, {"namespace", r.Namespace}, {"name", r.Name},
		{"zone", r.Zone}} {
		if f.name != "" && len(validation.IsDNS1123Label(f.name)) > 0 {
			return wrong(f.field, "%q is no name at the hub's API server: at most 63 lower-case letters, digits and hyphens between them", f.name)
		}
	}
	return nil
}

var purposes = map[v1alpha1.IPPurpose]bool{v1alpha1.PurposeService: true, v1alpha1.PurposePod: true, v1alpha1.PurposeNode: true,
	v1alpha1.PurposeLoadBalancer: true}

// parsePrefix reads a prefix, or an address as the prefix of its full length.
func parsePrefix(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, errors.New("prefix: there is none")
	}
	var p netip.Prefix
	var err error
	if strings.Contains(s, "/") {
		p, err = netip.ParsePrefix(s)
	} else {
		var a netip.Addr
		if a, err = netip.ParseAddr(s); err == nil {
			p = netip.PrefixFrom(a.WithZone(""), a.BitLen())
		}
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("prefix: %s is of one link alone; leave %%%s out if it is not", s, a.Zone())
		}
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("prefix: %q is neither an address nor a prefix, such as 10.0.0.0/16", s)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("prefix: %s is IPv4 written as IPv6; write %s", s, p.Addr().Unmap())
	case p.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("prefix: %s is all addresses that there are", s)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("prefix: %s has bits behind its length; the prefix is %s, the address %s", s, p.Masked(), p.Addr())
	}
	return p, nil
}

// parseHost reads an address that is written with the length of the network that it is in.
func parseHost(s string) (netip.Prefix, error) {
	address, _, _ := strings.Cut(s, "/")
	p, err := parsePrefix(address)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("address: %q is no address, such as 10.0.0.1 or 10.0.0.1/24", s)
	}
	return p, nil
}

// name is that of a claim whose row has none.
func (r *Row) name() string {
	if r.Name != "" {
		return r.Name
	}
	text := strings.NewReplacer(".", "-", ":", "-").Replace(r.Prefix.Addr().StringExpanded())
	if r.Prefix.IsSingleIP() {
		return "ip-" + text
	}
	return fmt.Sprintf("net-%s-%d", text, r.Prefix.Bits())
}

// family is that of the row's prefix.
func (r *Row) family() v1alpha1.IPFamily {
	if r.Prefix.Addr().Is4() {
		return v1alpha1.IPv4
	}
	return v1alpha1.IPv6
}
