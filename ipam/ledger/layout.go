package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/ipam/space"
)

// layout names the keys under one prefix. The package comment lists them.
type layout struct {
	root, blocks, entries, owners, ended string // these end in a slash
	epoch, holder, swept                 string
}

func newLayout(prefix string) layout {
	root := strings.TrimRight(prefix, "/") + "/space/"
	return layout{
		root:    root,
		blocks:  root + "blocks/",
		entries: root + "entries/",
		owners:  root + "owners/",
		ended:   root + "ended/",
		epoch:   root + "epoch",
		holder:  root + "holder",
		swept:   root + "swept",
	}
}

func (l layout) block(pool string, p netip.Prefix) string { return l.blocks + place(pool, p) }
func (l layout) entry(pool string, p netip.Prefix) string { return l.entries + place(pool, p) }

// place is POOL/RANGE.
func place(pool string, p netip.Prefix) string {
	b := make([]byte, 0, len(pool)+40)
	b = append(append(b, pool...), '/')
	b = append(address(b, p.Addr()), '/')
	return string(strconv.AppendInt(b, int64(p.Bits()), 10))
}

func address(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		raw := a.As4()
		return hex.AppendEncode(b, raw[:])
	}
	raw := a.As16()
	return hex.AppendEncode(b, raw[:])
}

// within are the first key and the one behind the last of entries that begin in p.
func (l layout) within(pool string, p netip.Prefix) (from, end string) {
	root := l.entries + pool + "/"
	return string(address([]byte(root), p.Addr())) + "/", string(address([]byte(root), last(p))) + "0"
}

// last is the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

var errPlace = errors.New("not POOL/ADDRESS IN HEXADECIMAL/LENGTH")

// parsePlace reads what place has written.
func parsePlace(s []byte) (pool string, p netip.Prefix, err error) {
	var raw [16]byte
	var cut [2]int // where the slashes are
	for i, n := len(s)-1, 1; i >= 0 && n >= 0; i-- {
		if s[i] == '/' {
			cut[n] = i
			n--
		}
	}
	if cut[0] == 0 {
		return "", netip.Prefix{}, errPlace
	}
	digits := s[cut[0]+1 : cut[1]]
	if len(digits) != 8 && len(digits) != 32 {
		return "", netip.Prefix{}, errPlace
	}
	if _, err := hex.Decode(raw[:], digits); err != nil {
		return "", netip.Prefix{}, errPlace
	}
	a, _ := netip.AddrFromSlice(raw[:len(digits)/2])
	bits := 0
	for _, c := range s[cut[1]+1:] {
		if c < '0' || c > '9' || bits > 128 {
			return "", netip.Prefix{}, errPlace
		}
		bits = bits*10 + int(c-'0')
	}
	p = netip.PrefixFrom(a, bits)
	if err := space.Check(p); err != nil || len(s) == cut[1]+1 {
		return "", netip.Prefix{}, errPlace
	}
	return string(s[:cut[0]]), p, nil
}

// checkPool refuses a name that cannot be a part of a key.
func checkPool(name string) error {
	if name == "" || len(name) > 253 || strings.Contains(name, "/") {
		return fmt.Errorf("%w: pool %q: want a name of 1 to 253 bytes with no slash", ErrInvalid, name)
	}
	return nil
}

func checkOwner(owner string) error {
	if owner == "" || len(owner) > 512 || strings.Contains(owner, "\x00") {
		return fmt.Errorf("%w: owner %q: want 1 to 512 bytes, none of them zero", ErrInvalid, owner)
	}
	return nil
}
