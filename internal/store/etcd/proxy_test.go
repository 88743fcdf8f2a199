package etcd_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a store and its etcd. While it is stalled it passes nothing on, and what was sent waits in it, as
// with an etcd that hangs or a network that drops everything; connections stay open.
type proxy struct {
	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn    // guarded by mu
	open  chan struct{} // guarded by mu; closed while bytes may pass
	shut  bool          // guarded by mu; open is not closed
}

// startProxy starts one for host:port to; it is stopped with the test.
func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, open: make(chan struct{})}
	close(p.open)
	p.work.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) endpoint() string { return "http://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return // it is stopped
		}
		to, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, from, to)
		p.mu.Unlock()
		p.work.Go(func() { p.pass(to, from) })
		p.work.Go(func() { p.pass(from, to) })
	}
}

func (p *proxy) pass(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.shut = make(chan struct{}), true
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		close(p.open)
		p.shut = false
	}
}

func (p *proxy) stop() {
	_ = p.listener.Close()
	p.resume() // for a test that ended while it was stalled
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}
