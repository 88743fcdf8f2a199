package ledger_test

import (
	"net"
	"sync"
	"testing"
)

// link is the connection between a ledger and its etcd. It can be stalled, so that what was sent waits in it and arrives
// late; lose the replies, so that requests arrive and nobody hears of it; and be cut.
type link struct {
	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu, as is all below
	open  chan struct{}         // closed while bytes may pass
	shut  bool                  // open is not closed
	lossy bool                  // what comes from etcd is thrown away
	ended bool                  // nothing is let in any more
}

// newLink makes one to host:port; it ends with the test.
func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, to: to, conns: map[net.Conn]struct{}{}, open: make(chan struct{})}
	close(l.open)
	l.work.Go(l.accept)
	t.Cleanup(l.end)
	return l
}

func (l *link) endpoint() string { return "http://" + l.listener.Addr().String() }

func (l *link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return // it has ended
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		if !l.let(from, to) {
			return
		}
	}
}

// let begins to pass on between two connections; after the end it closes them.
func (l *link) let(from, to net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_, _ = from.Close(), to.Close()
		return false
	}
	l.conns[from], l.conns[to] = struct{}{}, struct{}{}
	l.work.Go(func() { l.pass(to, from, false) })
	l.work.Go(func() { l.pass(from, to, true) })
	return true
}

// pass hands on what comes in until either side closes, and then closes both.
func (l *link) pass(to, from net.Conn, replies bool) {
	defer l.drop(to, from)
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		l.mu.Lock()
		open := l.open
		l.mu.Unlock()
		<-open
		l.mu.Lock()
		lost := replies && l.lossy
		l.mu.Unlock()
		var failed error
		if !lost {
			_, failed = to.Write(b[:n])
		}
		if err != nil || failed != nil {
			return
		}
	}
}

func (l *link) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(l.conns, c)
	}
}

// stall holds back everything that is sent from now on.
func (l *link) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shut {
		l.open, l.shut = make(chan struct{}), true
	}
}

// lose throws away all replies from now on.
func (l *link) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lossy = true
}

// cut ends all connections; new ones are let through.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// heal passes on what waited, and everything from now on. Where replies were lost the connections are cut: what is left
// of them makes no sense.
func (l *link) heal() {
	l.mu.Lock()
	lossy := l.lossy
	if l.shut {
		close(l.open)
	}
	l.shut, l.lossy = false, false
	l.mu.Unlock()
	if lossy {
		l.cut()
	}
}

func (l *link) end() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.heal()
	l.cut()
	l.work.Wait()
}
