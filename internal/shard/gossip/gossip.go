// Package gossip tells a zone's replicas within a second or two which of them are gone. It runs hashicorp/memberlist, which
// is SWIM (Das, Gupta and Motivala 2002) with the refinements of Lifeguard (Dadgar, Phillips and Currey 2018).
//
// It supplies members, nothing else: no record, no claim and no setting travels by it, and nothing is safe because of what
// it says. It may be wrong: a member that is lost may be alive behind a broken network, or stopped, or starved of
// processor time. Whoever acts on it must be right for another reason, as a zone is by its fences.
//
// Invariants: a member is alive, lost, or was never seen; this process is always alive to itself. Two zones whose
// addresses were mixed up do not merge, because every packet and stream bears the zone's label. What the keys do not
// decrypt is refused.
//
// The mains that run zones import it, and hand it to the tier az, which has an interface of its own. internal/shard does not:
// dealing is pure.
package gossip

import (
	"context"
	"log"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"
)

// leaveTimeout bounds how long a member that ends waits until the others have been told: a few rounds of gossip.
const leaveTimeout = 2 * time.Second

// Gossip is one member.
type Gossip struct {
	id      string
	address string // as the others know it
	join    []string
	keyFile string
	log     *slog.Logger

	members *members
	list    *memberlist.Memberlist
	ring    *ring
}

// New binds at once and answers from then on. Run ends what New began; who does not run it closes it.
func New(cfg Config) (*Gossip, error) {
	p, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	lines := log.New(newLines(cfg.Log), "", 0)
	transport, err := bind(p.bind, lines)
	if err != nil {
		return nil, err
	}
	return start(cfg, p, transport, transport.GetAutoBindPort(), lines)
}

// start is New on a transport of the caller's, which it shuts down if it fails.
func start(cfg Config, p prepared, transport memberlist.Transport, port int, lines *log.Logger) (*Gossip, error) {
	if p.advertise.Port == 0 {
		p.advertise.Port = port
	}
	g := &Gossip{id: cfg.ID, join: cfg.Join, keyFile: cfg.KeyFile, log: cfg.Log,
		address: net.JoinHostPort(p.advertise.IP.String(), strconv.Itoa(p.advertise.Port)),
		members: newMembers(cfg.ID, cfg.Log), ring: newRing(p.keys)}
	settings := tuned()
	settings.Name, settings.Label = cfg.ID, cfg.Label
	settings.Transport, settings.Logger = transport, lines
	settings.AdvertiseAddr, settings.AdvertisePort = p.advertise.IP.String(), p.advertise.Port
	settings.BindPort = port
	settings.Keyring = g.ring.keyring
	settings.Events, settings.Conflict = g.members, g.members
	list, err := memberlist.Create(settings)
	if err != nil {
		_ = transport.Shutdown()
		return nil, err
	}
	g.list = list
	return g, nil
}

// Run joins the others, and again whenever some are missing, until ctx ends; then it leaves, which the others see at once,
// and shuts down. If the key file cannot be followed it says so and goes on with the keys it has. It runs once.
func (g *Gossip) Run(ctx context.Context) error {
	g.attend(ctx)
	return g.leave()
}

// attend does what there is to do while this is a member.
func (g *Gossip) attend(ctx context.Context) {
	g.log.Info("gossiping", "address", g.address, "encrypted", g.ring.encrypts())
	var group errgroup.Group
	group.Go(func() error {
		g.stayJoined(ctx)
		return nil
	})
	if g.keyFile != "" {
		group.Go(func() error {
			g.followKeys(ctx)
			return nil
		})
	}
	_ = group.Wait() // neither fails
}

func (g *Gossip) leave() error {
	if err := g.list.Leave(leaveTimeout); err != nil {
		g.log.Warn("leaving; the others will notice by themselves", "error", err)
	}
	return g.Close()
}

// Close ends it without a word: to the others it looks as if it were killed. It must not be called while Run runs.
func (g *Gossip) Close() error { return g.list.Shutdown() }

// Changed returns a channel that is closed at the next change of what Lost says, or of who is there.
func (g *Gossip) Changed() <-chan struct{} { return g.members.wait() }

// Lost tells whether a member that was there is gone, dead or left, and when that was noticed. One that has been gone for
// longer than an hour may be forgotten.
func (g *Gossip) Lost(id string) (at time.Time, lost bool) { return g.members.lost(id) }
