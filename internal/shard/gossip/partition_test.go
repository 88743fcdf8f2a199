package gossip

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// network carries what members send, or not.
type network struct {
	mu   sync.Mutex
	away map[string]bool // addresses on the other side of the cut
	cut  bool
}

// reaches tells whether what one address sends arrives at another.
func (n *network) reaches(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut || n.away[from] == n.away[to]
}

func (n *network) set(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// wire is a member's end of the network.
type wire struct {
	*memberlist.NetTransport
	network *network
	own     string
}

func (n *network) wrap(t *memberlist.NetTransport) memberlist.Transport {
	ip, port, _ := t.FinalAdvertiseAddr("", 0)
	node := memberlist.Node{Addr: ip, Port: uint16(port)}
	return &wire{t, n, node.Address()}
}

func (w *wire) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if !w.network.reaches(w.own, a.Addr) {
		return time.Now(), nil // lost on the way
	}
	return w.NetTransport.WriteToAddress(b, a)
}

func (w *wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if !w.network.reaches(w.own, a.Addr) {
		return nil, errors.New("the network is cut")
	}
	return w.NetTransport.DialAddressTimeout(a, timeout)
}

// TestPartition cuts one of three off until both sides have lost each other, and mends the network. Nobody has addresses to
// join by then but those that they remember.
func TestPartition(t *testing.T) {
	t.Parallel()
	n := &network{away: map[string]bool{}}
	c := run(t, Config{ID: "c"}, n.wrap)
	a := run(t, Config{ID: "a", Join: []string{c.address}}, n.wrap)
	b := run(t, Config{ID: "b", Join: []string{a.address}}, n.wrap)
	n.away[c.address] = true
	all := []*member{a, b, c}
	for _, m := range all {
		m.awaitAlive(t, "a", "b", "c")
	}
	for range 2 {
		n.set(true)
		c.awaitAlive(t, "c")
		a.awaitAlive(t, "a", "b")
		b.awaitAlive(t, "a", "b")
		c.awaitLost(t, "a")
		a.awaitLost(t, "c")
		n.set(false)
		mended := time.Now()
		for _, m := range all {
			m.awaitAlive(t, "a", "b", "c")
		}
		t.Logf("together again after %s", time.Since(mended))
	}
}
