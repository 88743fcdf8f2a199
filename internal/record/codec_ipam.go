package record

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record/recordpb"
)

// nowhere stands in names of records for a region or a zone that there is none of.
const nowhere = "-"

// at is REGION/ZONE/REST.
func at(kind Kind, region, zone, rest string) Key {
	or := func(name string) string {
		if name == "" {
			return nowhere
		}
		return name
	}
	return Key{kind, or(region) + "/" + or(zone) + "/" + rest}
}

// placed reads the name of a record that at made.
func placed(k Key) (region, zone, rest string, err error) {
	p := strings.SplitN(k.Name, "/", 3)
	if len(p) < 3 || p[0] == "" || p[1] == "" || p[2] == "" || p[0] == nowhere && p[1] != nowhere {
		return "", "", "", fmt.Errorf("record %s: the name is not REGION/ZONE/NAME", k)
	}
	for i, name := range p[:2] {
		if name == nowhere {
			p[i] = ""
		}
	}
	return p[0], p[1], p[2], nil
}

// PoolKey is pool/NAME.
func PoolKey(name string) Key { return Key{KindPool, name} }

// Record encodes the pool.
func (v Pool) Record() Record {
	m := &recordpb.Pool{Reserved: texts(v.Reserved), Purpose: string(v.Purpose), Network: v.Network, RegionLength: int32(v.RegionLength),
		ZoneLength: int32(v.ZoneLength), ClaimLength: int32(v.ClaimLength), LowWater: int32(v.LowWater), HighWater: int32(v.HighWater),
		Quarantine: int64(v.Quarantine)}
	for _, r := range v.Ranges {
		m.Ranges = append(m.Ranges, &recordpb.Range{Prefix: r.Prefix.String(), Draining: r.Draining})
	}
	return marshal(PoolKey(v.Name), m)
}

// DecodePool reads a pool.
func DecodePool(r Record) (Pool, error) {
	var m recordpb.Pool
	p, err := unmarshal(r, KindPool, 1, &m)
	if err != nil {
		return Pool{}, err
	}
	v := Pool{Name: p[0], Purpose: Purpose(m.Purpose), Network: m.Network, RegionLength: int(m.RegionLength), ZoneLength: int(m.ZoneLength),
		ClaimLength: int(m.ClaimLength), LowWater: int(m.LowWater), HighWater: int(m.HighWater), Quarantine: time.Duration(m.Quarantine)}
	for _, one := range m.Ranges {
		prefix, err := netip.ParsePrefix(one.Prefix)
		if err != nil {
			return Pool{}, fmt.Errorf("record %s: ranges: %w", r.Key, err)
		}
		v.Ranges = append(v.Ranges, Range{prefix, one.Draining})
	}
	if v.Reserved, err = prefixes(m.Reserved); err != nil {
		return Pool{}, fmt.Errorf("record %s: reserved: %w", r.Key, err)
	}
	return v, nil
}

// PrefixKey is prefix/REGION/ZONE/POOL/ADDRESS/LENGTH, the zone - where there is none.
func PrefixKey(region, zone, pool string, prefix netip.Prefix) Key {
	return at(KindPrefix, region, zone, pool+"/"+prefix.String())
}

// Record encodes the prefix.
func (v Prefix) Record() Record {
	return marshal(PrefixKey(v.Region, v.Zone, v.Pool, v.Prefix), &recordpb.Prefix{Draining: v.Draining, Epoch: v.Epoch})
}

// DecodePrefix reads a prefix.
func DecodePrefix(r Record) (Prefix, error) {
	var m recordpb.Prefix
	if _, err := unmarshal(r, KindPrefix, 5, &m); err != nil {
		return Prefix{}, err
	}
	region, zone, rest, err := placed(r.Key)
	if err != nil {
		return Prefix{}, err
	}
	pool, text, _ := strings.Cut(rest, "/")
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return Prefix{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return Prefix{Pool: pool, Region: region, Zone: zone, Prefix: prefix, Draining: m.Draining, Epoch: m.Epoch}, nil
}

// ClaimKey is claim/REGION/ZONE/OWNER, the region and the zone - where there is none.
func ClaimKey(region, zone, owner string) Key { return at(KindClaim, region, zone, owner) }

// Record encodes the claim.
func (v Claim) Record() Record {
	return marshal(ClaimKey(v.Region, v.Zone, v.Owner), &recordpb.Claim{Pool: v.Pool, Purpose: string(v.Purpose), Network: v.Network,
		Ipv6: v.IPv6, Length: int32(v.Length), Prefix: text(v.Prefix), Tenant: v.Tenant})
}

// DecodeClaim reads a claim.
func DecodeClaim(r Record) (Claim, error) {
	var m recordpb.Claim
	if _, err := unmarshal(r, KindClaim, 1+strings.Count(r.Key.Name, "/"), &m); err != nil {
		return Claim{}, err
	}
	region, zone, owner, err := placed(r.Key)
	if err != nil {
		return Claim{}, err
	}
	v := Claim{Owner: owner, Region: region, Zone: zone, Pool: m.Pool, Purpose: Purpose(m.Purpose), Network: m.Network, IPv6: m.Ipv6,
		Length: int(m.Length), Tenant: m.Tenant}
	if v.Prefix, err = prefixOf(m.Prefix); err != nil {
		return Claim{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return v, nil
}

// AllotmentKey is allotment/REGION/ZONE/OWNER, as the claim's.
func AllotmentKey(region, zone, owner string) Key { return at(KindAllotment, region, zone, owner) }

// Record encodes the allotment.
func (v Allotment) Record() Record {
	return marshal(AllotmentKey(v.Region, v.Zone, v.Owner), &recordpb.Allotment{Pool: v.Pool, Prefix: text(v.Prefix), Reason: v.Reason,
		Message: v.Message})
}

// DecodeAllotment reads an allotment.
func DecodeAllotment(r Record) (Allotment, error) {
	var m recordpb.Allotment
	if _, err := unmarshal(r, KindAllotment, 1+strings.Count(r.Key.Name, "/"), &m); err != nil {
		return Allotment{}, err
	}
	region, zone, owner, err := placed(r.Key)
	if err != nil {
		return Allotment{}, err
	}
	v := Allotment{Owner: owner, Region: region, Zone: zone, Pool: m.Pool, Reason: m.Reason, Message: m.Message}
	if v.Prefix, err = prefixOf(m.Prefix); err != nil {
		return Allotment{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return v, nil
}

// DemandKey is demand/REGION/ZONE/POOL, the zone - for a region's own.
func DemandKey(region, zone, pool string) Key { return at(KindDemand, region, zone, pool) }

// Record encodes the demand.
func (v Demand) Record() Record {
	m := &recordpb.Demand{Want: int32(v.Want), Length: int32(v.Length),
		Returned: texts(v.Returned), Addresses: v.Addresses, Taken: v.Taken, Epoch: v.Epoch, Revision: v.Revision,
		Held: texts(v.Held)}
	for _, problem := range v.Problems {
		m.Problems = append(m.Problems, clip(problem))
	}
	return marshal(DemandKey(v.Region, v.Zone, v.Pool), m)
}

// DecodeDemand reads a demand.
func DecodeDemand(r Record) (Demand, error) {
	var m recordpb.Demand
	if _, err := unmarshal(r, KindDemand, 3, &m); err != nil {
		return Demand{}, err
	}
	region, zone, pool, err := placed(r.Key)
	if err != nil {
		return Demand{}, err
	}
	v := Demand{Pool: pool, Region: region, Zone: zone, Want: int(m.Want), Length: int(m.Length), Addresses: m.Addresses, Taken: m.Taken,
		Epoch: m.Epoch, Revision: m.Revision}
	if v.Returned, err = prefixes(m.Returned); err != nil {
		return Demand{}, fmt.Errorf("record %s: returned: %w", r.Key, err)
	}
	if v.Held, err = prefixes(m.Held); err != nil {
		return Demand{}, fmt.Errorf("record %s: held: %w", r.Key, err)
	}
	if n := len(m.Problems); n > MaxPoolProblems {
		return Demand{}, fmt.Errorf("record %s: problems: got %d, want at most %d", r.Key, n, MaxPoolProblems)
	}
	for _, problem := range m.Problems {
		v.Problems = append(v.Problems, clip(problem))
	}
	return v, nil
}

// text is empty for an invalid prefix.
func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// prefixOf reads what text wrote.
func prefixOf(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	return netip.ParsePrefix(s)
}

func texts(ps []netip.Prefix) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

func prefixes(ss []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range ss {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
