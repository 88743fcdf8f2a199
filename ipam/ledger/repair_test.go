package ledger_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestRepairedForAll: one process accepts that etcd was set back. Others that led before it open the ledger, too, in turn, and one
// that remembers more than was accepted is refused, until that is accepted as well.
func TestRepairedForAll(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		t.Run(fmt.Sprintf("emptied=%t", emptied), func(t *testing.T) {
			r := newRestorable(t)
			folder, client := t.TempDir(), r.client(t)
			of := func(name string) ledger.Config {
				return ledger.Config{Client: client, Prefix: "/tier", Witness: filepath.Join(folder, name)}
			}
			lead := func(name string) {
				t.Helper()
				l := open(t, of(name))
				put(t, l, services, block("10.0.0.0/24"))
				allocate(t, l, anyOf(name, 32))
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			refused := func(name string) {
				t.Helper()
				if _, err := ledger.Open(bounded(t), of(name)); !errors.Is(err, ledger.ErrSetBack) {
					t.Fatalf("%s: got %v, want %v", name, err, ledger.ErrSetBack)
				}
			}
			repair := func(name string) {
				t.Helper()
				if _, err := ledger.Repair(bounded(t), of(name)); err != nil {
					t.Fatal(err)
				}
			}
			lead("first")
			copied := r.backup(t)
			for _, name := range []string{"first", "second", "third", "last"} {
				lead(name)
			}
			others(t, client, 100)
			lead("last") // far ahead of the others
			if emptied {
				copied = ""
			}
			r.restore(t, copied)
			refused("second")
			repair("third")
			for _, name := range []string{"third", "first", "second", "third", "first"} {
				lead(name)
			}
			refused("last")
			repair("last")
			for _, name := range []string{"last", "first", "second", "third"} {
				lead(name)
			}
		})
	}
}
