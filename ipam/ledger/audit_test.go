package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestAudit spoils what is in etcd by hand, in each way that an audit tells.
func TestAudit(t *testing.T) {
	cfg := alone(t)
	l := open(t, cfg)
	put(t, l, ledger.Pool{Name: services.Name, Quarantine: time.Hour}, block("10.0.0.0/24"))
	for i := range 4 {
		allocate(t, l, anyOf(fmt.Sprint("o", i), 32))
	}
	release(t, l, "o3")
	sound(t, l, 4)
	root := cfg.Prefix + "/space/"
	raw := func(key string) string {
		resp, err := cfg.Client.Get(bounded(t), root+key)
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("reading %s: %v, %v", key, resp, err)
		}
		return string(resp.Kvs[0].Value)
	}
	write := func(key, value string) {
		if _, err := cfg.Client.Put(bounded(t), root+key, value); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(key string) {
		if _, err := cfg.Client.Delete(bounded(t), root+key); err != nil {
			t.Fatal(err)
		}
	}
	some := raw("entries/services/0a000000/32")
	remove("owners/o0")                                                      // an entry without owner
	remove("entries/services/0a000001/32")                                   // an owner without entry, and known to memory alone
	write("owners/o9", "services/0a000002/32")                               // an owner whose entry is another's
	write("entries/services/0a000080/32", some)                              // not known to memory, and with no owner
	write("entries/services/0a000080/25", some)                              // around it
	write("entries/services/0b000000/32", some)                              // in no block
	write("entries/services/xx", some)                                       // no prefix
	write("entries/services/0a000000/032", "")                               // no entry
	write("blocks/other/0a000000/8", "no block")                             // no block
	write("blocks/services/0a000000/25", raw("blocks/services/0a000000/24")) // overlaps
	r, err := l.Audit(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %s", f.Fault, strings.TrimPrefix(f.Key, root)))
	}
	slices.Sort(got)
	want := []string{
		"EntryWithoutOwner entries/services/0a000000/32",
		"EntryWithoutOwner entries/services/0a000080/25",
		"EntryWithoutOwner entries/services/0a000080/32",
		"EntryWithoutOwner entries/services/0b000000/32",
		"OnlyInMemory entries/services/0a000001/32",
		"OnlyInStore entries/services/0a000080/25",
		"OnlyInStore entries/services/0a000080/32",
		"OutsideBlocks entries/services/0b000000/32",
		"Overlap blocks/services/0a000000/25",
		"Overlap entries/services/0a000080/32",
		"OwnerWithoutEntry owners/o1",
		"OwnerWithoutEntry owners/o9",
		"Unreadable blocks/other/0a000000/8",
		"Unreadable entries/services/0a000000/032",
		"Unreadable entries/services/xx",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMend removes what is leaked, and nothing else, and nothing that is right by then.
func TestMend(t *testing.T) {
	cfg := alone(t)
	l := open(t, cfg)
	put(t, l, ledger.Pool{Name: services.Name, Quarantine: time.Hour}, block("10.0.0.0/24"))
	put(t, l, ledger.Pool{Name: "quick"}, block("10.1.0.0/24"))
	for i := range 4 {
		allocate(t, l, anyOf(fmt.Sprint("o", i), 32))
	}
	allocate(t, l, ledger.Request{Owner: "q", Pool: "quick", Length: 32})
	for _, key := range []string{"owners/o0", "owners/q", "entries/services/0a000001/32", "entries/services/0a000002/32"} {
		if _, err := cfg.Client.Delete(bounded(t), cfg.Prefix+"/space/"+key); err != nil {
			t.Fatal(err)
		}
	}
	l = open(t, cfg)
	r, err := l.Audit(bounded(t))
	if err != nil || len(r.Findings) != 4 {
		t.Fatalf("got %+v, %v, want 4 findings", r, err)
	}
	// One that is reported is put right by hand meanwhile.
	if _, err := cfg.Client.Delete(bounded(t), cfg.Prefix+"/space/owners/o2"); err != nil {
		t.Fatal(err)
	}
	allocate(t, l, exactly("o2", "10.0.0.2/32"))
	if n, err := l.Mend(bounded(t), r); err != nil || n != 3 {
		t.Errorf("got %d mended, %v, want 3", n, err)
	}
	if n, err := l.Mend(bounded(t), r); err != nil || n != 0 {
		t.Errorf("again: got %d mended, %v, want none", n, err)
	}
	sound(t, l, 3)
	if u := l.Usage(services.Name).Blocks[0]; u.Taken != 3 || u.Quarantined != 1 {
		t.Errorf("got %+v, want 3 taken, and what had no owner in quarantine", u)
	}
	if u := l.Usage("quick").Blocks[0]; !u.Idle {
		t.Errorf("got %+v, want what had no owner free, since its pool has no quarantine", u)
	}
	allocate(t, l, anyOf("o0", 32))
	allocate(t, l, anyOf("o1", 32))
}
