package gossip

import (
	"fmt"
	"log"
	"net"

	"github.com/hashicorp/memberlist"
)

// bindTries is how often a free port is looked for: one that is free for TCP may be taken for UDP.
const bindTries = 10

// bind listens for TCP and UDP at one address.
func bind(address *net.TCPAddr, lines *log.Logger) (*memberlist.NetTransport, error) {
	host := "" // all addresses
	if address.IP != nil {
		host = address.IP.String()
	}
	cfg := &memberlist.NetTransportConfig{BindAddrs: []string{host}, BindPort: address.Port, Logger: lines}
	for try := 1; ; try++ {
		transport, err := memberlist.NewNetTransport(cfg)
		if err == nil {
			return transport, nil
		}
		if address.Port != 0 || try == bindTries {
			return nil, fmt.Errorf("bind: %w", err)
		}
	}
}
