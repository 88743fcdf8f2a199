package question

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Path
		bad  bool
	}{
		{text: "west", want: Path{Region: "west"}},
		{text: "west/west-a", want: Path{Region: "west", Zone: "west-a"}},
		{text: "global"},
		{text: "region/west/zone/west-a", want: Path{Region: "west", Zone: "west-a"}},
		{text: "", bad: true},
		{text: "/a", bad: true},
		{text: "west/", bad: true},
		{text: "west/a/b", bad: true},
		{text: "region/west/a", bad: true},
	} {
		t.Run(tt.text, func(t *testing.T) {
			got, err := ParsePlace(tt.text)
			if got != tt.want || (err != nil) != tt.bad || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("ParsePlace(%q): got %v, %v, want %v", tt.text, got, err, tt.want)
			}
		})
	}
}

func TestIPAMRequests(t *testing.T) {
	cluster := Path{Region: "w", Zone: "a", Cluster: "c"}
	for _, tt := range []struct {
		name    string
		request interface{ Validate() error }
		want    string // part of the error; empty for none
	}{
		{"an address", IPAMFindRequest{netip.MustParsePrefix("10.0.0.1/32")}, ""},
		{"a prefix", IPAMFindRequest{netip.MustParsePrefix("2001:db8::/48")}, ""},
		{"nothing", IPAMFindRequest{}, "say which address"},
		{"IPv4 written as IPv6", IPAMFindRequest{netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 128)}, "write 10.0.0.1"},
		{"host bits", IPAMFindRequest{netip.MustParsePrefix("10.0.0.1/24")}, "the prefix is 10.0.0.0/24, the address 10.0.0.1"},
		{"check of all", IPAMCheckRequest{}, ""},
		{"check of a cluster", IPAMCheckRequest{Target: cluster}, "ask its zone, region/w/zone/a"},
		{"export of a cluster", IPAMExportRequest{Target: cluster}, "ask its zone"},
		{"reclaim of a zone", IPAMReclaimRequest{Target: Path{Region: "w", Zone: "a"}}, ""},
		{"reclaim of Global", IPAMReclaimRequest{}, "nothing is delegated to Global"},
		{"reclaim of a cluster", IPAMReclaimRequest{Target: cluster}, "ask its zone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			switch err := tt.request.Validate(); {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want ErrInvalid with %q", err, tt.want)
			}
		})
	}
}

// TestEncodeKeepsUsage has the blocks of an answer that is too long left out, and not what they add up to.
func TestEncodeKeepsUsage(t *testing.T) {
	zone := Node{Tier: TierZone, Name: "a", Space: &Space{Pools: []SpacePool{{Pool: "pods", Addresses: 4096, Taken: 16, Largest: 21}}}}
	for i := range 100 {
		zone.Space.Pools[0].Blocks = append(zone.Space.Pools[0].Blocks, SpaceBlock{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i)}), 24)})
	}
	top := Node{Tier: TierGlobal, Name: "global", Children: []Node{zone}}
	b, err := encode(top, 1000)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode[Node](b)
	if err != nil {
		t.Fatal(err)
	}
	if pool := got.Children[0].Space.Pools[0]; len(pool.Blocks) != 0 || pool.Taken != 16 || !strings.Contains(got.Omitted, "blocks") {
		t.Errorf("got %+v, omitted %q, want the sums alone", pool, got.Omitted)
	}
	if len(zone.Space.Pools[0].Blocks) != 100 {
		t.Error("the caller's answer was changed")
	}
}

// TestExportPageFits holds that a full page of the longest entries fits an answer.
func TestExportPageFits(t *testing.T) {
	page := &SpacePage{}
	for range MaxEntries {
		page.Entries = append(page.Entries, SpaceEntry{Pool: strings.Repeat("p", 63), Prefix: netip.MustParsePrefix("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128"),
			Owner: fmt.Sprintf("ipclaim/%s/%s", strings.Repeat("n", 63), strings.Repeat("c", 253)), Tenant: strings.Repeat("t", 63)})
	}
	if _, err := Encode(Node{Space: &Space{Page: page}}); err != nil {
		t.Error(err)
	}
}
