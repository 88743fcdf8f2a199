package global

import (
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/answer"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// newMachines has the regions take addresses for machines of their own.
func (g *Global) newMachines() *ipamgrpc.Service {
	return ipamgrpc.New(ipamgrpc.Config{Place: question.Path{}, Limits: g.cfg.IPAM, Audit: g.deps.Audit, Log: g.log,
		Ledger: func() *ledger.Ledger { return answer.Ledger(g.office()) }, Lowest: children.Lowest(g.mirror), Left: ipam.Left(g.mirror),
		Rate: float64(g.cfg.Children.Rate), Burst: g.cfg.Children.Burst()})
}
