package main

import (
	"net"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of the harness's own: what went over the connections that children made, as the operating system was given it.
const (
	wireSent     = "fleet_wire_sent_bytes_total"
	wireReceived = "fleet_wire_received_bytes_total"
)

// meteredListener counts the bytes of the connections that it accepts.
type meteredListener struct {
	net.Listener
	sent, received atomic.Int64
}

func newMeteredListener(l net.Listener, registry prometheus.Registerer) *meteredListener {
	m := &meteredListener{Listener: l}
	counter := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	registry.MustRegister(counter(wireSent, "Bytes sent to children.", &m.sent),
		counter(wireReceived, "Bytes received from children.", &m.received))
	return m
}

// Accept implements net.Listener.
func (m *meteredListener) Accept() (net.Conn, error) {
	conn, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &meteredConn{conn, m}, nil
}

type meteredConn struct {
	net.Conn
	listener *meteredListener
}

// Read implements net.Conn.
func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.listener.received.Add(int64(n))
	return n, err
}

// Write implements net.Conn.
func (c *meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.listener.sent.Add(int64(n))
	return n, err
}
