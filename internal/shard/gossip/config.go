package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// Config is a member's configuration.
type Config struct {
	// ID is unique among the members.
	ID string
	// Label is the name of what the members are members of; those with another label are refused. At most 255 bytes.
	Label string
	// Bind is HOST:PORT, UDP and TCP; port 0 is one that is free. Advertise is where the others reach this member, Bind
	// unless given; it is required where Bind is no single address. Names are resolved once.
	Bind, Advertise string
	// Join are HOST:PORT of any other members. A name may stand for several addresses (a headless Service does) and is
	// resolved anew on each try.
	Join []string
	// KeyFile holds keys, one on each line; empty lines and those that begin with # do not count. A key is 16, 24 or 32 bytes
	// in base64, for AES-128, AES-192 or AES-256 in GCM. The first encrypts, all decrypt. No file means plain text.
	//
	// The file is read again when it changes. Encryption is not switched on or off in this way. No member may encrypt with a
	// key that another does not have yet, nor give one up that another still encrypts with. So a key is replaced in three
	// rounds, each finished at all members before the next begins:
	//
	//  1. old, new: everybody decrypts both.
	//  2. new, old: everybody encrypts with the new one.
	//  3. new: the old one is worthless.
	KeyFile string
	Log     *slog.Logger
}

// prepared is a Config with all looked up.
type prepared struct {
	bind, advertise *net.TCPAddr
	keys            [][]byte
}

// prepare joins all errors; each names its field.
func (c Config) prepare() (p prepared, err error) {
	var errs []error
	if c.ID == "" {
		errs = append(errs, errors.New("id: required"))
	}
	if len(c.Label) > memberlist.LabelMaxSize {
		errs = append(errs, fmt.Errorf("label: %d bytes, more than %d", len(c.Label), memberlist.LabelMaxSize))
	}
	if c.Log == nil {
		errs = append(errs, errors.New("log: required"))
	}
	for _, address := range c.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			errs = append(errs, fmt.Errorf("join: %q is not HOST:PORT", address))
		}
	}
	p, unresolved := c.addresses()
	p.keys, err = c.keys()
	return p, errors.Join(append(errs, unresolved, err)...)
}

func (c Config) addresses() (p prepared, err error) {
	if c.Bind == "" {
		return p, errors.New("bind: required")
	}
	if p.bind, err = net.ResolveTCPAddr("tcp", c.Bind); err != nil {
		return p, fmt.Errorf("bind: %w", err)
	}
	if c.Advertise != "" {
		if p.advertise, err = net.ResolveTCPAddr("tcp", c.Advertise); err != nil {
			return p, fmt.Errorf("advertise: %w", err)
		}
	} else {
		own := *p.bind
		p.advertise = &own
	}
	if p.advertise.IP == nil || p.advertise.IP.IsUnspecified() {
		return p, errors.New("advertise: required as a single address where bind is none")
	}
	return p, nil
}

func (c Config) keys() ([][]byte, error) {
	if c.KeyFile == "" {
		return nil, nil
	}
	keys, err := readKeys(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return keys, nil
}

// tuned are memberlist's settings for a few members that are near each other. What matters is how soon a member that was
// killed is lost, and that one on a busy machine is not.
//
// A member probes each of the others in turn, one every ProbeInterval. If the answer, direct or through others, has not
// come by the end of that interval, it suspects the member and tells the others, which probe it too. A suspect has
// SuspicionMult*ProbeInterval to hear of it and refute it; if nobody else confirms the suspicion, SuspicionMaxTimeoutMult
// times as long. With two or three members that is up to 0.6 s until the probe, 0.3 s for the answer and 0.9 s of
// suspicion, 1.2 s to 1.8 s in all; up to 2.7 s where the third does not confirm it. A process must be stopped, starved
// or cut off for at least 1.2 s to be lost in error. One that is itself too slow to judge, because the others' answers
// come late, takes up to AwarenessMaxMultiplier times as long over a probe. All this costs a member of three that has
// nothing to tell about 0.3 % of a core.
func tuned() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.ProbeInterval = 300 * time.Millisecond
	c.ProbeTimeout = 100 * time.Millisecond // then indirect probes and one by TCP; a late answer still counts
	c.SuspicionMult = 3
	c.SuspicionMaxTimeoutMult = 2
	c.AwarenessMaxMultiplier = 4
	c.TCPTimeout = 2 * time.Second
	// Exchanging all that is known tells a member that was stopped, and one that came back elsewhere, how they are
	// seen. With few members it is a small message.
	c.PushPullInterval = 5 * time.Second
	// One that comes back at another address has its name as soon as it is lost; its ID is unique.
	c.DeadNodeReclaimTime = time.Nanosecond
	c.EnableCompression = false // packets are of a hundred bytes
	return c
}
