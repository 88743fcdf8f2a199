package ledger_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

func TestPutBlock(t *testing.T) {
	cfg := alone(t)
	l := open(t, cfg)
	put(t, l, services, block("10.0.0.0/24"))
	put(t, l, ledger.Pool{Name: "six", IPv6: true}, block("2001:db8::/48"))
	allocate(t, l, exactly("a", "10.0.0.4/32"))
	allocate(t, l, exactly("b", "10.0.0.5/32"))
	with := func(p string, reserved ...string) ledger.Block {
		b := block(p)
		for _, r := range reserved {
			b.Reserved = append(b.Reserved, prefix(r))
		}
		return b
	}
	tests := []struct {
		name string
		pool ledger.Pool
		put  ledger.Block
		want string // empty: it is put
	}{
		{"as it is", services, block("10.0.0.0/24"), ""},
		{"another", services, block("10.0.1.0/24"), ""},
		{"with reservations", services, with("10.0.0.0/24", "10.0.0.0/30", "10.0.0.1/32"), ""},
		{"other reservations", services, with("10.0.0.0/24", "10.0.0.0/31"), ""},
		{"a reservation beyond it", services, with("10.0.2.0/24", "10.0.2.0/23"), ""},
		{"a reservation of what is taken", services, with("10.0.0.0/24", "10.0.0.4/30"), "10.0.0.4/30 of pool services is in use by a, b"},
		{"a reservation outside", services, with("10.0.0.0/24", "10.9.0.0/30"), "reserved 10.9.0.0/30 lies outside of block 10.0.0.0/24"},
		{"a reservation that is none", services, with("10.0.0.0/24", "10.0.0.1/30"), "reserved: 10.0.0.1/30 has bits behind its length"},
		{"around another", services, block("10.0.0.0/16"), "overlaps block 10.0.0.0/24"},
		{"within another", services, block("10.0.0.128/25"), "overlaps block 10.0.0.0/24"},
		{"all addresses", services, block("0.0.0.0/0"), "is all addresses of its family"},
		{"all addresses of IPv6", ledger.Pool{Name: "six", IPv6: true}, block("::/0"), "is all addresses of its family"},
		{"IPv4 in IPv6's form", ledger.Pool{Name: "six", IPv6: true}, block("::ffff:10.0.0.0/104"), "write it as IPv4"},
		{"bits behind the length", services, block("10.3.0.1/24"), "the range is 10.3.0.0/24"},
		{"no prefix", services, ledger.Block{}, "want ADDRESS/LENGTH"},
		{"of the other family", services, block("2001:db8:1::/48"), "not of the family"},
		{"a pool that changes its family", ledger.Pool{Name: "services", IPv6: true}, block("2001:db8:1::/48"), "pool services is of the other family"},
		{"of another pool", services, ledger.Block{Pool: "six", Prefix: prefix("10.5.0.0/24")}, "block of pool six: want pool services"},
		{"a pool with a slash", ledger.Pool{Name: "a/b"}, block("10.5.0.0/24"), "with no slash"},
		{"a quarantine before now", ledger.Pool{Name: "q", Quarantine: -1}, block("10.5.0.0/24"), "quarantine of -1ns: want 0 or more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := l.Usage(tt.pool.Name)
			err := l.PutBlock(bounded(t), tt.pool, tt.put)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if after := l.Usage(tt.pool.Name); !slices.EqualFunc(before.Blocks, after.Blocks, same) {
				t.Errorf("refused, and yet: got %+v, want %+v", after, before)
			}
		})
	}
	want := l.Usage("services")
	if b := want.Blocks[0]; b.Addresses != 254 || b.Taken != 2 || !slices.Equal(b.Reserved, []netip.Prefix{prefix("10.0.0.0/31")}) {
		t.Errorf("got %+v, want 2 of 254 addresses taken, and 2 reserved", b)
	}
	if b := want.Blocks[2]; b.Addresses != 0 || b.Largest != -1 || !b.Idle {
		t.Errorf("a block that is reserved: got %+v, want no addresses", b)
	}
	sound(t, l, 2)
	if got := open(t, cfg).Usage("services"); !slices.EqualFunc(got.Blocks, want.Blocks, same) {
		t.Errorf("opened anew: got %+v, want %+v", got, want)
	}
}

func same(a, b ledger.BlockUsage) bool {
	reserved := slices.Equal(a.Reserved, b.Reserved)
	a.Reserved, b.Reserved = nil, nil
	return reserved && a.Prefix == b.Prefix && a.Closed == b.Closed && a.Addresses == b.Addresses && a.Taken == b.Taken &&
		a.Quarantined == b.Quarantined && a.Largest == b.Largest && a.Idle == b.Idle
}

func TestDropBlock(t *testing.T) {
	l := open(t, alone(t))
	slow := ledger.Pool{Name: services.Name, Quarantine: time.Hour}
	put(t, l, slow, block("10.0.0.0/24"))
	put(t, l, services, ledger.Block{Prefix: prefix("10.0.1.0/28"), Reserved: []netip.Prefix{prefix("10.0.1.0/30")}})
	drop := func(p string) error { return l.DropBlock(bounded(t), services.Name, prefix(p)) }
	var use *ledger.InUse
	for i := range 12 {
		allocate(t, l, ledger.Request{Owner: string(rune('a' + i)), Pool: services.Name, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)})
	}
	if err := drop("10.0.0.0/24"); !errors.As(err, &use) || len(use.Owners) != 10 || use.Owners[0] != "a" || !use.More {
		t.Errorf("in use: got %v, want its first 10 owners", err)
	}
	for i := range 12 {
		release(t, l, string(rune('a'+i)))
	}
	if err := drop("10.0.0.0/24"); !errors.As(err, &use) {
		t.Errorf("in quarantine: got %v, want that it is in use", err)
	}
	for _, p := range []string{"10.0.0.0/25", "10.7.0.0/24"} {
		if err := drop(p); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("%s: got %v, want %v", p, err, ledger.ErrNotFound)
		}
	}
	if err := drop("10.0.1.0/28"); err != nil {
		t.Errorf("with nothing taken of it: %v", err)
	}
	if got := l.Usage(services.Name).Blocks; len(got) != 1 || got[0].Prefix != prefix("10.0.0.0/24") {
		t.Errorf("got %+v, want one block", got)
	}
	put(t, l, services, block("10.0.1.0/28"))
	allocate(t, l, exactly("x", "10.0.1.0/32"))
	sound(t, l, 13)
}

// TestChanges waits for each change that somebody may wait for.
func TestChanges(t *testing.T) {
	l := open(t, alone(t))
	for _, do := range []func(){
		func() { put(t, l, services, block("10.0.0.0/24")) },
		func() { put(t, l, services, ledger.Block{Prefix: prefix("10.0.0.0/24"), Closed: true}) },
		func() { put(t, l, services, block("10.0.0.0/24")) },
		func() { allocate(t, l, anyOf("a", 32)) },
		func() { release(t, l, "a") },
	} {
		changed := l.Changed()
		do()
		<-changed
	}
	if got := l.Pools(); !slices.Equal(got, []ledger.Pool{services}) {
		t.Errorf("got %+v, want %+v", got, services)
	}
	if _, revision := l.Position(); revision == 0 {
		t.Error("there is no position")
	}
}
