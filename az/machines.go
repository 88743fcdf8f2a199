package az

import (
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/answer"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// newMachines has the agents take addresses for machines of their own.
func (z *Zone) newMachines() *ipamgrpc.Service {
	return ipamgrpc.New(ipamgrpc.Config{Place: question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone}, Limits: z.cfg.IPAM, Audit: z.audit, Log: z.log,
		Ledger: func() *ledger.Ledger { return answer.Ledger(z.office()) }, Lowest: children.Lowest(z.mirror), Left: ipam.Left(z.mirror),
		Leader: func() string {
			id, _, _ := z.roster.leader()
			return id
		},
		Rate: float64(z.cfg.Children.Rate), Burst: z.cfg.Children.Burst()})
}
