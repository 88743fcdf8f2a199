package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports that FreePort chooses from lie below the range from which the kernel
// takes the local ends of outgoing connections, any of which could otherwise
// take a port between its choice and its use.
const (
	firstPort = 18000
	lastPort  = 32000
)

// PortTaken says that an address is in use, and by whom as far as can be told.
type PortTaken struct {
	Addr   string
	Holder string // such as "process 812 (nginx)", "" when unknown
}

func (e *PortTaken) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%s is taken by a process of another user", e.Addr)
	}
	return fmt.Sprintf("%s is taken by %s", e.Addr, e.Holder)
}

// CheckPort returns a *PortTaken if nothing more can listen on the TCP address.
func CheckPort(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("checking port: %w", err)
	}
	return &PortTaken{Addr: addr, Holder: holderOf(addr)}
}

// FreePort returns a TCP port of 127.0.0.1 on which nothing listens.
func FreePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if CheckPort(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("choosing a port: none of 100 between %d and %d is free", firstPort, lastPort)
}
