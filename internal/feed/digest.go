package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/meridian-federation/meridian/internal/record"
)

// Buckets is the number of buckets that a view is divided into by the hash of the key.
const Buckets = 1024

// Digest is a 128-bit commutative hash of a set of key–version pairs: the sum, modulo 2^128, of the truncated SHA-256 of
// each pair. It finds divergence; it is no defence against a peer that forges collisions, which could as well lie.
type Digest struct{ Hi, Lo uint64 }

// String is the digest in 32 hexadecimal digits.
func (d Digest) String() string { return fmt.Sprintf("%016x%016x", d.Hi, d.Lo) }

func (d Digest) plus(o Digest) Digest {
	lo, carry := bits.Add64(d.Lo, o.Lo, 0)
	hi, _ := bits.Add64(d.Hi, o.Hi, carry)
	return Digest{hi, lo}
}

func (d Digest) minus(o Digest) Digest {
	lo, borrow := bits.Sub64(d.Lo, o.Lo, 0)
	hi, _ := bits.Sub64(d.Hi, o.Hi, borrow)
	return Digest{hi, lo}
}

// digestOf hashes one pair. A kind holds no slash and a version has a fixed length, so no two pairs read alike.
func digestOf(key record.Key, version record.Version) Digest {
	var room [256]byte
	b := append(room[:0], key.Kind...)
	b = append(b, '/')
	b = append(b, key.Name...)
	b = append(b, version[:]...)
	sum := sha256.Sum256(b)
	return Digest{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

// bucketOf is the 64-bit FNV-1a hash of the key's text, folded to Buckets. Both ends must agree on it.
func bucketOf(key record.Key) int {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := 0; i < len(key.Kind); i++ {
		h = (h ^ uint64(key.Kind[i])) * prime
	}
	h = (h ^ '/') * prime
	for i := 0; i < len(key.Name); i++ {
		h = (h ^ uint64(key.Name[i])) * prime
	}
	h ^= h >> 32
	h ^= h >> 16
	return int(h % Buckets)
}
