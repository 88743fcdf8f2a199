package space_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/ipam/space"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// model is a space as a list of what is taken.
type model struct {
	length int
	ranges []netip.Prefix
	taken  []netip.Prefix
}

func (m *model) overlapping(p netip.Prefix) (out []netip.Prefix) {
	for _, t := range m.taken {
		if t.Overlaps(p) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

// candidates are all prefixes of a length in the ranges.
func (m *model) candidates(length int) (out []netip.Prefix) {
	for _, r := range m.ranges {
		if length < r.Bits() {
			continue
		}
		for p := netip.PrefixFrom(r.Addr(), length); r.Contains(p.Addr()); {
			out = append(out, p)
			last := p.Addr()
			for range 1 << (m.length - length) {
				last = last.Next()
			}
			if !last.IsValid() {
				break
			}
			p = netip.PrefixFrom(last, length)
		}
	}
	return out
}

// largest is the length of the largest prefix that nothing taken overlaps.
func (m *model) largest() (int, bool) {
	for length := range m.length + 1 {
		if m.vacant(length) {
			return length, true
		}
	}
	return 0, false
}

func (m *model) vacant(length int) bool {
	return slices.ContainsFunc(m.candidates(length), func(p netip.Prefix) bool { return len(m.overlapping(p)) == 0 })
}

// TestAgainstModel holds random operations, on two small ranges of either family, against the list.
func TestAgainstModel(t *testing.T) {
	for name, ranges := range map[string][]netip.Prefix{
		"IPv4": {prefix("10.0.0.0/28"), prefix("255.255.255.248/29")},
		"IPv6": {prefix("2001:db8::/124"), prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff8/125")},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { compare(t, ranges) })
		})
	}
}

func compare(t *rapid.T, ranges []netip.Prefix) {
	m := &model{length: ranges[0].Addr().BitLen()}
	s := space.New(m.length == 128)
	for _, r := range ranges {
		m.add(t, s, r)
	}
	var every []netip.Prefix
	for length := range m.length + 1 {
		every = append(every, m.candidates(length)...)
	}
	drawn := rapid.SampledFrom(every)
	for range rapid.IntRange(1, 80).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "operation") {
		case 0, 1, 2:
			m.take(t, s, rapid.IntRange(m.length-5, m.length).Draw(t, "length"))
		case 3, 4:
			m.takeAt(t, s, drawn.Draw(t, "prefix"))
		case 5, 6, 7:
			p := drawn.Draw(t, "prefix")
			if len(m.taken) > 0 && rapid.Bool().Draw(t, "taken") {
				p = rapid.SampledFrom(m.taken).Draw(t, "prefix")
			}
			m.release(t, s, p)
		case 8:
			m.remove(t, s, rapid.SampledFrom(ranges).Draw(t, "range"))
		case 9:
			m.add(t, s, rapid.SampledFrom(ranges).Draw(t, "range"))
		}
		m.same(t, s)
	}
}

func (m *model) add(t *rapid.T, s *space.Space, r netip.Prefix) {
	there := slices.Contains(m.ranges, r)
	if err := s.Add(r); (err == nil) == there {
		t.Fatalf("adding %s: got %v; is it a range already: %v", r, err, there)
	}
	if !there {
		m.ranges = append(m.ranges, r)
		slices.SortFunc(m.ranges, netip.Prefix.Compare)
	}
}

func (m *model) remove(t *rapid.T, s *space.Space, r netip.Prefix) {
	there, taken := slices.Contains(m.ranges, r), m.overlapping(r)
	err := s.Remove(r)
	if (err == nil) != (there && len(taken) == 0) {
		t.Fatalf("removing %s: got %v; a range: %v, taken of it: %v", r, err, there, taken)
	}
	if err == nil {
		m.ranges = slices.DeleteFunc(m.ranges, func(o netip.Prefix) bool { return o == r })
	}
	m.inTheWay(t, err, taken)
}

func (m *model) take(t *rapid.T, s *space.Space, length int) {
	before, was := m.largest()
	p, err := s.Take(length)
	if (err == nil) != m.vacant(length) || err != nil && !errors.Is(err, space.ErrFull) {
		t.Fatalf("taking a /%d: got %v, %v; there is one: %v", length, p, err, m.vacant(length))
	}
	if err != nil {
		return
	}
	if p.Bits() != length || space.Check(p) != nil || len(m.overlapping(p)) > 0 || !slices.Contains(m.candidates(length), p) {
		t.Fatalf("taking a /%d: got %s; taken are %v", length, p, m.taken)
	}
	if length > before && was && m.other(length, before) {
		m.taken = append(m.taken, p)
		if after, _ := m.largest(); after != before {
			t.Fatalf("taking a /%d took %s, which broke a /%d though a smaller one would have done", length, p, before)
		}
		return
	}
	m.taken = append(m.taken, p)
}

// other tells whether a free prefix of a length lies outside all free ones of the largest size.
func (m *model) other(length, largest int) bool {
	return slices.ContainsFunc(m.candidates(length), func(p netip.Prefix) bool {
		return len(m.overlapping(p)) == 0 && !slices.ContainsFunc(m.candidates(largest), func(l netip.Prefix) bool {
			return l.Overlaps(p) && len(m.overlapping(l)) == 0
		})
	})
}

func (m *model) takeAt(t *rapid.T, s *space.Space, p netip.Prefix) {
	in := slices.ContainsFunc(m.ranges, func(r netip.Prefix) bool { return r.Bits() <= p.Bits() && r.Overlaps(p) })
	taken := m.overlapping(p)
	err := s.TakeAt(p)
	if (err == nil) != (in && len(taken) == 0) {
		t.Fatalf("taking %s: got %v; in a range: %v, taken of it: %v", p, err, in, taken)
	}
	if in {
		m.inTheWay(t, err, taken)
	}
	if err == nil {
		m.taken = append(m.taken, p)
	}
}

// inTheWay checks that a refusal names the lowest that is in the way.
func (m *model) inTheWay(t *rapid.T, err error, taken []netip.Prefix) {
	var by *space.Taken
	if len(taken) > 0 && (!errors.As(err, &by) || by.By != taken[0]) {
		t.Fatalf("refused with %v, want one that names %s", err, taken[0])
	}
}

func (m *model) release(t *rapid.T, s *space.Space, p netip.Prefix) {
	there := slices.Contains(m.taken, p)
	if err := s.Release(p); (err == nil) != there {
		t.Fatalf("releasing %s: got %v; taken are %v", p, err, m.taken)
	}
	m.taken = slices.DeleteFunc(m.taken, func(o netip.Prefix) bool { return o == p })
}

// same checks all that a space says of itself.
func (m *model) same(t *rapid.T, s *space.Space) {
	want := slices.SortedFunc(slices.Values(m.taken), netip.Prefix.Compare)
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Fatalf("taken: got %v, want %v", got, want)
	}
	wantLargest, wantOK := m.largest()
	if got, ok := s.Largest(); ok != wantOK || ok && got != wantLargest {
		t.Fatalf("largest: got %d %v, want %d %v", got, ok, wantLargest, wantOK)
	}
	sum := func(prefixes []netip.Prefix) (n float64) {
		for _, p := range prefixes {
			n += float64(int(1) << (m.length - p.Bits()))
		}
		return n
	}
	all, taken := s.Addresses()
	if all != sum(m.ranges) || taken != sum(m.taken) || sum(slices.Collect(s.Free())) != all-taken {
		t.Fatalf("addresses: got %v of %v, want %v of %v", taken, all, sum(m.taken), sum(m.ranges))
	}
	for p := range s.Free() {
		if by, err := s.Holder(p); err != nil || by.IsValid() || len(m.overlapping(p)) > 0 {
			t.Fatalf("%s is said to be free; held by %v, %v; taken are %v", p, by, err, m.taken)
		}
	}
}

func TestRefused(t *testing.T) {
	four, six := space.New(false), space.New(true)
	for _, err := range []error{four.Add(prefix("10.0.0.0/8")), six.Add(prefix("2001:db8::/32")), four.TakeAt(prefix("10.1.2.0/24"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		do   func() error
		want string
	}{
		{"no prefix", func() error { return four.Add(netip.Prefix{}) }, "want ADDRESS/LENGTH"},
		{"bits behind the length", func() error { return four.Add(prefix("11.0.0.1/8")) }, "the range is 11.0.0.0/8"},
		{"IPv4 in IPv6's form", func() error { return six.Add(prefix("::ffff:10.0.0.0/104")) }, "write it as IPv4"},
		{"another family", func() error { return four.Add(prefix("2001:db8::/32")) }, "not of this space's family"},
		{"overlapping ranges", func() error { return four.Add(prefix("0.0.0.0/0")) }, "overlaps range 10.0.0.0/8"},
		{"outside", func() error { return four.TakeAt(prefix("11.0.0.0/24")) }, "in no range"},
		{"larger than the range", func() error { return four.TakeAt(prefix("0.0.0.0/0")) }, "in no range"},
		{"around what is taken", func() error { return four.TakeAt(prefix("10.1.0.0/16")) }, "10.1.0.0/16 overlaps 10.1.2.0/24"},
		{"inside what is taken", func() error { return four.TakeAt(prefix("10.1.2.3/32")) }, "10.1.2.3/32 overlaps 10.1.2.0/24"},
		{"a part is given back", func() error { return four.Release(prefix("10.1.2.0/25")) }, "10.1.2.0/24 was"},
		{"more than was taken is given back", func() error { return four.Release(prefix("10.1.2.0/23")) }, "10.1.2.0/24 was"},
		{"what is free is given back", func() error { return four.Release(prefix("10.2.0.0/16")) }, "is free"},
		{"a range in use is removed", func() error { return four.Remove(prefix("10.0.0.0/8")) }, "overlaps 10.1.2.0/24"},
		{"what is no range is removed", func() error { return four.Remove(prefix("10.0.0.0/9")) }, "is no range"},
		{"too long", func() error { _, err := four.Take(33); return err }, "want 0 to 32"},
		{"larger than all that is free", func() error { _, err := four.Take(8); return err }, "no free prefix"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.do(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that contains %q", err, test.want)
			}
		})
	}
}

// TestWhole takes and gives back all addresses at once.
func TestWhole(t *testing.T) {
	for _, p := range []netip.Prefix{prefix("0.0.0.0/0"), prefix("::/0")} {
		s := space.New(p.Addr().Is6())
		if err := s.Add(p); err != nil {
			t.Fatal(err)
		}
		got, err := s.Take(0)
		if err != nil || got != p {
			t.Errorf("got %v, %v, want %s", got, err, p)
		}
		if _, free := s.Largest(); free {
			t.Error("something is free, want nothing")
		}
		if err := s.Release(p); err != nil {
			t.Error(err)
		}
		if length, free := s.Largest(); !free || length != 0 {
			t.Errorf("largest: got %d %v, want all", length, free)
		}
	}
}

// FuzzOperations reads operations from bytes: whatever they are, nothing that is taken overlaps another, and what is
// free and what is taken are all there is.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 30, 1, 7, 2, 3, 0, 32})
	f.Add([]byte("take, release, take"))
	f.Fuzz(func(t *testing.T, operations []byte) {
		s := space.New(false)
		if err := s.Add(prefix("192.0.2.0/24")); err != nil {
			t.Fatal(err)
		}
		for i := 0; i+2 < len(operations); i += 3 {
			length := int(operations[i+1]) % 33
			at := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, operations[i+2]}), length).Masked()
			switch operations[i] % 3 {
			case 0:
				_, _ = s.Take(length)
			case 1:
				_ = s.TakeAt(at)
			case 2:
				_ = s.Release(at)
			}
		}
		sum, last := 0, netip.Prefix{}
		all := append(slices.Collect(s.All()), slices.Collect(s.Free())...)
		for _, p := range slices.SortedFunc(slices.Values(all), netip.Prefix.Compare) {
			if last.IsValid() && last.Overlaps(p) {
				t.Fatalf("%s overlaps %s", p, last)
			}
			sum, last = sum+1<<(32-p.Bits()), p
		}
		if sum != 256 {
			t.Fatalf("%d addresses are free or taken, want 256", sum)
		}
	})
}

// BenchmarkTake takes and releases single addresses among others, of which there are few or many: the cost is to be flat.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("taken=%d", n), func(b *testing.B) {
			s := space.New(false)
			if err := s.Add(prefix("10.0.0.0/8")); err != nil {
				b.Fatal(err)
			}
			for range n {
				if _, err := s.Take(32); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				p, err := s.Take(32)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Release(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
