package record

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/internal/record/recordpb"
)

// Place is the region and the zone, if it has one, on the path of a grant, or that a record of address space is for; empty
// where the name says none.
func (k Key) Place() (region, zone string) {
	switch k.Kind {
	case KindPrefix, KindClaim, KindAllotment, KindDemand:
		region, zone, _, _ = placed(k)
		return region, zone
	}
	names := []string{"", "", ""}
	parts := strings.Split(k.Name, "/")
	if len(parts)%2 != 0 || len(parts) > 2*len(names) {
		return "", ""
	}
	for i, tier := range []string{"region", "zone", "cluster"} {
		if 2*i >= len(parts) {
			break
		}
		if names[i] = parts[2*i+1]; parts[2*i] != tier || names[i] == "" {
			return "", ""
		}
	}
	return names[0], names[1]
}

// GrantKey is grant/PATH.
func GrantKey(path string) Key { return Key{KindGrant, path} }

// Record encodes the grant.
func (v Grant) Record() Record {
	return marshal(GrantKey(v.Path), &recordpb.Grant{Generation: v.Generation, Enrolled: v.Enrolled, Token: v.Token})
}

// DecodeGrant reads a grant. A path that is none is refused.
func DecodeGrant(r Record) (Grant, error) {
	var m recordpb.Grant
	if _, err := unmarshal(r, KindGrant, 1+strings.Count(r.Key.Name, "/"), &m); err != nil {
		return Grant{}, err
	}
	if region, _ := r.Key.Place(); region == "" && r.Key.Name != "global" {
		return Grant{}, fmt.Errorf("record %s: the name is neither global nor region/REGION[/zone/ZONE[/cluster/CLUSTER]]", r.Key)
	}
	return Grant{Path: r.Key.Name, Generation: m.Generation, Enrolled: m.Enrolled, Token: m.Token}, nil
}

// TokenKey is token/ID.
func TokenKey(id string) Key { return Key{KindToken, id} }

// Record encodes the token.
func (v Token) Record() Record {
	m := &recordpb.Token{Hash: v.Hash[:], Path: v.Path, Expires: nanos(v.Expires), Uses: v.Uses, Mode: string(v.Mode),
		CreatedBy: v.CreatedBy, Created: nanos(v.Created), Generation: v.Generation}
	for _, key := range v.Spent {
		m.Spent = append(m.Spent, key[:])
	}
	return marshal(TokenKey(v.ID), m)
}

// DecodeToken reads a token. Hashes that are not SHA-256 are refused.
func DecodeToken(r Record) (Token, error) {
	var m recordpb.Token
	p, err := unmarshal(r, KindToken, 1, &m)
	if err != nil {
		return Token{}, err
	}
	v := Token{ID: p[0], Path: m.Path, Expires: fromNanos(m.Expires), Uses: m.Uses, Mode: TokenMode(m.Mode),
		CreatedBy: m.CreatedBy, Created: fromNanos(m.Created), Generation: m.Generation}
	if v.Hash, err = digest(r.Key, "hash", m.Hash); err != nil {
		return Token{}, err
	}
	for _, key := range m.Spent {
		d, err := digest(r.Key, "spent", key)
		if err != nil {
			return Token{}, err
		}
		v.Spent = append(v.Spent, d)
	}
	return v, nil
}

// TrustKey is trust/roots.
func TrustKey() Key { return Key{KindTrust, "roots"} }

// Record encodes the roots.
func (v Trust) Record() Record {
	return marshal(TrustKey(), &recordpb.Trust{Roots: v.Roots, Active: v.Active[:]})
}

// DecodeTrust reads the roots.
func DecodeTrust(r Record) (Trust, error) {
	var m recordpb.Trust
	if _, err := unmarshal(r, KindTrust, 1, &m); err != nil {
		return Trust{}, err
	}
	active, err := digest(r.Key, "active", m.Active)
	return Trust{Roots: m.Roots, Active: active}, err
}

func digest(key Key, field string, b []byte) (d [sha256.Size]byte, err error) {
	if len(b) != len(d) {
		return d, fmt.Errorf("record %s: %s has %d bytes, want the %d of a SHA-256", key, field, len(b), len(d))
	}
	return [sha256.Size]byte(b), nil
}
