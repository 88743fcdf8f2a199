//go:build linux

package zonefaults

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// leg is one of a replica's relations, each of which has a bridge, and a network of its own.
type leg int

const (
	legStore  leg = iota + 1 // to etcd
	legParent                // to the region
	legFront                 // to the agents and between replicas, and for this test to look at it
	legGossip                // between replicas
)

var legs = []leg{legStore, legParent, legFront, legGossip}

func (l leg) String() string { return [...]string{"", "store", "parent", "front", "gossip"}[l] }

// at is the address of a host on the leg's network; 1 is the test itself.
func (l leg) at(host int) string { return fmt.Sprintf("10.91.%d.%d", l, host) }

func (l leg) bridge() string             { return "br-" + l.String() }
func (l leg) outer(host int) string      { return fmt.Sprintf("%s-%d", l, host) }
func (l leg) address(h, port int) string { return fmt.Sprintf("%s:%d", l.at(h), port) }

// self is the number of the test's own namespace on all networks.
const self = 1

// makeNetwork makes the bridges in the test's namespace, where etcd, the region, the agents and the clusters run.
func makeNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("raising the loopback: %w", err)
	}
	for _, l := range legs {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: l.bridge()}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("making bridge %s (the kernel needs bridges and veth): %w", l.bridge(), err)
		}
		if err := raise(&netlink.Handle{}, bridge, l.at(self)); err != nil {
			return err
		}
	}
	return nil
}

// raise gives a link its address and sets it up.
func raise(h *netlink.Handle, link netlink.Link, ip string) error {
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(24, 32)}}
	if err := h.AddrAdd(link, address); err != nil {
		return fmt.Errorf("giving %s address %s: %w", link.Attrs().Name, ip, err)
	}
	return h.LinkSetUp(link)
}

// host is a namespace with a leg on each network.
type host struct {
	number int
	ns     netns.NsHandle
}

// makeHost makes one with a number above self.
func makeHost(number int) (*host, error) {
	ns, err := makeNamespace()
	if err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	h := &host{number: number, ns: ns}
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	lo, err := inside.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	if err := inside.LinkSetUp(lo); err != nil {
		return nil, err
	}
	for _, l := range legs {
		if err := h.plug(inside, l); err != nil {
			return nil, fmt.Errorf("making the %s leg of host %d: %w", l, number, err)
		}
	}
	return h, nil
}

// makeNamespace makes one and stays where it is.
func makeNamespace() (netns.NsHandle, error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		return 0, err
	}
	defer home.Close()
	ns, err := netns.New()
	if err != nil {
		return 0, err
	}
	if err := netns.Set(home); err != nil {
		return 0, err // the thread stays locked, so that it ends with its goroutine
	}
	runtime.UnlockOSThread()
	return ns, nil
}

func (h *host) plug(inside *netlink.Handle, l leg) error {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: l.outer(h.number)}, PeerName: l.String(), PeerNamespace: netlink.NsFd(h.ns)}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	inner, err := inside.LinkByName(l.String())
	if err != nil {
		return err
	}
	if err := raise(inside, inner, l.at(h.number)); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return err
	}
	return h.heal(l)
}

// path is where this program's children find the namespace.
func (h *host) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(h.ns)) }

// cut takes a leg off its bridge: what is sent either way vanishes.
func (h *host) cut(l leg) error {
	outer, err := netlink.LinkByName(l.outer(h.number))
	if err != nil {
		return err
	}
	return netlink.LinkSetNoMaster(outer)
}

// heal puts it back.
func (h *host) heal(l leg) error {
	outer, err := netlink.LinkByName(l.outer(h.number))
	if err != nil {
		return err
	}
	bridge, err := netlink.LinkByName(l.bridge())
	if err != nil {
		return err
	}
	return netlink.LinkSetMaster(outer, bridge)
}

// healAll puts all legs back.
func (h *host) healAll() error {
	var errs []error
	for _, l := range legs {
		errs = append(errs, h.heal(l))
	}
	return errors.Join(errs...)
}
