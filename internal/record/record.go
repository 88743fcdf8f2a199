package record

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Kind names a family of records with one writer.
type Kind string

// The kinds that this release writes.
const (
	KindRevision   Kind = "revision"   // namespace/application/HASH, by Global's leader, down
	KindService    Kind = "service"    // namespace/application, by Global's leader, down
	KindPolicy     Kind = "policy"     // namespace/application, by Global's leader, down
	KindAudience   Kind = "audience"   // namespace/application, by Global's leader, down
	KindCluster    Kind = "cluster"    // cluster, by Global's leader, down
	KindAssignment Kind = "assignment" // namespace/application/zone, by Global's leader, down
	KindBinding    Kind = "binding"    // namespace/application/cluster, by a zone's leader, stays in the zone
	KindLocation   Kind = "location"   // namespace/application/cluster[/chunk], by the zone of the cluster, up, then down to who depends on it
	KindPlace      Kind = "place"      // cluster, by its zone, up, then down with its locations
	KindGrant      Kind = "grant"      // PATH, a place's, by Global's leader, down to those on the path
	KindToken      Kind = "token"      // id, by Global's leader, stays at Global
	KindTrust      Kind = "trust"      // roots, by Global's leader, stays at Global
	KindPool       Kind = "pool"       // NAME, by Global's leader, down to all
	KindPrefix     Kind = "prefix"     // region/zone/pool/CIDR, by Global's leader for regions and by a region's for zones, down
	KindClaim      Kind = "claim"      // region/zone/OWNER, by Global's leader, down to the zone
	KindAllotment  Kind = "allotment"  // region/zone/OWNER, by where the claim is met, up
	KindDemand     Kind = "demand"     // region/zone/POOL, by the child, up to its parent
	KindObject     Kind = "object"     // see package object; compiled in a zone's shard, to an agent, never stored
	KindStatus     Kind = "status"     // namespace/application, by the child, up
	KindHealth     Kind = "health"     // cluster, by the zone, up
	KindStanding   Kind = "standing"   // cluster[/namespace/application], by the cluster's owner, to the zone's leader, never stored
)

// Key names a record. Its text form is KIND/NAME; the name may hold further slashes.
type Key struct {
	Kind Kind
	Name string
}

// String is the text form that ParseKey reads.
func (k Key) String() string { return string(k.Kind) + "/" + k.Name }

// Compare orders keys by kind, then name.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(string(k.Kind), string(o.Kind)); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Parts splits the name at its slashes.
func (k Key) Parts() []string { return strings.Split(k.Name, "/") }

// Site is the cluster that a location or a place is of; empty for other kinds.
func (k Key) Site() string {
	switch k.Kind {
	case KindPlace:
		return k.Name
	case KindLocation:
		if p := k.Parts(); len(p) >= 3 {
			return p[2]
		}
	}
	return ""
}

// ParseKey reads KIND/NAME.
func ParseKey(s string) (Key, error) {
	kind, name, ok := strings.Cut(s, "/")
	if !ok || kind == "" || name == "" {
		return Key{}, fmt.Errorf("record key %q is not KIND/NAME", s)
	}
	return Key{Kind: Kind(kind), Name: name}, nil
}

// Version is the first 128 bits of the SHA-256 of a record's content. The zero Version is no content at all.
type Version [16]byte

// VersionOf hashes content.
func VersionOf(content []byte) Version {
	sum := sha256.Sum256(content)
	return Version(sum[:16])
}

// String is the version in 32 hexadecimal digits.
func (v Version) String() string { return hex.EncodeToString(v[:]) }

// IsZero tells whether this is the version of nothing.
func (v Version) IsZero() bool { return v == Version{} }

// ParseVersion reads 32 hexadecimal digits.
func ParseVersion(s string) (Version, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(Version{}) {
		return Version{}, fmt.Errorf("record version %q is not 32 hexadecimal digits", s)
	}
	return Version(b), nil
}

// Record is one unit of state. Content is shared between goroutines and never written to.
type Record struct {
	Key     Key
	Version Version
	Content []byte
}

// New makes a record whose version is the hash of its content.
func New(key Key, content []byte) Record {
	return Record{Key: key, Version: VersionOf(content), Content: content}
}

// KeyVersion is a record without its content.
type KeyVersion struct {
	Key     Key
	Version Version
}

// Cause says why a record went away; it travels with the removal and decides whether the guard counts it.
type Cause uint8

// The causes of a removal.
const (
	// CauseFound is a removal found by comparing, with nobody known to have asked for it.
	CauseFound Cause = iota
	// CauseScope is a record that its holder no longer needs.
	CauseScope
	// CausePerson is a removal that follows from a spec that a person deleted or changed at Global; or that its writer made
	// knowing that what the record speaks of is no more, such as the addresses of pods that went: holding it back would
	// keep nothing alive and have calls sent to nobody.
	CausePerson
)

// String names the cause.
func (c Cause) String() string {
	switch c {
	case CausePerson:
		return "person"
	case CauseScope:
		return "scope"
	default:
		return "found"
	}
}
