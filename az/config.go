package az

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
)

// Config is a zone's configuration. Its zero value, with Default, lacks only the names of region and zone.
type Config struct {
	ID     string   `usage:"name of this replica, unique among the zone's replicas"`
	Region string   `usage:"name of the region"`
	Zone   string   `usage:"name of the zone"`
	Parent []string `usage:"addresses of the region's replicas; any will do"`
	Listen string   `usage:"address at which the agents connect"`
	// Advertise is what agents and the zone's other replicas are told.
	Advertise string `usage:"HOST:PORT at which agents and the zone's other replicas reach this one; the address listened at, if that is one, unless given"`
	Gossip    GossipConfig
	// Settle is counted for each cluster. A leader reports all that it knows after twice that and silentFor at most.
	Settle time.Duration `usage:"how long an agent has, since its cluster is owned or it came, before what is not known of the cluster is reported; and how long it may be away before the cluster counts as stale to callers elsewhere"`
	// slack is added to silentFor, for tests on machines where another takes over later; no configuration sets it.
	slack time.Duration
	// StaleAfter is zero for never: what runs elsewhere most likely still does.
	StaleAfter time.Duration `usage:"how long after a place elsewhere was last heard of nothing is sent there any more; never unless given"`
	// Authorization is served by every replica, from its mirror.
	Authorization AuthorizationConfig
	Identity      config.Identity
	// Children bounds what each child may tell.
	Children children.Limits
	// IPAM bounds how many addresses each child may take for machines of its own.
	IPAM  ipamgrpc.Limits
	Etcd  config.Etcd
	Admin config.Admin
	Audit config.Audit
	Log   config.Log
}

// GossipConfig is how the zone's replicas find out about each other. Without Bind a replica has none: it is the zone's
// only one, or the others wait for its lease when it is gone.
type GossipConfig struct {
	Bind      string   `usage:"HOST:PORT, UDP and TCP, at which the zone's replicas gossip; none unless given"`
	Advertise string   `usage:"HOST:PORT at which the other replicas reach it; the address bound unless given"`
	Join      []string `usage:"HOST:PORT of any other replicas; a name may stand for several addresses"`
	KeyFile   string   `usage:"file of base64 keys of 16, 24 or 32 bytes, one on each line: the first encrypts, all decrypt; read again when it changes"`
}

// Validate joins all errors.
func (g GossipConfig) Validate() error {
	if g.Bind == "" {
		if g.Advertise != "" || len(g.Join) > 0 || g.KeyFile != "" {
			return errors.New("bind: required where another setting of gossip is given")
		}
		return nil
	}
	errs := []error{config.Address("bind", g.Bind)}
	if g.KeyFile == "" {
		errs = append(errs, errors.New("key-file: required where bind is given: gossip is never in the clear; "+
			"`openssl rand -base64 32` makes a key"))
	}
	if g.Advertise != "" {
		errs = append(errs, config.Address("advertise", g.Advertise))
	}
	for _, address := range g.Join {
		errs = append(errs, config.Address("join", address))
	}
	return errors.Join(errs...)
}

// defaultSettle is longer than a reconnecting agent pauses.
const defaultSettle = 10 * time.Second

// Default fills in zero fields. The ID is the host's name: a replica that restarts on its host takes its own leadership
// back at once.
func (c *Config) Default() {
	if c.ID == "" {
		c.ID, _ = os.Hostname()
	}
	if len(c.Parent) == 0 {
		c.Parent = []string{config.Loopback(config.RegionPort)}
	}
	if c.Listen == "" {
		c.Listen = config.Loopback(config.ZonePort)
	}
	if c.Settle == 0 {
		c.Settle = defaultSettle
	}
	if c.Etcd.DataDir == "" {
		c.Etcd.DataDir = "data/zone"
	}
	c.Children.DefaultAgent()
	c.IPAM.Default()
	c.Etcd.Default()
	if c.Admin.Address == "" {
		c.Admin.Address = config.Loopback(config.ZoneAdminPort)
	}
	c.Admin.Default()
	c.Identity.Default()
	c.Audit.Default()
	c.Log.Default()
}

// Validate joins all errors.
func (c *Config) Validate() error {
	errs := []error{
		config.Required("id", c.ID),
		config.Required("region", c.Region),
		config.Required("zone", c.Zone),
		config.Address("listen", c.Listen),
		notNegative("stale-after", c.StaleAfter),
		config.Prefix("gossip", c.Gossip.Validate()),
		config.Prefix("authorization", c.Authorization.Validate()),
		config.Prefix("children", c.Children.Validate()),
		config.Prefix("ipam", c.IPAM.Validate()),
		config.Prefix("etcd", c.Etcd.Validate()),
		config.Prefix("identity", c.Identity.Validate()),
		config.Prefix("admin", c.Admin.Validate()),
		config.Prefix("audit", c.Audit.Validate()),
		config.Prefix("log", c.Log.Validate()),
	}
	if c.Advertise != "" {
		errs = append(errs, config.Address("advertise", c.Advertise))
	}
	if unspecified(cmp.Or(c.Advertise, c.Listen)) {
		errs = append(errs, errors.New("advertise: required as a single address where listen is none"))
	}
	for _, address := range c.Parent {
		errs = append(errs, config.Address("parent", address))
	}
	return errors.Join(errs...)
}

// unspecified tells whether an address stands for all that a host has, which is nowhere to be reached at.
func unspecified(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s: %s is less than 0", name, d)
	}
	return nil
}
